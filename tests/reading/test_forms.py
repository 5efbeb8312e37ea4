"""NRRD, MetaImage and MGH files, against the NIfTI file of the same grid and voxels."""

import gzip
import subprocess
import sys
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg import convert
from medseg.dicom.space import to_lps
from medseg.errors import InputRefused
from medseg.reading import read, read_labels, scan
from tests.grids import geometries

ITK = ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"]
VALUES = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
AFFINE = np.array([[-1.5, 0, 0, 40], [0, -2, 0, 50], [0, 0, 3, -60], [0, 0, 0, 1]])


def save(path, values=VALUES, affine=AFFINE, compress=False):
    """Write an array ``(I, J, K)`` on a RAS+ grid in the form that the name asks for."""
    if path.suffix in (".mgh", ".mgz"):
        nibabel.save(nibabel.MGHImage(values, affine), path)
        return path
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T))
    steps = to_lps(affine[:3, :3].T).T
    sizes = np.linalg.norm(steps, axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((steps / sizes).ravel().tolist())
    image.SetOrigin(to_lps(affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path), compress)
    return path


def nifti(path, values=VALUES, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def refused(path, **how) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        read(path, **how)
    assert str(path.parent) not in str(refusal.value)
    assert scan(path)[0].scan
    return refusal.value


def codes(volume):
    return [finding.code for finding in volume.findings]


@settings(max_examples=15, deadline=None)
@given(geometries(), st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32]))
def test_any_grid_and_every_voxel_are_those_of_the_nifti_file(tmp_path_factory, grid, kind):
    folder = tmp_path_factory.mktemp("forms")
    values = (np.random.default_rng(0).random(grid.shape) * 250).astype(kind)
    same = read(nifti(folder / "a.nii", values, grid.affine))
    # nibabel writes no MGH file of uint16
    for name in ITK if kind == np.uint16 else [*ITK, "a.mgh", "a.mgz"]:
        volume = read(save(folder / name, values, grid.affine))
        assert np.abs(volume.geometry.corners - same.geometry.corners).max() < 1e-4, name
        np.testing.assert_array_equal(volume.array, same.array, name)
        assert volume.array.dtype == np.float32
        assert volume.findings == (), name


@pytest.mark.parametrize("name", [*ITK, "a.mgz"])
def test_a_file_is_listed_and_read_as_one_of_nifti_is(tmp_path, name):
    path = save(tmp_path / f"liver 01{name[1:]}")
    found = scan(tmp_path)
    assert len(found) == 1
    assert (found[0].case, found[0].images) == ("liver_01", 5)
    form = {"n": "nrrd", "m": "metaimage"}[name[2]] if "mgz" not in name else "mgh"
    assert found[0].form == read(path).source.form == form
    assert len(found[0].files) == 1 + (name in ("a.nhdr", "a.mhd"))
    if len(found[0].files) > 1:  # either file of a pair may be named
        assert found.skipped == {f"data of a {path.suffix} file": 1}
        np.testing.assert_array_equal(read(path.with_suffix(".raw")).array, VALUES)


@pytest.mark.parametrize("name", ITK)
@pytest.mark.parametrize("compress", [False, True])
def test_compressed_voxels_are_the_same(tmp_path, name, compress):
    values = np.zeros((30, 20, 10), np.int16)
    values[3:9] = 7
    path = save(tmp_path / name, values, compress=compress)
    np.testing.assert_array_equal(read(path).array, values)


def test_a_scan_becomes_nifti_by_convert(tmp_path):
    save(tmp_path / "a.nrrd")
    assert convert(tmp_path / "a.nrrd", tmp_path / "out").exit_status == 0
    image = nibabel.load(tmp_path / "out" / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), VALUES)
    np.testing.assert_allclose(image.affine, AFFINE)


