"""What is measured of a data set, on files small enough to count by hand."""

import json

import nibabel
import numpy as np
import pytest

from medseg.datasets import open_dataset
from medseg.errors import InputRefused
from medseg.planning import Fingerprint, fingerprint
from tests.datasets.test_dataset import make_msd, make_nnunet, save


def test_shapes_and_spacings_follow_the_patient_and_not_the_file(tmp_path):
    folder = make_msd(tmp_path, cases=1)
    # stored as (A, S, R) of 4 x 5 x 6 voxels of 2 x 3 x 1 mm
    affine = np.array([[0, 0, 1, 0], [2, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1.0]])
    save(folder / "imagesTr" / "case_0.nii.gz", np.ones((4, 5, 6), np.float32), affine)
    save(folder / "labelsTr" / "case_0.nii.gz", np.full((4, 5, 6), 5, np.uint8), affine)
    (case,) = fingerprint(open_dataset(folder)).cases
    assert case.shape == (5, 4, 6)
    np.testing.assert_allclose(case.spacing, (3, 2, 1))
    assert case.volumes_ml == {"Lump": pytest.approx(4 * 5 * 6 * 6 / 1000)}


def test_cropping_leaves_the_box_around_what_is_not_zero(tmp_path):
    folder = make_msd(tmp_path, cases=1)
    image = np.zeros((6, 7, 8), np.float32)
    image[1:4, 2:4, 5:6] = -7
    save(folder / "imagesTr" / "case_0.nii.gz", image)
    measured = fingerprint(open_dataset(folder))
    assert measured.cases[0].cropped == (1, 2, 3)
    assert measured.share_after_cropping == pytest.approx(6 / (6 * 7 * 8))


def test_intensities_are_those_of_the_foreground(tmp_path):
    folder = make_msd(tmp_path, cases=2)
    for n in range(2):
        truth = nibabel.load(folder / "labelsTr" / f"case_{n}.nii.gz").get_fdata()
        image = np.where(truth > 0, 10.0 + n, 1000).astype(np.float32)
        save(folder / "imagesTr" / f"case_{n}.nii.gz", image)
    (seen,) = fingerprint(open_dataset(folder)).intensities
    # both cases weigh the same
    assert (seen.smallest, seen.largest, seen.low, seen.high) == (10, 11, 10, 11)
    assert (seen.mean, seen.deviation) == (10.5, 0.5)


def test_every_channel_is_measured(tmp_path):
    measured = fingerprint(open_dataset(make_nnunet(tmp_path)))
    assert [seen.mean for seen in measured.intensities] == [0, 1]
    assert any(one.code == "image-constant" for one in measured.findings) is False


def test_a_bad_case_is_a_finding_and_the_others_are_measured(tmp_path):
    folder = make_msd(tmp_path, cases=3)
    (folder / "imagesTr" / "case_1.nii.gz").write_bytes(b"no image")
    save(folder / "labelsTr" / "case_2.nii.gz", np.zeros((6, 7, 8), np.uint8))
    told = []
    measured = fingerprint(open_dataset(folder), lambda done, total: told.append((done, total)))
    assert [case.name for case in measured.cases] == ["case_0", "case_2"]
    error, warning = measured.findings
    assert (error.level, "case_1" in error.words) == ("error", True)
    assert (warning.code, "case_2" in warning.words) == ("label-empty", True)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_data_set_of_which_nothing_can_be_read_is_refused(tmp_path):
    folder = make_msd(tmp_path, cases=1)
    (folder / "imagesTr" / "case_0.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputRefused) as refusal:
        fingerprint(open_dataset(folder))
    assert refusal.value.code == "dataset-unreadable"


def test_it_goes_through_json_unchanged(tmp_path):
    measured = fingerprint(open_dataset(make_msd(tmp_path)))
    again = Fingerprint.model_validate(json.loads(measured.model_dump_json()))
    assert again == measured
    assert fingerprint(open_dataset(tmp_path)) == measured  # and is the same each time
