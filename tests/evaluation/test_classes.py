"""Classes of images evaluated: tables in, scores worked out by hand and files out."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from medseg.errors import InputRefused, OutputFailed
from medseg.evaluation import evaluate_classes
from medseg.evaluation.statistics import resampled
from medseg.metrics.classification import delong_interval
from medseg.metrics.classification import expected_calibration_error as ece
from tests.evaluation.factory import rows_of


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setitem(resampled.__kwdefaults__, "resamples", 40)


def table(path, *rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


@pytest.fixture
def tables(tmp_path):
    """Return predictions and references of six cases, of which "odd" and "lone" have one side."""
    predictions = table(
        tmp_path / "predictions.csv", ("case", "benign", "Malignant", "in_domain"),
        ("a", 0.9, 0.1, "True"), ("b", 0.6, 0.4, "True"), ("c", 0.3, 0.7, "False"),
        ("d", 0.2, 0.8, "True"), ("odd", 0.5, 0.5, "True"), ("nan", "nan", 0.5, "True"),
    )  # fmt: skip
    references = table(
        tmp_path / "references.csv", ("case", "label", "group", "scanner", "image"),
        ("a", "benign", "p1", "A", "a.png"), ("b", "malignant", "p1", "A", "gone.png"),
        ("c", "malignant", "p2", "B", ""), ("d", "malignant", "p3", "B", ""),
        ("lone", "benign", "p4", "B", ""), ("nan", "benign", "p5", "B", ""),
    )  # fmt: skip
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    return predictions, references


def test_scores_are_those_of_the_cases_that_have_both_sides(tables):
    result = evaluate_classes(*tables)
    assert result.classes == ("benign", "malignant")
    assert result.cases == ("a", "b", "c", "d")
    reasons = {case: reason.code for case, reason in result.refused}
    assert reasons == {"lone": "prediction-missing", "nan": "probabilities-invalid",
                       "odd": "reference-missing"}  # fmt: skip
    assert result.exit_status == 6
    assert result.confusion.tolist() == [[1, 0], [1, 2]]
    assert result.overall["macro_auc"].value == 1
    assert result.overall["accuracy"].value == 0.75
    assert result.overall["balanced_accuracy"].value == pytest.approx((1 + 2 / 3) / 2)
    assert result.overall["brier"].value == pytest.approx(2 * (0.01 + 0.36 + 0.09 + 0.04) / 4)
    malignant = result.by_class[1]
    assert malignant.cases == 3
    assert malignant.scores["sensitivity"].value == pytest.approx(2 / 3)
    assert malignant.scores["precision"].value == 1
    assert {one.code for one in result.findings} == {"class-small"}


def test_cases_of_one_patient_are_resampled_together_and_delong_is_for_independent_ones(tmp_path):
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3 == 0
    sure = np.clip(rng.normal(0.4, 0.2, 60) + 0.2 * truth, 0, 1)
    rows = [(f"c{n}", sure[n]) for n in range(60)]
    predictions = table(tmp_path / "p.csv", ("case", "yes"), *rows)
    names = ["yes" if one else "no" for one in truth]
    alone = table(tmp_path / "a.csv", ("case", "label"),
                  *((f"c{n}", names[n]) for n in range(60)))  # fmt: skip
    auc = evaluate_classes(predictions, alone).by_class[0].scores["auc"]
    assert (auc.low, auc.high) == pytest.approx(delong_interval(truth, sure))
    grouped = table(tmp_path / "g.csv", ("case", "label", "patient"),
                    *((f"c{n}", names[n], f"p{n // 20}") for n in range(60)))  # fmt: skip
    other = evaluate_classes(predictions, grouped).by_class[0].scores["auc"]
    assert other.value == auc.value
    assert (other.low, other.high) != pytest.approx((auc.low, auc.high), abs=1e-3)


def test_an_interval_is_that_of_resampled_patients():
    values = np.random.default_rng(0).normal(size=200)
    low, high = resampled(lambda drawn: [values[drawn].mean()], np.arange(200), resamples=2000)
    error = 1.96 * values.std() / np.sqrt(200)
    assert (low[0], high[0]) == pytest.approx(
        (values.mean() - error, values.mean() + error), abs=0.02
    )
    twice = np.repeat(values, 2)  # the same patients, each with two equal cases
    pairs = resampled(lambda drawn: [twice[drawn].mean()], np.arange(400) // 2, resamples=2000)
    assert (pairs[0][0], pairs[1][0]) == pytest.approx((low[0], high[0]))
    assert np.isnan(resampled(lambda drawn: [1.0], np.zeros(5, int))).all()


def test_a_calibration_error_has_an_interval_that_takes_off_what_resampling_adds():
    rng = np.random.default_rng(0)
    sure = rng.random(300)
    right = rng.random(300) < sure  # perfectly calibrated: all of the error is chance
    low, high = resampled(
        lambda drawn: [ece(right[drawn], sure[drawn])], np.arange(300), about=[True]
    )
    assert low[0] < 0.2 * ece(right, sure)
    assert high[0] < 1.5 * ece(right, sure)


def test_a_row_a_case_and_class_says_the_same_as_a_column_a_class(tables, tmp_path):
    wide = evaluate_classes(*tables)
    cases = dict(zip(wide.cases, wide.probabilities, strict=True))
    head = ("case", "label", "probability")
    rows = [(case, name, share) for case, shares in cases.items()
            for name, share in zip(wide.classes, shares, strict=True)]  # fmt: skip
    long = table(tmp_path / "long.csv", head, *rows)
    one = table(tmp_path / "one.csv", head, *rows[1::2])  # of the malignant class alone
    for other in (long, one):
        found = evaluate_classes(other, tables[1])
        shares = {name: found.probabilities[:, n] for n, name in enumerate(found.classes)}
        np.testing.assert_allclose(shares["malignant"], wide.probabilities[:, 1])
        np.testing.assert_allclose(shares["benign"], wide.probabilities[:, 0])


def test_files_hold_a_row_a_case_and_the_summary(tables, tmp_path):
    result = evaluate_classes(*tables, out=tmp_path / "out", by="scanner")
    rows = {row["case"]: row for row in rows_of(tmp_path / "out" / "cases.csv")}
    assert rows["b"]["label"] == "malignant"
    assert rows["b"]["predicted"] == "benign"
    assert (rows["b"]["right"], rows["b"]["of_label"], rows["b"]["group"]) == ("0", "0.4", "A")
    assert rows["lone"]["reason"].endswith("[prediction-missing]")
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (told["task"], told["cases"], told["evaluated"]) == ("classify", 7, 4)
    assert told["confusion"] == [[1, 0], [1, 2]]
    assert told["scores"]["accuracy"]["value"] == 0.75
    assert [group["cases"] for group in told["groups"]] == [2, 2]
    assert told["groups"][0]["scores"]["accuracy"]["value"] == 0.5
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 4
    assert page.count("data:image/png") == 1  # of case a; the other's picture has gone
    assert "<script" not in page
    assert list(result.by_group) == ["A", "B"]
    with pytest.raises(OutputFailed) as refusal:
        evaluate_classes(*tables, out=tmp_path / "out")
    assert refusal.value.code == "output-exists"
    evaluate_classes(*tables, out=tmp_path / "out", overwrite=True)


@pytest.mark.parametrize(("predictions", "references", "code", "words"), [
    ([("case", "a", "b"), ("1", 0.5, 0.5)], [("case", "label"), ("2", "a")],
     "no-cases-shared", "None of the 1 predicted cases is among the 1 references"),
    ([("case", "a", "b"), ("1", 0.5, 0.5)], [("case", "label"), ("1", "c")],
     "label-unknown", "1 reference is labelled 'c'"),
    ([("case", "a", "b"), ("1", 0.5, 0.5), ("1", 0.5, 0.5)], [("case", "label"), ("1", "a")],
     "case-repeated", "predictions.csv has a case twice"),
    ([("case", "a"), ("1", 0.5)], [("case", "label"), ("1", "a")],
     "classes-too-few", "probabilities of 1 class"),
    ([("case", "a", "b"), ("1", 3, -2)], [("case", "label"), ("1", "a")],
     "probabilities-invalid", "not numbers from 0 to 1"),
    ([("case", "a", "b"), ("1", 0.5, "?")], [("case", "label"), ("1", "a")],
     "probabilities-invalid", "not its logits"),
    ([("case", "a", "b"), ("1", 0.5, 0.5)], [("case", "class"), ("1", "a")],
     "manifest-invalid", "it has no column label"),
    ([("name", "a", "b"), ("1", 0.5, 0.5)], [("case", "label"), ("1", "a")],
     "manifest-invalid", "Give a CSV with a column case and one of probabilities"),
    ([("case", "label", "probability"), ("1", "a", 0.5), ("1", "a", 0.5)],
     [("case", "label"), ("1", "a")], "case-repeated", "two probabilities of one class"),
])  # fmt: skip
def test_tables_that_do_not_fit_are_refused_in_one_line(
    tmp_path, predictions, references, code, words
):
    with pytest.raises(InputRefused) as refusal:
        evaluate_classes(table(tmp_path / "predictions.csv", *predictions),
                         table(tmp_path / "references.csv", *references))  # fmt: skip
    assert refusal.value.code == code
    assert words in str(refusal.value)


def test_a_column_that_nobody_fills_makes_no_groups(tables):
    with pytest.raises(InputRefused) as refusal:
        evaluate_classes(*tables, by="age")
    assert refusal.value.code == "group-unknown"


def test_a_class_without_a_case_is_told_and_in_no_mean(tmp_path):
    predictions = table(tmp_path / "p.csv", ("case", "a", "b", "c"),
                        *((n, 0.6 - 0.05 * n, 0.3 + 0.05 * n, 0.1) for n in range(6)))  # fmt: skip
    references = table(tmp_path / "r.csv", ("case", "label"),
                       *((n, "ab"[n > 2]) for n in range(6)))  # fmt: skip
    result = evaluate_classes(predictions, references, out=tmp_path / "out")
    assert result.overall["macro_auc"].value == 1
    assert np.isnan(result.by_class[2].scores["auc"].value)
    assert "class-absent" in {one.code for one in result.findings}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["classes"][2][
        "scores"]["auc"] == {"value": None, "low": None, "high": None}  # fmt: skip
