import gzip

import nibabel
import numpy as np
import pytest

from medseg.errors import InputRefused
from medseg.reading import read, scan

AFFINE = np.array([[-1.5, 0, 0, 40], [0, -2, 0, 50], [0, 0, 3, -60], [0, 0, 0, 1]])
VALUES = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def save(path, values=VALUES, affine=AFFINE, change=lambda image: None):
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    change(image)
    nibabel.save(image, path)
    return path


def refused(path, **how) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        read(path, **how)
    return refusal.value


def codes(volume):
    return [finding.code for finding in volume.findings]


@pytest.mark.parametrize(
    "name", ["liver 01.nii", "liver 01.nii.gz", "liver 01.hdr", "liver 01.img"]
)
def test_a_file_is_read_in_file_order(tmp_path, name):
    save(tmp_path / name) if name[-3:] != "hdr" else nibabel.save(
        nibabel.Nifti1Pair(VALUES, AFFINE), tmp_path / "liver 01.img"
    )
    if name.endswith(".img"):
        assert len(scan(tmp_path)) == 1
    volume = read(tmp_path / name)
    np.testing.assert_array_equal(volume.array, VALUES)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.geometry.affine, AFFINE)
    assert (volume.source.case, volume.source.form, volume.modality) == ("liver_01", "nifti", "")
    np.testing.assert_allclose(volume.source.header.get_best_affine(), AFFINE)


def test_stems_that_clash_get_a_hash(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "imaging.nii.gz")
    cases = [one.case for one in scan(tmp_path)]
    assert len(set(cases)) == 2
    assert all(case.startswith("imaging-") for case in cases)


def set_raw(path, offset, *values):
    """Write numbers into the header, where nibabel would correct them."""
    data = bytearray(path.read_bytes())
    content = b"".join(value.tobytes() for value in values)
    data[offset : offset + len(content)] = content
    path.write_bytes(data)
    return path


QFORM_CODE, SCL_SLOPE, PIXDIM_3, SROW_Z = 252, 112, 88, 312  # nifti1.h


@pytest.mark.parametrize(
    ("slope", "inter", "expected"), [(0.5, 7, 36.5), (0, 7, 59), (np.nan, 7, 59)]
)
def test_slope_and_intercept_are_applied_unless_the_slope_is_0_or_nan(
    tmp_path, slope, inter, expected
):
    path = set_raw(save(tmp_path / "a.nii"), SCL_SLOPE, np.float32(slope), np.float32(inter))
    assert read(path).array[-1, -1, -1] == expected


def test_sform_wins_and_the_distance_is_said(tmp_path):
    other = AFFINE.copy()
    other[0, 3] += 3
    volume = read(save(tmp_path / "a.nii", change=lambda image: image.set_qform(other, 1)))
    np.testing.assert_allclose(volume.geometry.affine, AFFINE)
    assert "3.00 mm apart" in volume.findings[0].words
    assert codes(volume) == ["affines-differ"]


def test_without_codes_left_and_right_are_a_guess(tmp_path):
    path = set_raw(save(tmp_path / "a.nii"), QFORM_CODE, np.int16(0), np.int16(0))
    assert codes(read(path)) == ["no-orientation"]


def test_analyze_has_no_orientation(tmp_path):
    nibabel.save(nibabel.AnalyzeImage(VALUES, np.diag([2.0, 2, 2, 1])), tmp_path / "old.img")
    volume = read(tmp_path / "old.hdr")
    np.testing.assert_array_equal(volume.array, VALUES)
    assert codes(volume) == ["no-orientation"]


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1000), ("micron", 0.001)])
def test_other_units_become_millimetres(tmp_path, unit, scale):
    path = save(tmp_path / "a.nii", change=lambda image: image.header.set_xyzt_units(unit))
    volume = read(path)
    np.testing.assert_allclose(volume.geometry.spacing, np.multiply([1.5, 2, 3], scale))
    assert codes(volume) == ["units-converted"]


def test_four_axes_need_a_number(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.stack([VALUES, VALUES + 100], axis=-1))
    found = scan(path)[0]
    assert not found.usable
    assert refused(path).code == "several-volumes"
    assert "the file holds 2" in refused(path).found
    assert read(path, volume=1).array[0, 0, 1] == 101
    assert read(path, volume=1).findings == ()
    assert refused(path, volume=2).code == "volume-invalid"


