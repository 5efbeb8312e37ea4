"""RT Structure Sets as label maps. Contours are given in voxels of the grid they lie on."""

import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from medseg.dicom.uids import uid_from
from medseg.errors import GeometryRefused, InputRefused
from medseg.geometry import Geometry, axes_towards, cropped
from medseg.labels import Code
from medseg.metrics import dice
from medseg.reading import read, read_labels
from medseg.reading.rtstruct import read_rtstruct
from medseg.volume import Volume
from tests.reading.factory import series
from tests.reading.structures import SQUARE, contour, outline, refer, save, structure_set

DATA = Path(__file__).parents[3] / "shared" / "data"
SHAPE = (9, 8, 5)
PIXEL = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
INNER = ((1.5, 1.5), (2.5, 1.5), (2.5, 3.5), (1.5, 3.5))  # 1 x 2 voxels within SQUARE


@pytest.fixture
def scan(make_grid):
    """A scan that does not come from DICOM: nothing but its geometry can be checked."""
    return scan_on(make_grid(SHAPE))


def scan_on(grid: Geometry) -> Volume:
    return Volume(np.zeros(grid.shape, np.float32), grid)


@pytest.fixture
def drawn(tmp_path, scan):
    """Return a function that reads what was drawn: lists of (points, slice) for each ROI."""

    def draw(*rois, kind="CLOSED_PLANAR", onto=scan, only=()):
        sets = [
            (n, f"Part {n}", [contour(outline(scan.geometry, *each), kind=kind) for each in roi])
            for n, roi in enumerate(rois, start=1)
        ]
        return read_rtstruct(save(tmp_path / "rt.dcm", structure_set(*sets)), onto, only)

    return draw


def codes(labels) -> set[str]:
    return {one.code for one in labels.findings if one.code != "rtstruct-unchecked"}


def refused(*args, **kwargs) -> InputRefused:
    with pytest.raises(InputRefused) as refusal:
        read_rtstruct(*args, **kwargs)
    return refusal.value


def test_voxels_belong_whose_centres_are_inside(drawn, scan):
    labels = drawn([(SQUARE, 2)])
    expected = np.zeros(SHAPE, np.uint8)
    expected[1:4, 1:5, 2] = 1
    np.testing.assert_array_equal(labels.array, expected)
    assert labels.array.dtype == np.uint8
    assert labels.geometry is scan.geometry
    assert codes(labels) == set()


def test_a_circle_has_the_voxels_nearer_than_its_radius(drawn):
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([4 + 3.2 * np.cos(angles), 3.5 + 3.2 * np.sin(angles)], axis=1)
    i, j = np.indices(SHAPE[:2])
    np.testing.assert_array_equal(
        drawn([(circle, 1)]).array[..., 1], np.hypot(i - 4, j - 3.5) < 3.2
    )