@pytest.mark.parametrize("name", [*ITK, "a.mgz"])
def test_label_maps_come_in_these_forms_too(tmp_path, name):
    mask = (VALUES % 3).astype(np.uint8)
    onto = read(nifti(tmp_path / "scan.nii"))
    found = read_labels(save(tmp_path / name, mask), onto=onto)
    np.testing.assert_array_equal(found.array, mask)
    assert found.array.dtype == np.uint8
    with pytest.raises(InputRefused) as refusal:
        read_labels(save(tmp_path / name, (mask / 2).astype(np.float32)))
    assert refusal.value.code == "labels-not-whole"


def test_values_that_are_not_finite_are_treated_as_in_nifti(tmp_path):
    values = VALUES.astype(np.float32) + 5
    values[0, 0, :2] = np.nan, np.inf
    for name in ("a.nrrd", "a.mha", "a.mgz"):
        volume = read(save(tmp_path / name, values))
        assert (volume.array[0, 0, :2] == 7).all()
        assert codes(volume) == ["not-finite"]


# --- several volumes, two axes, more than one number a voxel


def test_four_axes_need_a_number(tmp_path):
    both = np.stack([VALUES, VALUES + 100], axis=-1)
    image = SimpleITK.JoinSeries(
        [SimpleITK.GetImageFromArray(one.T) for one in both.T.swapaxes(1, 3)]
    )
    SimpleITK.WriteImage(image, str(tmp_path / "a.mha"))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    nibabel.save(nibabel.MGHImage(both, AFFINE), tmp_path / "a.mgz")
    for path in sorted(tmp_path.iterdir()):
        refusal = refused(path)
        assert refusal.code == "several-volumes"
        assert "the file holds 2" in refusal.found
        assert read(path, volume=1).array.shape == (3, 4, 5)
        np.testing.assert_array_equal(read(path, volume=1).array, VALUES + 100)
        assert refused(path, volume=2).code == "volume-invalid"


def test_two_axes_are_one_slice_of_unknown_place(tmp_path):
    for name in ("a.mha", "a.nrrd"):
        image = SimpleITK.GetImageFromArray(VALUES[..., 0].T)
        image.SetSpacing((1.5, 2))
        SimpleITK.WriteImage(image, str(tmp_path / name))
        volume = read(tmp_path / name)
        np.testing.assert_array_equal(volume.array[..., 0], VALUES[..., 0])
        assert volume.geometry.spacing == (1.5, 2, 1)
        assert codes(volume) == ["no-orientation"]