def test_a_fourth_axis_of_one_is_no_axis(tmp_path):
    assert read(save(tmp_path / "a.nii", VALUES[..., None])).array.shape == (3, 4, 5)


def test_two_axes_are_one_slice(tmp_path):
    assert read(save(tmp_path / "a.nii", VALUES[..., 0])).array.shape == (3, 4, 1)


def test_infinite_values_become_the_least_true_one(tmp_path):
    values = VALUES.astype(np.float32) + 5
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    volume = read(save(tmp_path / "a.nii", values))
    assert (volume.array[0, 0, :3] == 8).all()
    assert "3 of 60 voxels are NaN or infinite" in volume.findings[0].words
    assert refused(save(tmp_path / "b.nii", values * np.nan)).code == "not-finite"


def test_zero_spacing_is_refused_and_negative_said(tmp_path):
    zero = set_raw(save(tmp_path / "a.nii"), PIXDIM_3, np.float32(0))
    assert refused(zero).code == "zero-spacing"
    assert "1.5 x 2 x 0 mm" in refused(zero).found
    negative = set_raw(save(tmp_path / "b.nii"), PIXDIM_3, np.float32(-3))
    assert "spacing-negative" in codes(read(negative))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_truncated_file_is_seen_by_the_scan(tmp_path, name):
    noise = np.random.default_rng(1).integers(0, 9999, (20, 20, 20)).astype(np.int16)
    path = save(tmp_path / name, noise)
    path.write_bytes(path.read_bytes()[:-3000])
    refusal = scan(path)[0].refusal()
    assert refusal.code == "file-truncated"
    assert "truncated file" in refusal.found


def test_a_gz_cut_to_a_plausible_end_is_not_trusted(tmp_path):
    # The last four bytes of a gz are its length; here a cut file ends in a true one.
    noise = np.random.default_rng(1).integers(0, 9999, (20, 20, 20)).astype(np.int16)
    path = save(tmp_path / "a.nii.gz", noise)
    content = path.read_bytes()
    path.write_bytes(content[:-3000] + content[-4:])
    assert refused(path).code == "file-truncated"


def test_bgzip_members_are_read_whole(tmp_path):
    plain = save(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(plain[:400]) + gzip.compress(plain[400:]))
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz").array, VALUES)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colour"),
        (VALUES.astype(np.complex64), "complex"),
        (VALUES[..., None, None] + np.zeros(3, np.int16), "3 x 4 x 5 x 1 x 3 voxels"),
    ],
)
def test_voxels_of_several_numbers_are_refused(tmp_path, values, words):
    refusal = refused(save(tmp_path / "a.nii", values))
    assert refusal.code == "nifti-not-scalar"
    assert words in refusal.found


def test_a_vector_intent_is_refused(tmp_path):
    path = save(tmp_path / "a.nii", change=lambda image: image.header.set_intent("vector"))
    assert "intent" in refused(path).found


def test_an_affine_of_no_volume_is_refused(tmp_path):
    path = set_raw(save(tmp_path / "a.nii"), SROW_Z, *np.float32([0, -2, 0, 50]))  # as srow_y
    assert refused(path).code == "geometry-invalid"


@pytest.mark.parametrize("content", [b"no image at all" * 40, b"\x1f\x8b\x08broken", b"x"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_what_is_no_nifti_is_refused_without_its_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refusal = refused(tmp_path)
    assert refusal.code in ("nifti-damaged", "file-truncated")
    assert str(tmp_path) not in str(refusal)


def test_a_pair_without_its_data_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(VALUES, AFFINE), tmp_path / "a.img")
    (tmp_path / "a.img").unlink()
    assert refused(tmp_path).code == "nifti-damaged"


def test_an_empty_file_is_listed_with_its_name(tmp_path):
    (tmp_path / "case7.nii.gz").touch()
    found = scan(tmp_path)[0]
    assert (found.case, found.refusal().code) == ("case7", "file-empty")


def test_memory_that_does_not_suffice_is_a_refusal(tmp_path, monkeypatch):
    path = save(tmp_path / "a.nii")

    def full(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(nibabel.arrayproxy.ArrayProxy, "__array__", full)
    assert refused(path).code == "too-large"