@pytest.mark.parametrize("shear", [0.0, 0.3])
@pytest.mark.parametrize("code", ["LPS", "RAS", "SAL", "PIR", "IRP"])
def test_any_order_and_direction_of_axes_takes_the_same_voxels(tmp_path, make_grid, code, shear):
    # Corners on voxel centres too: which of them belong must not depend on the array.
    scan = scan_on(make_grid(SHAPE, shear=shear))
    on_centres = ((1, 1), (6, 1), (6, 6), (3, 6), (1, 4))
    path = save(tmp_path / "rt.dcm", structure_set(
        (1, "a", [contour(outline(scan.geometry, SQUARE, 1))]),
        (2, "b", [contour(outline(scan.geometry, on_centres, 3))])))  # fmt: skip
    straight = read_rtstruct(path, scan).array
    turned = axes_towards(scan.geometry, code)
    moved = scan.moved(turned.of_array(scan.array), turned.of_geometry(scan.geometry))
    np.testing.assert_array_equal(read_rtstruct(path, moved).array, turned.of_array(straight))
    assert np.count_nonzero(straight == 1) == 12
    assert 13 <= np.count_nonzero(straight == 2) <= 24  # strictly inside, and with all edges


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_along_whichever_axis_the_contours_are_flat(tmp_path, scan, axis):
    points = outline(scan.geometry, SQUARE, 2, axis)
    labels = read_rtstruct(
        save(tmp_path / "rt.dcm", structure_set((1, "a", [contour(points)]))), scan
    )
    expected = np.insert(np.argwhere(np.ones((3, 4))) + 1, axis, 2, axis=1)
    np.testing.assert_array_equal(np.argwhere(labels.array), expected)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_what_is_cut_into_slices_of_an_oblique_grid_comes_back(make_grid, tmp_path_factory, data):
    grid = make_grid(SHAPE, seed=data.draw(st.integers(0, 99)), mirrored=data.draw(st.booleans()),
                     shear=data.draw(st.floats(-0.4, 0.4)))  # fmt: skip
    mask = np.random.default_rng(data.draw(st.integers(0, 2**32))).random(SHAPE) < 0.1
    voxels = [contour(outline(grid, np.add(PIXEL, (i, j)), k)) for i, j, k in np.argwhere(mask)]
    path = save(tmp_path_factory.getbasetemp() / "voxels.dcm", structure_set((7, "a", voxels)))
    np.testing.assert_array_equal(read_rtstruct(path, scan_on(grid)).array, 7 * mask)


def test_a_loop_in_a_loop_is_a_hole(drawn):
    labels = drawn([(SQUARE, 0), (INNER, 0), (SQUARE, 1)])
    assert np.count_nonzero(labels.array[..., 0]) == 12 - 2
    assert np.count_nonzero(labels.array[..., 1]) == 12
    assert codes(labels) == set()


def test_a_keyhole_is_a_hole(drawn):
    keyhole = [*SQUARE, SQUARE[0], *INNER[::-1], INNER[-1]]
    np.testing.assert_array_equal(
        drawn([(keyhole, 0)]).array, drawn([(SQUARE, 0), (INNER, 0)]).array
    )


def test_loops_that_overlap_partly_are_joined_unless_the_file_means_xor(drawn):
    beside = np.add(SQUARE, (2, 1))
    joined = drawn([(SQUARE, 0), (beside, 0)])
    assert np.count_nonzero(joined.array) == 24 - 3
    assert codes(joined) == {"rtstruct-loops-joined"}
    cut = drawn([(SQUARE, 0), (beside, 0)], kind="CLOSEDPLANAR_XOR")
    assert np.count_nonzero(cut.array) == 24 - 6
    assert codes(cut) == set()


def test_a_contour_that_comes_twice_counts_once(drawn):
    labels = drawn([(SQUARE, 0), (SQUARE, 0)])
    assert np.count_nonzero(labels.array) == 12
    assert codes(labels) == {"rtstruct-contours-repeated"}


def test_what_fills_nothing_is_left_out_with_a_note(tmp_path, scan):
    points = outline(scan.geometry, SQUARE, 1)
    speck = outline(scan.geometry, np.array(SQUARE) * 0.01 + 2.2, 1)
    path = save(tmp_path / "rt.dcm", structure_set(
        (1, "a", [contour(points[:1], kind="POINT"), contour(points, kind="OPEN_PLANAR"),
                  contour(points, kind="OPEN_NONPLANAR"), contour(points[:2]), contour(speck),
                  contour(points)]),
        (2, "b", []), (3, "c", [contour(speck)])))  # fmt: skip
    labels = read_rtstruct(path, scan)
    assert np.count_nonzero(labels.array) == 12
    told = {one.code: one.words for one in labels.findings}
    assert told["rtstruct-contours-skipped"].startswith("4 contours")
    assert told["rtstruct-contours-small"].startswith("2 contours")
    assert told["rtstruct-roi-empty"].startswith("ROI 2, 3:")
    assert [label.name for label in labels.labels] == ["a", "b", "c"]


