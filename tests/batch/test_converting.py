"""Scans to NIfTI: exact, complete, and what cannot be converted is told."""

import json

import nibabel
import numpy as np
import pytest

from medseg.batch import convert
from medseg.errors import InputRefused
from medseg.reading import read
from tests.reading.factory import image, series, write


def record(out):
    return json.loads((out / "findings.json").read_text())


def test_a_series_keeps_its_values_and_its_place(tmp_path):
    series(tmp_path / "in")
    run = convert(tmp_path / "in", tmp_path / "out")
    assert run.exit_status == 0
    written = nibabel.load(tmp_path / "out" / f"{run.outcomes[0].case}.nii.gz")
    scan = read(tmp_path / "in")
    assert written.get_data_dtype() == np.int16
    assert np.array_equal(written.get_fdata(), scan.array)
    assert np.allclose(written.affine, scan.geometry.affine, rtol=0, atol=1e-6)
    assert read(tmp_path / "out").geometry.same_as(scan.geometry)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(1, 40000, np.uint16), (100, -1e5, np.int32), (0.5, 0, np.float32), (1e5, 0, np.float32)],
)
def test_the_type_is_the_smallest_that_holds_every_value(tmp_path, slope, intercept, dtype):
    def rescale(ds, k):
        ds.RescaleSlope, ds.RescaleIntercept = slope, intercept

    series(tmp_path / "in", rescale)
    run = convert(tmp_path / "in", tmp_path / "out")
    written = nibabel.load(tmp_path / "out" / f"{run.outcomes[0].case}.nii.gz")
    assert written.get_data_dtype() == dtype
    assert np.array_equal(written.get_fdata(), read(tmp_path / "in").array)


def test_a_series_that_is_refused_does_not_stop_the_others(tmp_path):
    series(tmp_path / "in" / "good")
    write(tmp_path / "in" / "gap", *(image(k, series="2") for k in (0, 1, 3, 4)))
    run = convert(tmp_path / "in", tmp_path / "out")
    assert run.exit_status == 6
    assert [(one.status, one.code) for one in run.outcomes] == [
        ("done", ""), ("refused", "slices-missing"),
    ]  # fmt: skip
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 1
    told = record(tmp_path / "out")
    assert told["complete"] is True
    assert [case["code"] for case in told["cases"]] == ["", "slices-missing"]
    assert not any(secret in json.dumps(told) for secret in ("Secret", "SECRET", "1901", "2.25."))


def test_what_is_there_is_replaced_only_when_asked(tmp_path):
    series(tmp_path / "in")
    (file,) = (tmp_path / "out" / one.outputs["nifti"]["file"]
               for one in convert(tmp_path / "in", tmp_path / "out").outcomes)  # fmt: skip
    file.write_bytes(b"older")
    again = convert(tmp_path / "in", tmp_path / "out")
    assert (again.exit_status, again.outcomes[0].code) == (5, "output-exists")
    assert file.read_bytes() == b"older"
    assert convert(tmp_path / "in", tmp_path / "out", overwrite=True).exit_status == 0
    assert nibabel.load(file).shape == (4, 5, 6)


def test_a_rule_leaves_series_out_and_one_that_meets_none_is_refused(tmp_path):
    series(tmp_path / "in" / "1")
    series(tmp_path / "in" / "2", series="2")
    run = convert(tmp_path / "in", tmp_path / "out", series="number=2")
    assert [(one.case[-3:], one.status) for one in run.outcomes] == [
        ("002", "done"), ("001", "left out"),
    ]  # fmt: skip
    with pytest.raises(InputRefused, match="None of 2 series meets the rule"):
        convert(tmp_path / "in", tmp_path / "none", series="number=3")
    assert not (tmp_path / "none").exists()


def test_one_volume_of_a_4d_file_is_converted(tmp_path):
    array = np.arange(4 * 5 * 6 * 2, dtype=np.int16).reshape(4, 5, 6, 2)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "rest.nii")
    refused = convert(tmp_path / "rest.nii", tmp_path / "out")
    assert (refused.exit_status, refused.outcomes[0].code) == (3, "several-volumes")
    assert convert(tmp_path / "rest.nii", tmp_path / "out", volume=1).exit_status == 0
    written = nibabel.load(tmp_path / "out" / "rest.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), array[..., 1])


def test_an_interrupted_run_leaves_whole_files_and_a_record(tmp_path):
    for number in "123":
        series(tmp_path / "in" / number, series=number)

    def stop(done, total, case):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "in", tmp_path / "out", progress=stop)
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2
    assert record(tmp_path / "out")["complete"] is False
    assert not list((tmp_path / "out").glob(".*"))
