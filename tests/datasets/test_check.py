"""What a check finds in data sets that were spoilt on purpose, and that it finds no more."""

import json

import numpy as np
import pytest

from medseg.datasets import open_dataset
from medseg.datasets.check import check
from medseg.datasets.measuring import thumbnail
from tests.datasets.test_dataset import describe, save

SHAPE = (16, 18, 20)
CASES = 12


def make_scan(n):
    """Return the image of a patient: a body of their own, and a bright lump; and its labels."""
    rng = np.random.default_rng(n)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij"))
    waves = sum(np.cos(rng.uniform(-4, 4, 3) @ grid.reshape(3, -1) + rng.uniform(0, 6))
                for _ in range(6)).reshape(SHAPE)  # fmt: skip
    truth = np.zeros(SHAPE, np.uint8)
    i, j, k = rng.integers(5, 8, 3)
    truth[i : i + 4, j : j + 4, k : k + rng.integers(4, 6)] = 1
    truth.ravel()[np.flatnonzero(truth)[n]] = 0  # so that no two patients have the same
    return (100 + 10 * waves + 40 * truth + rng.normal(size=SHAPE)).astype(np.float32), truth


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    for n in range(CASES):
        image, truth = make_scan(n)
        save(folder / "imagesTr" / f"c{n:02d}_0000.nii.gz", image)
        save(folder / "labelsTr" / f"c{n:02d}.nii.gz", truth)
    content = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz",
               "labels": {"background": 0, "lump": 1}, "numTraining": CASES}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def data(sound, tmp_path):
    """A data set whose files are links to those of a sound one, so that a test may spoil it."""
    for path in sound.rglob("*.nii.gz"):
        link = tmp_path / path.relative_to(sound)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(path)
    (tmp_path / "dataset.json").write_text((sound / "dataset.json").read_text())
    return tmp_path


def put(folder, n, image=None, truth=None, affine=None):
    for path, array in ((folder / "imagesTr" / f"c{n:02d}_0000.nii.gz", image),
                        (folder / "labelsTr" / f"c{n:02d}.nii.gz", truth)):  # fmt: skip
        if array is not None:
            path.unlink()
            save(path, array, affine)


def found(folder, patient=None):
    """Return level and cases of each finding, by its code."""
    report = check(open_dataset(folder, patient), workers=2)
    return {one.finding.code: (one.finding.level, one.cases) for one in report.remarks}


def test_nothing_is_found_in_a_sound_data_set(data):
    assert found(data) == {}


def put_nan(folder):
    image, _ = make_scan(3)
    image[0, 0, :9] = np.nan
    put(folder, 3, image)


def put_constant(folder):
    put(folder, 3, np.full(SHAPE, 7, np.float32))


def put_empty(folder):
    put(folder, 3, truth=np.zeros(SHAPE, np.uint8))


def put_value(folder):
    put(folder, 3, truth=np.full(SHAPE, 2, np.uint8))


def put_shape(folder):
    put(folder, 3, truth=np.zeros((3, 3, 3), np.uint8))


def put_affine(folder):
    put(folder, 3, truth=make_scan(3)[1], affine=np.diag([1, 1, 2, 1.0]))


def put_garbage(folder):
    path = folder / "imagesTr" / "c03_0000.nii.gz"
    path.unlink()
    path.write_bytes(b"no image at all")


def put_large(folder):
    truth = np.zeros(SHAPE, np.uint8)
    truth[1:-1, 1:-1, 1:-1] = 1
    put(folder, 3, truth=truth)


def put_foreign(folder):
    image, truth = make_scan(3)
    image[truth > 0] -= 80
    put(folder, 3, image)


def put_mirrored(folder):
    truth = np.zeros(SHAPE, np.uint8)
    truth[0:4, 0:4, 0:4] = 1
    put(folder, 3, truth=truth)


def put_thick(folder):
    image, truth = make_scan(3)
    put(folder, 3, image, truth, np.diag([1, 1, 3, 1.0]))


@pytest.mark.parametrize(
    ("spoil", "code", "level"),
    [
        (put_nan, "not-finite", "error"),
        (put_constant, "image-constant", "warning"),
        (put_empty, "label-empty", "warning"),
        (put_value, "labels-unknown", "error"),
        (put_shape, "grids-differ", "error"),
        (put_affine, "grids-differ", "error"),
        (put_garbage, "nifti-damaged", "error"),
        (put_large, "volume-unlike", "warning"),
        (put_foreign, "contrast-unlike", "warning"),
        (put_mirrored, "place-unlike", "warning"),
        (put_thick, "spacing-unlike", "warning"),
    ],
)
def test_a_case_that_was_spoilt_is_found(data, spoil, code, level):
    spoil(data)
    told = found(data)
    assert told[code] == (level, ("c03",))
    assert {case for _, cases in told.values() for case in cases} == {"c03"}


def test_one_image_in_two_patients_is_an_error_and_in_one_patient_a_warning(data):
    put(data, 3, make_scan(4)[0][:, ::-1, :], make_scan(4)[1][:, ::-1, :],
        np.array([[1, 0, 0, 0], [0, -1, 0, 17], [0, 0, 1, 0], [0, 0, 0, 1.0]]))  # fmt: skip
    told = found(data)
    assert told["image-repeated"] == ("error", ("c03", "c04"))  # in whatever order of axes
    assert "image-similar" not in told
    assert found(data, "^c")["image-repeated"][0] == "warning"


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image + np.random.default_rng(0).normal(0, 2, SHAPE),
        lambda image: 3 * image + 50,
        lambda image: np.rint(255 * image / image.max()),
    ],
)
def test_an_image_that_was_changed_a_little_is_found_again(data, change):
    put(data, 3, change(make_scan(4)[0]).astype(np.float32))
    assert found(data)["image-similar"] == ("warning", ("c03", "c04"))


def test_labels_of_one_case_on_the_image_of_another_are_found(data):
    put(data, 3, truth=make_scan(4)[1])
    assert found(data)["label-repeated"] == ("warning", ("c03", "c04"))


def test_a_patient_on_both_sides_of_a_split_is_an_error(data):
    names = [f"c{n:02d}" for n in range(CASES)]
    (data / "splits_final.json").write_text(json.dumps([{"train": names[1:], "val": names[:1]}]))
    told = found(data, "^c(.)")
    assert told["patient-divided"] == ("error", ("c01", "c00"))
    assert told["patients-grouped"] == ("info", ())


def test_a_label_that_no_case_has_and_mixed_orders_of_axes_are_told(data):
    describe(data, labels={"background": 0, "lump": 1, "ghost": 2})
    image, truth = make_scan(3)
    put(data, 3, image, truth, np.diag([-1, 1, 1, 1.0]))
    told = found(data)
    assert told["label-never"] == ("warning", ())
    assert told["orientation-mixed"][0] == "info"


def test_a_thumbnail_holds_the_means_of_boxes():
    array = np.kron(np.arange(12.0), np.ones(2))[:, None, None] * np.ones((1, 12, 5))
    small = thumbnail(array).reshape(12, 12, 12)
    expected = np.arange(12) - 5.5
    np.testing.assert_allclose(small[:, 0, 0] / small[-1, 0, 0], expected / 5.5, rtol=1e-5)
    assert not thumbnail(np.ones((3, 4, 5))).any()