def test_contours_are_cut_at_the_edge_of_the_scan(drawn):
    wide = [(-99, -99), (4.5, -99), (4.5, 99), (-99, 99)]
    labels = drawn([(wide, 1), (SQUARE, 7), (np.add(SQUARE, 50), 1)])
    assert np.count_nonzero(labels.array) == np.count_nonzero(labels.array[:5, :, 1]) == 5 * 8
    assert "3 contours" in next(f.words for f in labels.findings if f.code == "rtstruct-clipped")


def test_contours_that_all_lie_elsewhere_are_refused(drawn):
    with pytest.raises(GeometryRefused) as refusal:
        drawn([(SQUARE, 9), (np.add(SQUARE, 50), 1)])
    assert refusal.value.code == "rtstruct-outside"


@pytest.mark.parametrize(
    ("off", "warned"), [(0.09, False), (-0.09, False), (0.3, True), (-0.3, True)]
)
def test_the_nearest_slice_takes_a_contour_and_distance_is_told(drawn, off, warned):
    labels = drawn([(SQUARE, 2 + off)])
    assert np.count_nonzero(labels.array[..., 2]) == 12
    assert codes(labels) == ({"rtstruct-off-plane"} if warned else set())


def test_a_contour_midway_between_slices_is_refused(drawn):
    with pytest.raises(GeometryRefused, match=r"0\.50 of a step \(1\.25 mm\)") as refusal:
        drawn([(SQUARE, 2.5)])
    assert refusal.value.code == "rtstruct-off-plane"


def test_a_contour_across_slices_is_refused(tmp_path, scan):
    points = outline(scan.geometry, SQUARE, 2)
    flat, tilted = contour(points), points.copy()
    tilted[2:] += outline(scan.geometry, SQUARE, 2.8)[0] - points[0]
    path = save(tmp_path / "rt.dcm", structure_set((4, "a", [flat, flat, contour(tilted)])))
    assert "A contour of ROI 4 reaches 0.80 of a step" in refused(path, scan).found


def test_a_scan_of_coarser_slices_is_refused_and_of_finer_ones_told(drawn, scan):
    affine = scan.geometry.affine @ np.diag([1, 1, 2.4, 1])
    coarse = scan_on(Geometry((9, 8, 3), affine))
    with pytest.raises(GeometryRefused) as refusal:
        drawn([(SQUARE, k) for k in (0, 1, 2, 3)], onto=coarse)
    assert refusal.value.code in ("rtstruct-other-grid", "rtstruct-off-plane")
    fine = scan_on(Geometry((9, 8, 9), scan.geometry.affine @ np.diag([1, 1, 0.5, 1])))
    labels = drawn([(SQUARE, k) for k in range(5)], onto=fine)
    assert [f.level for f in labels.findings if f.code == "rtstruct-slices-empty"] == ["warning"]
    assert np.flatnonzero(labels.array.any(axis=(0, 1))).tolist() == [0, 2, 4, 6, 8]


def test_two_planes_on_one_slice_are_not_taken_for_a_hole(drawn, scan):
    coarse = scan_on(Geometry((9, 8, 3), scan.geometry.affine @ np.diag([1, 1, 4, 1])))
    with pytest.raises(GeometryRefused, match=r"2\.50 mm apart .* 10\.00 mm") as refusal:
        drawn([(SQUARE, 4), (INNER, 5)], onto=coarse)
    assert refusal.value.code == "rtstruct-other-grid"


def test_slices_between_contours_stay_empty_and_are_told(drawn):
    labels = drawn([(SQUARE, 0), (SQUARE, 1), (SQUARE, 4)])
    assert np.count_nonzero(labels.array) == 3 * 12
    assert [f.level for f in labels.findings if f.code == "rtstruct-slices-empty"] == ["info"]