@pytest.mark.parametrize("name", ITK)
def test_vectors_colours_and_complex_numbers_are_refused(tmp_path, name):
    vectors = SimpleITK.GetImageFromArray(np.zeros((5, 4, 3, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(vectors, str(tmp_path / name))
    assert refused(tmp_path / name).code == "nifti-not-scalar"


def test_complex_voxels_are_refused(tmp_path):
    image = SimpleITK.Image((3, 4, 5), SimpleITK.sitkComplexFloat32)
    for name in ("a.nrrd", "a.mha"):
        SimpleITK.WriteImage(image, str(tmp_path / name))
        assert refused(tmp_path / name).code == "nifti-not-scalar"


# --- NRRD headers

BYTES = np.arange(24, dtype=np.uint8)
STORED = BYTES.tobytes()
PLACE = "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (1,2,3)\n"


def nrrd(path, *lines, data=STORED, sizes="2 3 4", encoding="raw"):
    head = ["NRRD0004", "type: uint8", f"dimension: {len(sizes.split())}", f"sizes: {sizes}",
            f"encoding: {encoding}", *lines]  # fmt: skip
    path.write_bytes("\n".join(line.strip("\n") for line in head).encode() + b"\n\n" + data)
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("LAS", (-1, 1, 1)),
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
    ],
)
def test_every_space_of_a_patient_is_brought_to_ras(tmp_path, space, signs):
    volume = read(nrrd(tmp_path / "a.nrrd", f"space: {space}", PLACE))
    expected = np.diag([2.0, 3, 4, 1])
    expected[:3, 3] = 1, 2, 3
    np.testing.assert_array_equal(volume.geometry.affine, np.diag([*signs, 1]) @ expected)
    np.testing.assert_array_equal(volume.array, BYTES.reshape(4, 3, 2).T)
    assert volume.findings == ()


@pytest.mark.parametrize(
    ("space", "signs"),
    [("LPST", (-1, -1, 1)), ("RAST", (1, 1, 1)), ("left-anterior-superior-time", (-1, 1, 1))],
)
def test_so_is_every_space_with_a_time_which_itk_leaves_as_it_is(tmp_path, space, signs):
    place = "space directions: (2,0,0,0) (0,3,0,0) (0,0,4,0) (0,0,0,1)\nspace origin: (1,2,3,0)"
    path = nrrd(tmp_path / "a.nrrd", f"space: {space}", place, sizes="2 3 2 2")
    affine = read(path, volume=1).geometry.affine
    np.testing.assert_array_equal(affine[:3, 3], np.multiply(signs, (1, 2, 3)))
    np.testing.assert_array_equal(affine.diagonal()[:3], np.multiply(signs, (2, 3, 4)))
    np.testing.assert_array_equal(read(path, volume=1).array, BYTES.reshape(2, 2, 3, 2)[1].T)


@pytest.mark.parametrize("first", [True, False])
def test_an_axis_of_kind_list_holds_volumes(tmp_path, first):
    kinds = ["domain"] * 3
    kinds.insert(0 if first else 3, "list")
    steps = ["(2,0,0)", "(0,3,0)", "(0,0,4)"]
    steps.insert(0 if first else 3, "none")
    path = nrrd(tmp_path / "a.nrrd", "space: RAS", f"kinds: {' '.join(kinds)}",
                f"space directions: {' '.join(steps)}", "space origin: (1,2,3)",
                sizes="2 2 3 2" if first else "2 3 2 2")  # fmt: skip
    assert refused(path).code == "several-volumes"
    values = BYTES.reshape(2, 3, 2, 2)[..., 1] if first else BYTES.reshape(2, 2, 3, 2)[1]
    np.testing.assert_array_equal(read(path, volume=1).array, values.T)
    assert read(path, volume=1).geometry.spacing == (2, 3, 4)


@pytest.mark.parametrize(
    "lines",
    [
        ("space: scanner-xyz", PLACE),
        ("space: 3D-right-handed", PLACE),
        ("space dimension: 3", PLACE),
        ("spacings: 2 3 4",),
        ("space: RAS", "space directions: (2,0,0) (0,3,0) (0,0,4)"),
    ],
)
def test_a_file_that_does_not_say_how_it_lies_is_read_with_a_warning(tmp_path, lines):
    volume = read(nrrd(tmp_path / "a.nrrd", *lines))
    assert codes(volume) == ["no-orientation"]
    assert volume.geometry.spacing == (2, 3, 4)


def test_other_units_become_millimetres(tmp_path):
    units = 'space units: "cm" "cm" "cm"'
    volume = read(nrrd(tmp_path / "a.nrrd", "space: LPS", units, PLACE))
    np.testing.assert_allclose(volume.geometry.spacing, (20, 30, 40))
    np.testing.assert_allclose(volume.geometry.affine[:3, 3], (-10, -20, 30))
    assert codes(volume) == ["units-converted"]
    mixed = 'space units: "cm" "mm" "mm"'
    path = nrrd(tmp_path / "b.nrrd", "space: LPS", mixed, PLACE)
    assert refused(path).code == "geometry-invalid"


@pytest.mark.parametrize(
    ("lines", "how", "code"),
    [
        ((), {}, "geometry-missing"),
        (("spacings: 0 3 4",), {}, "zero-spacing"),
        (("spacings: nan 3 4",), {}, "zero-spacing"),
        (("spacings: a 3 4",), {}, "file-damaged"),
        (("space: LPS", PLACE.replace("(0,0,4)", "(0,0,0)")), {}, "zero-spacing"),
        (("space: LPS", PLACE.replace("(0,0,4)", "(0,4,0)")), {}, "geometry-invalid"),
        (("space: LPS", PLACE, "space: RAS"), {}, "file-damaged"),
        (("space: LPS", "space origin: nowhere"), {}, "geometry-missing"),
        (("space: LPS", PLACE.replace("(1,2,3)", "(1,nan,3)")), {}, "file-damaged"),
        (("spacings: 2 3 4",), {"data": STORED[:-1]}, "file-truncated"),
        (("spacings: 2 3 4",), {"encoding": "bzip2"}, "pixels-undecodable"),
        (("spacings: 2 3 4", "# a\rspace: LPS"), {}, "file-damaged"),
        (("spacings: 2 3 4", "data file: a.nrrd", "Data-File: b.raw"), {}, "file-damaged"),
        (("spacings: 2 3 4 1 2",), {"sizes": "2 3 2 1 2"}, "nifti-not-scalar"),
    ],
)
def test_an_nrrd_header_that_makes_no_grid_is_refused(tmp_path, lines, how, code):
    assert refused(nrrd(tmp_path / "a.nrrd", *lines, **how)).code == code


def test_what_is_no_nrrd_file_is_refused(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(b"hello")
    assert refused(tmp_path / "a.nrrd").code == "file-damaged"
    (tmp_path / "b.nrrd").write_bytes(b"NRRD0004\n" + b"#" * (2 << 20))
    assert refused(tmp_path / "b.nrrd").code == "file-damaged"
    (tmp_path / "c.nrrd").write_bytes(b"")
    assert refused(tmp_path / "c.nrrd").code == "file-empty"


@pytest.mark.parametrize("cut", [slice(None, -30), slice(None, 30)])
def test_an_nrrd_file_whose_packed_voxels_break_off_is_refused(tmp_path, cut):
    noise = np.random.default_rng(0).integers(0, 255, 6000, np.uint8).tobytes()
    path = nrrd(tmp_path / "a.nrrd", "spacings: 1 1 1", sizes="10 20 30", encoding="gzip",
                data=gzip.compress(noise)[cut])  # fmt: skip
    assert refused(path).code == "file-truncated"


def test_a_size_that_no_packed_bytes_can_hold_is_refused_before_memory_is_taken(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", "spacings: 1 1 1", sizes="100000 100000 1000",
                encoding="gzip", data=gzip.compress(bytes(60)))  # fmt: skip
    assert refused(path).code == "file-truncated"


# --- MetaImage headers

META = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "Offset": "1 2 3",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1", "ElementSpacing": "2 3 4", "DimSize": "2 3 4",
    "ElementType": "MET_UCHAR", "ElementDataFile": "LOCAL",
}  # fmt: skip


def meta(path, data=STORED, **changed):
    """Write a header with fields changed, or left out where None."""
    fields = {**META, **changed}
    fields["ElementDataFile"] = fields.pop("ElementDataFile")  # always the last
    lines = [f"{name} = {value}\n" for name, value in fields.items() if value is not None]
    path.write_bytes("".join(lines).encode() + data)
    return path


def test_a_metaimage_is_in_lps(tmp_path):
    volume = read(meta(tmp_path / "a.mha"))
    np.testing.assert_array_equal(volume.geometry.affine.diagonal(), (-2, -3, 4, 1))
    np.testing.assert_array_equal(volume.geometry.affine[:3, 3], (-1, -2, 3))
    assert volume.findings == ()


@pytest.mark.parametrize("name", ["Offset", "TransformMatrix"])
def test_a_metaimage_without_its_place_is_read_with_a_warning(tmp_path, name):
    volume = read(meta(tmp_path / "a.mha", **{name: None}))
    assert codes(volume) == ["no-orientation"]


def test_a_metaimage_in_centimetres_is_made_millimetres(tmp_path):
    volume = read(meta(tmp_path / "a.mha", DistanceUnits="cm"))
    np.testing.assert_allclose(volume.geometry.spacing, (20, 30, 40))
    assert codes(volume) == ["units-converted"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"NDims": "-1"}, "-1 axes"),  # SimpleITK would end the process
        ({"NDims": "11"}, "11 axes"),
        ({"NDims": "1e300 1 1"}, "whole number"),
        ({"DimSize": "2 3"}, "DimSize does not have 3 numbers"),
        ({"ElementSpacing": "1 1"}, "ElementSpacing does not have 3 numbers"),
        ({"TransformMatrix": "1 0 0 0 1 0"}, "TransformMatrix does not have 9 numbers"),
        ({"Offset": "1 2 x"}, "Offset is no list of numbers"),
    ],
)
def test_a_metaimage_header_whose_lists_do_not_fit_its_axes_is_refused(tmp_path, changed, words):
    refusal = refused(meta(tmp_path / "a.mha", **changed))
    assert refusal.code == "file-damaged"
    assert words in refusal.found


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"ElementSpacing": None}, "geometry-missing"),
        ({"ElementSpacing": "2 0 4"}, "zero-spacing"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 1 0"}, "geometry-invalid"),
        ({"ElementDataFile": None}, "file-damaged"),
        ({"ElementType": "MET_NONSENSE"}, "file-damaged"),
        ({"DimSize": "2 3"}, "file-damaged"),
        ({"NDims": "6", "DimSize": "2 3 4 1 1 1"}, "file-damaged"),
        ({"Comment": "ElementDataFile = x.raw"}, "file-damaged"),
        ({"Comment": "a\rCompressedData = True"}, "file-damaged"),  # MetaIO sees two lines
        ({"Offset": "1 2 3\nOffset = 4 5 6"}, "file-damaged"),
        ({"DimSize": "2 3 5"}, "file-truncated"),
        ({"CompressedData": "True"}, "file-damaged"),
        ({"CompressedData": "True", "CompressedDataSize": "24"}, "file-truncated"),
        ({"CompressedData": "True", "CompressedDataSize": "x"}, "file-damaged"),
        ({"CompressedData": "True", "CompressedDataSize": "99"}, "file-truncated"),
    ],
)
def test_a_metaimage_header_that_makes_no_image_is_refused(tmp_path, changed, code):
    assert refused(meta(tmp_path / "a.mha", **changed)).code == code


