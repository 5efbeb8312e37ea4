import pytest

from medseg.errors import InputRefused
from medseg.evaluation import matched
from tests.evaluation.factory import cube, folders, save


def refused(*arguments, **more) -> str:
    with pytest.raises(InputRefused) as refusal:
        matched(*arguments, **more)
    return refusal.value.code


def test_files_and_case_folders_are_paired_by_name(tmp_path):
    save(tmp_path / "p" / "a" / "mask.nii.gz", cube())
    save(tmp_path / "p" / "a" / "probabilities.nii.gz", cube())
    save(tmp_path / "p" / "b.nii", cube())
    (tmp_path / "p" / "run.json").write_text("{}")
    for case in "ab":
        save(tmp_path / "r" / f"{case}.nii.gz", cube())
        save(tmp_path / "i" / f"{case}_0000.nii.gz", cube())
    first, second = matched(tmp_path / "p", tmp_path / "r", tmp_path / "i")
    assert (first.case, first.prediction.name) == ("a", "mask.nii.gz")
    assert first.probabilities.name == "probabilities.nii.gz"
    assert first.image.name == "a_0000.nii.gz"
    assert (second.case, second.prediction.name, second.refusal) == ("b", "b.nii", None)


def test_what_has_no_counterpart_or_two_says_so(tmp_path):
    predictions, references = folders(tmp_path, {
        "extra": (cube(), None), "good": (cube(), cube()), "lacking": (None, cube()),
    })  # fmt: skip
    save(predictions / "good" / "mask.nii.gz", cube())
    found = {pair.case: pair.refusal.code for pair in matched(predictions, references)}
    assert found == {"extra": "reference-missing", "good": "case-repeated",
                     "lacking": "prediction-missing"}  # fmt: skip


def test_two_single_files_are_a_pair_whatever_their_names(tmp_path):
    save(tmp_path / "mine.nii.gz", cube())
    save(tmp_path / "truth.nii.gz", cube())
    (pair,) = matched(tmp_path / "mine.nii.gz", tmp_path / "truth.nii.gz")
    assert (pair.case, pair.refusal) == ("truth", None)


def test_a_manifest_names_both_sides_and_what_is_known_of_each(tmp_path):
    folders(tmp_path, {"x": (cube(), cube())})
    (tmp_path / "pairs.csv").write_text(
        "Case;Prediction;Reference;Patient;Scanner\n"
        "x1;predictions/x.nii.gz;references/x.nii.gz;anne;A\n"
    )
    (pair,) = matched(tmp_path / "pairs.csv")
    assert (pair.case, pair.patient) == ("x1", "anne")
    assert pair.prediction == tmp_path / "predictions" / "x.nii.gz"
    assert pair.about == {"patient": "anne", "scanner": "A"}


@pytest.mark.parametrize(
    ("text", "words"),
    [("name,prediction\n", "no column case"), ("case,prediction\n,a.nii\n", "row 2 names no case"),
     ("case,prediction\na,a.nii\n", "no column reference")],
)  # fmt: skip
def test_a_table_that_is_no_manifest_is_refused_with_the_reason(tmp_path, text, words):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(InputRefused, match=words):
        matched(tmp_path / "pairs.csv")


def test_nothing_to_compare_is_refused(tmp_path):
    predictions, references = folders(tmp_path, {"a": (cube(), cube())})
    assert refused(predictions) == "references-missing"
    assert refused(tmp_path / "nowhere", references) == "path-missing"
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty", references) == "no-cases"