def test_overlapping_structures_are_refused_and_read_one_by_one(drawn):
    rois = [(SQUARE, 1)], [(INNER, 1)], [(SQUARE, 3)]
    with pytest.raises(InputRefused, match=r"ROI 1 and ROI 2 overlap.*only=\[") as refusal:
        drawn(*rois)
    assert refusal.value.code == "rtstruct-overlap"
    assert np.count_nonzero(drawn(*rois, only=[2]).array == 2) == 2
    labels = drawn(*rois, only=["part 3", 1])
    assert labels.labels.values == (0, 1, 3)
    assert np.unique(labels.array, return_counts=True)[1].tolist() == [360 - 24, 12, 12]
    with pytest.raises(InputRefused, match="1 Part 1, 2 Part 2, 3 Part 3") as refusal:
        drawn(*rois, only="Part")
    assert refusal.value.code == "labels-missing"


def test_labels_have_what_the_file_says_of_them(tmp_path, scan):
    points = contour(outline(scan.geometry, SQUARE, 0))
    ds = structure_set((300, "GTV", [points]), (5, "GTV", []), (6, "", []))
    observation, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "64033007", "SCT", "Kidney"
    observation.ReferencedROINumber, observation.RTROIIdentificationCodeSequence = 5, [code]
    ds.RTROIObservationsSequence = [observation]
    labels = read_rtstruct(save(tmp_path / "rt.dcm", ds), scan)
    assert [label.name for label in labels.labels] == ["GTV (5)", "ROI 6", "GTV"]
    assert labels.array.max() == 300
    assert labels.labels[300].colour == (10, 20, 30)
    assert labels.labels[5].type == Code("64033007", "SCT", "Kidney")
    assert labels.labels[5].category is not None


@pytest.mark.parametrize("numbers", [(0, 1), (3, 3), (2, 70000)])
def test_numbers_that_cannot_be_values_are_replaced_in_order(tmp_path, scan, numbers):
    grid = scan.geometry
    path = save(tmp_path / "rt.dcm", structure_set(
        (numbers[0], "a", [contour(outline(grid, SQUARE, 0))]),
        (numbers[1], "b", [contour(outline(grid, INNER, 1))])))  # fmt: skip
    labels = read_rtstruct(path, scan)
    assert np.bincount(labels.array.ravel()).tolist() == [360 - 14, 12, 2]
    assert codes(labels) == {"rtstruct-renumbered"}


@pytest.fixture
def study(tmp_path, make_study, make_grid):
    return make_study(tmp_path / "scan", make_grid(SHAPE))


def on_images(study, images, *, series="", listed=(), at=2, frame=""):
    """Return a structure set with one contour, on images, that names a series."""
    points = outline(study.geometry, SQUARE, at)
    ds = structure_set((1, "a", [contour(points, *images)]), frame=frame)
    if series:
        refer(ds, series, *listed)
    return ds


def images_of(study) -> list[str]:
    return [pydicom.dcmread(file).SOPInstanceUID for file, _ in study.source.frames]


def test_contours_on_the_images_of_a_scan_are_accepted(tmp_path, study):
    images = images_of(study)
    for ds in (
        on_images(study, images[2:3]), on_images(study, images, series="1.2.3"),
        on_images(study, [], series=uid_from("series")),
        on_images(study, [], series="1.2.3", listed=images),
    ):  # fmt: skip
        labels = read_rtstruct(save(tmp_path / "rt.dcm", ds), study)
        assert np.count_nonzero(labels.array[..., 2]) == 12
        assert labels.findings == ()