@pytest.mark.parametrize("damage", ["cut", "short", "flipped", "unended"])
def test_packed_voxels_of_a_metaimage_are_whole_or_refused(tmp_path, damage):
    # SimpleITK 2.5.7 returns what lay in memory for the first three, and raises nothing
    noise = np.random.default_rng(0).integers(0, 255, 6000, np.uint8).tobytes()
    packed = bytearray(zlib.compress(noise if damage != "short" else noise[:3000]))
    if damage == "flipped":
        packed[3000] ^= 0xFF
    size = len(packed) - 4 * (damage == "unended")  # without the checksum
    data = bytes(packed[:-2000] + b"\0" * 2000 if damage == "cut" else packed)
    path = meta(tmp_path / "a.mha", data, DimSize="10 20 30", CompressedData="True",
                CompressedDataSize=str(size))  # fmt: skip
    assert refused(path).code == "file-truncated"


# --- headers and files beside them


def pair(folder, form, name, data="a.raw"):
    (folder / data).parent.mkdir(exist_ok=True)
    (folder / data).write_bytes(STORED)
    if form == "nhdr":
        return nrrd(folder / "a.nhdr", "space: LPS", PLACE, f"data file: {name}", data=b"")
    return meta(folder / "a.mhd", b"", ElementDataFile=name)


