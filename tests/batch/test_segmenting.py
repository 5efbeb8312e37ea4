"""One scan or a tree of studies: nothing lost, nothing half-written, reasons told."""

import json
import shutil

import nibabel
import numpy as np
import pytest

from medseg.batch import segment
from medseg.errors import InputRefused, OutputFailed
from medseg.reading import read_labels

pytestmark = pytest.mark.usefixtures("threshold_engine")


def save_scan(path, seed=0, shape=(10, 9, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).uniform(0, 90, shape).astype(np.float32)
    array[2:5, 3:6, 1:4] = 200
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return array


def test_a_scan_becomes_a_mask_a_picture_and_a_record(tmp_path, bright_model):
    array = save_scan(tmp_path / "in" / "a.nii.gz")
    run = segment(tmp_path / "in" / "a.nii.gz", model=bright_model, out=tmp_path / "out")
    assert run.exit_status == 0
    mask = read_labels(tmp_path / "out" / "a" / "mask.nii.gz")
    assert np.array_equal(mask.array == 7, array > 100)
    assert sorted(path.name for path in (tmp_path / "out" / "a").iterdir()) == [
        "case.json", "mask.nii.gz", "sheet.png",
    ]  # fmt: skip
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["complete"] is True
    case = record["cases"][0]
    assert case["status"] == "done"
    assert case["volumes_ml"] == {"Lesion": pytest.approx(0.027)}
    assert "seg-needs-dicom" in {finding["code"] for finding in case["findings"]}


def test_a_dicom_study_gets_a_seg_and_a_pseudonym(tmp_path, bright_model, make_study, make_grid):
    volume = make_study(tmp_path / "in", make_grid((12, 11, 6), (1, 1, 1)))
    run = segment(tmp_path / "in", model=bright_model, out=tmp_path / "out")
    assert run.outcomes[0].status == "done"
    folder = tmp_path / "out" / run.outcomes[0].case
    mask = read_labels(folder / "mask.nii.gz")
    assert np.array_equal(mask.array == 7, volume.array > 100)
    assert (folder / "seg.dcm").exists()
    told = (tmp_path / "out" / "run.json").read_text() + str(folder)
    assert not any(secret in told for secret in ("Doe", "SECRET", "19700101", "2.25."))


def test_a_bad_scan_does_not_stop_the_others(tmp_path, bright_model, threshold_engine):
    for name in "abc":
        save_scan(tmp_path / "in" / f"{name}.nii.gz")
    (tmp_path / "in" / "b.nii.gz").write_bytes(b"\x1f\x8bnot a scan")
    run = segment(tmp_path / "in", model=bright_model, out=tmp_path / "out", formats=["nifti"])
    assert {one.case: one.status for one in run.outcomes} == {
        "a": "done", "b": "refused", "c": "done",
    }  # fmt: skip
    assert run.exit_status == 6
    assert len(threshold_engine) == 1  # one loaded model for all
    assert not (tmp_path / "out" / "b").exists()


def test_resume_leaves_alone_what_is_whole_and_repairs_what_is_not(tmp_path, bright_model):
    for seed, name in enumerate("ab"):
        save_scan(tmp_path / "in" / f"{name}.nii.gz", seed)
    told = {"model": bright_model, "out": tmp_path / "out", "formats": ["nifti"]}
    segment(tmp_path / "in", **told)
    whole = (tmp_path / "out" / "a" / "mask.nii.gz").stat().st_mtime_ns
    (tmp_path / "out" / "b" / "mask.nii.gz").write_bytes(b"damaged")
    run = segment(tmp_path / "in", **told, resume=True)
    assert [one.status for one in run.outcomes] == ["resumed", "done"]
    assert (tmp_path / "out" / "a" / "mask.nii.gz").stat().st_mtime_ns == whole
    save_scan(tmp_path / "in" / "a.nii.gz", seed=9)  # another scan under the old name
    assert segment(tmp_path / "in", **told, resume=True).outcomes[0].status == "done"


def test_an_archive_is_segmented_with_a_seg_and_known_again(
    tmp_path, bright_model, make_study, make_grid, monkeypatch
):
    make_study(tmp_path / "Doe", make_grid((12, 11, 6), (1, 1, 1)))
    path = shutil.make_archive(str(tmp_path / "Doe"), "zip", tmp_path, "Doe")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    told = {"model": bright_model, "out": tmp_path / "out", "formats": ["nifti", "seg"]}
    first = segment(path, **told)
    assert (tmp_path / "out" / first.outcomes[0].case / "seg.dcm").exists()
    assert segment(path, **told, resume=True).outcomes[0].status == "resumed"
    assert segment(tmp_path / "Doe", **told, resume=True).outcomes[0].status == "resumed"
    assert not list(temporary.iterdir())
    record = (tmp_path / "out" / "run.json").read_text()
    assert not any(name in record for name in ("Doe", "temporary", "medseg-"))


def test_results_are_not_replaced_unless_asked(tmp_path, bright_model):
    save_scan(tmp_path / "a.nii.gz")
    told = {"model": bright_model, "out": tmp_path / "out", "formats": ["nifti"]}
    segment(tmp_path / "a.nii.gz", **told)
    with pytest.raises(OutputFailed, match="There are results of a already"):
        segment(tmp_path / "a.nii.gz", **told)
    assert segment(tmp_path / "a.nii.gz", **told, overwrite=True).exit_status == 0


def test_series_of_another_modality_in_a_tree_are_left_out_with_the_reason(
    tmp_path, bright_model, make_study, make_grid
):
    make_study(tmp_path / "in" / "mr", make_grid((12, 11, 6), (1, 1, 1)))
    _as_ct(make_study(tmp_path / "in" / "ct", make_grid((12, 11, 6), (1, 1, 1))))
    run = segment(tmp_path / "in", model=bright_model, out=tmp_path / "out", formats=["nifti"])
    assert {(one.modality, one.status) for one in run.outcomes} == {
        ("MR", "done"), ("CT", "left out"),
    }  # fmt: skip
    done = next(one for one in run.outcomes if one.status == "done")
    assert "series-chosen" in {finding.code for finding in done.findings}


def test_one_scan_of_another_modality_runs_with_a_warning_or_is_refused(
    tmp_path, bright_model, make_study, make_grid
):
    _as_ct(make_study(tmp_path / "in", make_grid((12, 11, 6), (1, 1, 1))))
    told = {"model": bright_model, "formats": ["nifti"]}
    run = segment(tmp_path / "in", out=tmp_path / "one", **told)
    assert ("warning", "modality-differs") in {(f.level, f.code) for f in run.outcomes[0].findings}
    run = segment(tmp_path / "in", out=tmp_path / "two", strict_modality=True, **told)
    assert run.outcomes[0].code == "modality-differs"
    assert run.exit_status == 3


def test_two_series_side_by_side_are_refused_and_listed_until_a_rule_chooses(
    tmp_path, bright_model, make_study, make_grid
):
    make_study(tmp_path / "in", make_grid((12, 11, 6), (1, 1, 1)))
    other = make_study(tmp_path / "other", make_grid((12, 11, 6), (1, 1, 1)))
    _renamed_series(other, tmp_path / "in")
    with pytest.raises(InputRefused, match="2 series in one folder qualify") as refusal:
        segment(tmp_path / "in", model=bright_model, out=tmp_path / "out")
    assert "series 3" in refusal.value.do
    assert "series 4" in refusal.value.do
    run = segment(tmp_path / "in", model=bright_model, out=tmp_path / "out", series="number=4",
                  formats=["nifti"])  # fmt: skip
    assert [one.status for one in run.outcomes] == ["done", "left out"]


def _as_ct(volume):
    import pydicom

    for path in volume.source.files:
        image = pydicom.dcmread(path)
        image.Modality = "CT"
        image.SeriesInstanceUID = f"{image.SeriesInstanceUID[:-1]}9"
        image.SeriesNumber = 8
        image.save_as(path)


def _renamed_series(volume, folder):
    import pydicom

    for path in volume.source.files:
        image = pydicom.dcmread(path)
        image.SeriesInstanceUID = f"{image.SeriesInstanceUID[:-1]}9"
        image.SOPInstanceUID = f"{image.SOPInstanceUID[:-1]}9"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.SeriesNumber = 4
        image.save_as(folder / f"second-{path.name}")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty", None, "There is no scan here"),
        ("notes.txt", b"these are notes", "There is no scan here"),
        ("zero.dcm", b"", "The file is empty"),
        ("half.nii.gz", b"\x1f\x8b\x08\x00", "truncated|damaged|cannot be read"),
    ],
)
def test_what_is_no_scan_is_refused_and_leaves_nothing(
    tmp_path, bright_model, name, content, words
):
    path = tmp_path / "in" / name
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(InputRefused, match=words):
        segment(path, model=bright_model, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there_is_refused(tmp_path, bright_model):
    with pytest.raises(InputRefused, match="no file or folder at this path"):
        segment(tmp_path / "none", model=bright_model, out=tmp_path / "out")


def test_an_unknown_format_is_refused(tmp_path, bright_model):
    save_scan(tmp_path / "a.nii.gz")
    with pytest.raises(OutputFailed, match="no output format 'tiff'"):
        segment(tmp_path / "a.nii.gz", model=bright_model, out=tmp_path / "out", formats=["tiff"])


def test_an_interruption_leaves_whole_cases_and_says_that_it_was_one(
    tmp_path, bright_model, monkeypatch
):
    from medseg.batch import segmenting

    for name in "abc":
        save_scan(tmp_path / "in" / f"{name}.nii.gz")
    write, calls = segmenting.write, []

    def interrupted(result, folder, formats):
        calls.append(folder)
        paths = write(result, folder, formats)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return paths

    monkeypatch.setattr(segmenting, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        segment(tmp_path / "in", model=bright_model, out=tmp_path / "out", formats=["nifti"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "run.json"]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["complete"] is False
    assert [case["case"] for case in record["cases"]] == ["a"]


def test_probabilities_sum_to_one_on_the_grid_of_the_scan(tmp_path, bright_model):
    array = save_scan(tmp_path / "a.nii.gz")
    segment(tmp_path / "a.nii.gz", model=bright_model, out=tmp_path / "out",
            formats=["probabilities"])  # fmt: skip
    image = nibabel.load(tmp_path / "out" / "a" / "probabilities.nii.gz")
    shares = np.asarray(image.dataobj)
    assert shares.shape == (*array.shape, 2)
    np.testing.assert_allclose(shares.sum(axis=-1), 1, atol=1e-5)
    assert np.array_equal(image.affine, np.diag([-1.0, 1.0, 1.0, 1.0]))