def test_contours_on_images_of_another_series_are_refused(tmp_path, study):
    ours = uid_from("series")
    both = on_images(study, ["4.5"], series=ours, listed=images_of(study))
    refer(both, "1.2.3", "4.5")  # of two series, the image is one of the other
    for ds in (
        on_images(study, ["4.5"]), on_images(study, ["4.5"], series="1.2.3"),
        on_images(study, [], series="1.2.3"), on_images(study, [], series="1.2.3", listed=["4.5"]),
        both, on_images(study, [], frame="1.2.3"),
    ):  # fmt: skip
        refusal = refused(save(tmp_path / "rt.dcm", ds), study)
        assert refusal.code == "rtstruct-other-series"
        assert "ROI 1" in refusal.found


def test_other_images_of_the_same_series_are_told(tmp_path, study):
    path = save(tmp_path / "rt.dcm", on_images(study, ["4.5"], series=uid_from("series")))
    labels = read_rtstruct(path, study)
    assert np.count_nonzero(labels.array) == 12
    assert codes(labels) == {"rtstruct-other-images"}


@pytest.mark.parametrize("frame", ["", uid_from("frame")])
def test_without_named_images_the_frame_of_reference_has_to_do(tmp_path, study, frame):
    labels = read_rtstruct(save(tmp_path / "rt.dcm", on_images(study, [], frame=frame)), study)
    assert codes(labels) == {"rtstruct-unreferenced"}


def test_only_the_structures_that_are_read_are_checked(tmp_path, study):
    points = outline(study.geometry, SQUARE, 2)
    ds = structure_set((1, "a", [contour(points, *images_of(study)[2:3])]),
                       (2, "b", [contour(points, "4.5")]))  # fmt: skip
    path = save(tmp_path / "rt.dcm", ds)
    assert refused(path, study).found.startswith("ROI 2:")
    assert np.count_nonzero(read_rtstruct(path, study, only="a").array) == 12


def test_a_contour_that_lies_off_the_image_it_names_is_refused(tmp_path, study):
    image = images_of(study)[3]
    refusal = refused(save(tmp_path / "rt.dcm", on_images(study, [image], at=2)), study)
    assert refusal.code == "rtstruct-off-plane"
    assert "1.00 steps (2.50 mm) off the image" in refusal.found


def test_a_cropped_scan_takes_what_lies_in_it(tmp_path, study):
    path = save(tmp_path / "rt.dcm", on_images(study, images_of(study)[2:3]))
    part = study.moved(study.array[2:, :4, 1:4], cropped(study.geometry, (2, 0, 1), (7, 4, 3)))
    labels = read_rtstruct(path, part)
    assert np.argwhere(labels.array)[:, 2].tolist() == [1] * 6
    assert codes(labels) == {"rtstruct-clipped"}


def test_frames_of_one_file_are_images_too(tmp_path, make_study, make_grid):
    study = make_study(tmp_path / "scan", make_grid(SHAPE), multi_frame=True)
    path = save(tmp_path / "rt.dcm", on_images(study, images_of(study)[:1]))
    labels = read_rtstruct(path, study)
    assert np.count_nonzero(labels.array[..., 2]) == 12
    assert labels.findings == ()


def test_slices_that_are_a_little_uneven_keep_their_contours(tmp_path):
    # Steps of 3.00 and then 3.13 mm: slices in the middle lie 0.65 of a step off an even grid.
    places = [3.0 * k + 0.13 * max(0, k - 30) for k in range(61)]

    def slide(ds, k):
        ds.ImagePositionPatient = [-10, -20, places[k]]

    volume = read(series(tmp_path / "scan", slide, slices=61))
    points = [(-9.5, -19, 0), (-7.5, -19, 0), (-7.5, -15, 0), (-9.5, -15, 0)]
    path = save(tmp_path / "rt.dcm", structure_set(
        (1, "a", [contour(np.add(points, (0, 0, z))) for z in places]),
        series=pydicom.dcmread(volume.source.files[0]).SeriesInstanceUID))  # fmt: skip
    labels = read_rtstruct(path, volume)
    assert (labels.array[1:3, 1:3] == 1).all()
    assert labels.array.sum() == 4 * 61
    assert labels.findings == ()