@pytest.mark.parametrize("form", ["nhdr", "mhd"])
@pytest.mark.parametrize("name", ["a.raw", "below/a b.raw"])
def test_a_data_file_in_the_folder_or_below_is_read(tmp_path, form, name):
    path = pair(tmp_path, form, name, name)
    np.testing.assert_array_equal(read(path).array, BYTES.reshape(4, 3, 2).T)


@pytest.mark.parametrize("form", ["nhdr", "mhd"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../secret.raw", "data-file-outside"),
        ("below/../../secret.raw", "data-file-outside"),
        ("..\\secret.raw", "data-file-outside"),
        ("C:\\secret.raw", "data-file-outside"),
        ("{folder}/secret.raw", "data-file-outside"),
        ("gone.raw", "data-file-missing"),
        ("a%d.raw 1 4 1", "data-file-several"),
        ("LIST", "data-file-several"),
    ],
)
def test_a_data_file_elsewhere_is_never_opened(tmp_path, form, name, code):
    (tmp_path / "secret.raw").write_bytes(STORED)
    (tmp_path / "in" / "below").mkdir(parents=True)
    path = pair(tmp_path / "in", form, name.format(folder=tmp_path))
    assert refused(path).code == code


def test_an_attached_header_may_not_point_elsewhere_either(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.raw").write_bytes(STORED)
    for line in ("data file: ../secret.raw", "DataFile: ../secret.raw", "datafile: ../secret.raw"):
        path = nrrd(tmp_path / "in" / "a.nrrd", "space: LPS", PLACE, line)
        assert refused(path).code == "data-file-outside"


@pytest.mark.parametrize("form", ["nhdr", "mhd"])
def test_a_data_file_that_is_too_short_is_refused(tmp_path, form):
    path = pair(tmp_path, form, "a.raw")
    (tmp_path / "a.raw").write_bytes(b"short")
    assert refused(path).code == "file-truncated"


# --- MGH


def test_an_mgh_file_without_its_flag_does_not_say_how_it_lies(tmp_path):
    path = save(tmp_path / "a.mgh")
    raw = bytearray(path.read_bytes())
    raw[28:30] = b"\0\0"
    path.write_bytes(raw)
    assert codes(read(path)) == ["no-orientation"]


@pytest.mark.parametrize(
    ("at", "content", "code"),
    [
        (0, b"\0\0\0\7", "file-damaged"),  # version
        (4, b"\0\0\0\0", "file-damaged"),  # width
        (20, b"\0\0\0\x63", "file-damaged"),  # type
        (4, b"\0\0\7\0", "file-truncated"),
        (30, b"\0\0\0\0", "zero-spacing"),
        (42, b"\0" * 36, "geometry-invalid"),
    ],
)
def test_an_mgh_header_that_makes_no_grid_is_refused(tmp_path, at, content, code):
    path = save(tmp_path / "a.mgh")
    raw = bytearray(path.read_bytes())
    raw[at : at + len(content)] = content
    path.write_bytes(raw)
    assert refused(path).code == code


@pytest.mark.parametrize("name", ["a.mgh", "a.mgz"])
def test_an_mgh_file_that_was_cut_off_is_refused(tmp_path, name):
    path = save(tmp_path / name, np.random.default_rng(0).random((9, 9, 9)).astype(np.float32))
    path.write_bytes(path.read_bytes()[:900])
    assert refused(path).code == "file-truncated"
    path.write_bytes(path.read_bytes()[:20])
    assert refused(path).code in ("file-truncated", "file-damaged")


# --- without SimpleITK


def test_without_simpleitk_the_package_to_install_is_named(tmp_path, monkeypatch):
    path, other = save(tmp_path / "a.nrrd"), save(tmp_path / "b.mgz")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    refusal = refused(path)
    assert refusal.code == "decoder-missing"
    assert refusal.do == "pip install 'medseg[formats]'"
    np.testing.assert_array_equal(read(other).array, VALUES)


def test_listing_nifti_and_dicom_does_not_load_simpleitk(tmp_path):
    nifti(tmp_path / "a.nii")
    code = (f"import sys, medseg.reading; medseg.reading.scan({str(tmp_path)!r}); "
            "print('SimpleITK' in sys.modules)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