def test_a_structure_set_needs_a_scan(tmp_path, scan):
    path = save(tmp_path / "rt.dcm", structure_set((1, "a", [])))
    with pytest.raises(InputRefused, match="the argument onto") as refusal:
        read_labels(path)
    assert refusal.value.code == "rtstruct-needs-scan"
    assert read_labels(tmp_path, onto=scan).labels[1].name == "a"


def damaged(tmp_path, scan, damage) -> Path:
    ds = structure_set((3, "a", [contour(outline(scan.geometry, SQUARE, 0))]))
    damage(ds)
    return save(tmp_path / "rt.dcm", ds)


def with_points(text: bytes):
    """Return a change that writes coordinates as they stand, as no sound writer would."""

    def change(ds):
        item = ds.ROIContourSequence[0].ContourSequence[0]
        item.ContourData = None
        item["ContourData"]._value = text.decode("latin1")

    return change


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda ds: delattr(ds, "StructureSetROISequence"), "missing or damaged"),
        (lambda ds: delattr(ds, "ROIContourSequence"), "missing or damaged"),
        (lambda ds: setattr(ds, "StructureSetROISequence", []), "describes no structure"),
        (lambda ds: delattr(ds.StructureSetROISequence[0], "ROINumber"), "missing or damaged"),
        (lambda ds: delattr(ds.ROIContourSequence[0], "ReferencedROINumber"), "or damaged"),
        (lambda ds: delattr(ds.ROIContourSequence[0].ContourSequence[0], "ContourGeometricType"),
         "missing or damaged"),
        (lambda ds: ds.StructureSetROISequence.append(ds.StructureSetROISequence[0]),
         "2 structures have the ROI number 3"),
        (with_points(b"NaN\\0\\0\\1\\0\\0\\1\\1\\0 "), "ROI 3 has coordinates that are no numbers"),
        (with_points(b"inf\\0\\0\\1\\0\\0\\1\\1\\0 "), "no numbers"),
        (with_points(b"0,5\\0\\0\\1\\0\\0\\1\\1\\0 "), "no numbers"),
        (with_points(b"\\\\0\\1\\0\\0\\1\\1\\0"), "no numbers"),
        (with_points(b"\xff\\0\\0\\1\\0\\0\\1\\1\\0 "), "no numbers"),
        (with_points(b"0\\0\\0\\1\\0\\0\\1\\1 "), "has 8 coordinates"),
        (with_points(b"1e300\\0\\0\\1\\0\\0\\1\\1\\0 "), "1e+300 mm away"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_in_one_line(tmp_path, scan, damage, why):
    refusal = refused(damaged(tmp_path, scan, damage), scan)
    assert refusal.code == "rtstruct-unreadable"
    assert why in refusal.found
    assert "\n" not in str(refusal)


def test_a_file_cut_anywhere_is_refused_or_has_all_its_contours(tmp_path, scan):
    whole = damaged(tmp_path, scan, lambda ds: None).read_bytes()
    for end in range(0, len(whole), 7):
        path = tmp_path / "cut.dcm"
        path.write_bytes(whole[:end])
        try:
            labels = read_labels(path, onto=scan)
        except InputRefused:
            continue
        assert np.count_nonzero(labels.array) == 12


def test_odd_files_are_read_with_a_warning(tmp_path, scan):
    def miscount(ds):
        ds.ROIContourSequence[0].ContourSequence[0].NumberOfContourPoints = 9

    def forget(ds):
        ds.StructureSetROISequence[0].ROINumber = 5

    labels = read_rtstruct(damaged(tmp_path, scan, miscount), scan)
    assert codes(labels) == {"rtstruct-points-differ"}
    labels = read_rtstruct(damaged(tmp_path, scan, forget), scan)
    assert codes(labels) == {"rtstruct-undescribed", "rtstruct-roi-empty"}


def test_other_files_are_refused(tmp_path, study):
    (tmp_path / "text.dcm").write_text("no DICOM")
    for path, code in (
        (tmp_path / "text.dcm", "rtstruct-unreadable"),
        (tmp_path / "missing.dcm", "rtstruct-unreadable"),
        (study.source.files[0], "rtstruct-foreign"),
    ):
        assert refused(path, study).code == code


def test_a_million_points_are_read_within_bounds(tmp_path, scan):
    angles = np.linspace(0, 2 * np.pi, 300_000, endpoint=False)
    circle = np.stack([4 + 3.2 * np.cos(angles), 3.5 + 3.2 * np.sin(angles)], axis=1).round(3)
    points = outline(scan.geometry, circle, 1).round(3)
    text = "\\".join(map(str, points.ravel().tolist())).encode()
    path = damaged(tmp_path, scan, with_points(text))
    size = path.stat().st_size
    tracemalloc.start()
    labels = read_rtstruct(path, scan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    i, j = np.indices(SHAPE[:2])
    assert np.count_nonzero(labels.array) == np.count_nonzero(np.hypot(i - 4, j - 3.5) < 3.2)
    assert peak < 20 * size


@pytest.mark.peer
@pytest.mark.skipif(not DATA.is_dir(), reason="the shared scans (../shared/data) are not here")
def test_shared_structure_sets_give_the_masks_and_volumes_of_their_sources(tmp_path, capsys):
    rows = [*soft_tissue_sarcomas(tmp_path), *lungs(tmp_path)]
    with capsys.disabled():
        print(f"\n{'series':16} {'ROI':15} {'ml':>8} {'expected':>9} {'Dice':>7} {'s':>5}")
        for name, roi, ml, expected, overlap, seconds in rows:
            print(f"{name:16} {roi:15} {ml:8.2f} {expected:9.2f} {overlap:7.5f} {seconds:5.2f}")
    for _, _, ml, expected, overlap, _ in rows:
        assert ml == pytest.approx(expected, abs=0.005)
        assert overlap in (1.0, pytest.approx(np.nan, nan_ok=True))


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def timed(*args, **kwargs):
    start = time.process_time()
    labels = read_labels(*args, **kwargs)
    return labels, time.process_time() - start


def soft_tissue_sarcomas(folder):
    # volumes in the README beside the data
    known = {
        "002": (53.30, 53.29, 54.28),
        "008": (27.64, 27.64, 27.88),
        "025": (30.11, 30.11, 30.24),
    }
    for patient, volumes in known.items():
        root = unpacked(DATA / f"STS_dicom/STS_{patient}.zip", folder) / f"STS_{patient}"
        for kind, ml in zip(("CT", "MR_T1", "PET"), volumes, strict=True):
            scan = read(root / kind / "image")
            labels, seconds = timed(root / kind / "rtstruct", onto=scan)
            truth = read_labels(root / kind / "reference" / "mask.nii.gz", onto=scan)
            (label,) = labels.labels
            overlap = dice(truth.array > 0, labels.array > 0)
            yield (
                f"STS_{patient} {kind}",
                label.name,
                *labels.volumes_ml().values(),
                ml,
                overlap,
                seconds,
            )


def lungs(folder):
    root = unpacked(DATA / "dicom/ct_chest_LUNG1-001.zip", folder) / "ct_chest_LUNG1-001"
    scan = read(root / "image")
    with pytest.raises(InputRefused, match="ROI 2 and ROI 7 overlap"):
        read_labels(root / "mask_rtstruct", onto=scan)
    known = {"GTV-1": 156.32, "Spinal-Cord": 44.68, "Lung-Left": 2276.66, "Lung-Right": 2966.32}
    for name, ml in known.items():
        labels, seconds = timed(root / "mask_rtstruct", onto=scan, only=name)
        yield "LUNG1-001", name, *labels.volumes_ml().values(), ml, np.nan, seconds
