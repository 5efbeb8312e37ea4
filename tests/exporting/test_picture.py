from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from medseg.errors import OutputFailed
from medseg.exporting import picture
from medseg.geometry import Geometry, axes_towards
from medseg.labels import Label, LabelSet
from medseg.volume import LabelMap, Source, Volume

TOP = picture.MARGIN + picture.HEADER
RED = LabelSet((Label(1, "Lump", colour=(255, 0, 0)),))


def make_volume(array: np.ndarray, spacing=(1, 1, 1), modality: str = "MR") -> Volume:
    """Return a scan in RAS order: i to the right, j to the front, k to the head."""
    return Volume(
        array.astype(np.float32),
        Geometry(array.shape[:3], np.diag([*spacing, 1.0])),
        modality,
        Source("case-7"),
    )


def make_labels(volume: Volume, mask: np.ndarray, labels: LabelSet = RED) -> LabelMap:
    return LabelMap(mask.astype(np.uint16), volume.geometry, labels)


def tile(sheet: Image.Image, row: int, column: int = 2) -> np.ndarray:
    """Return the pixels of a tile of a scan that is a cube, without its border of letters."""
    left = picture.MARGIN + column * (picture.TILE + picture.GAP)
    top = TOP + row * (picture.TILE + picture.GAP)
    pixels = np.asarray(sheet)[top : top + picture.TILE, left : left + picture.TILE]
    return pixels[24:-24, 24:-24].astype(int)


@pytest.mark.parametrize(
    ("axis", "side", "row", "bright"),
    [
        (0, 1, 0, "left"), (1, 1, 0, "top"),  # axial: right on the left, front on top
        (0, 1, 1, "left"), (2, 1, 1, "top"),  # coronal: right on the left, head on top
        (1, 1, 2, "left"), (2, 1, 2, "top"),  # sagittal: front on the left, head on top
        (0, 0, 0, "right"), (2, 0, 2, "bottom"),
    ],
)  # fmt: skip
def test_the_patient_lies_in_radiological_convention(axis, side, row, bright):
    scan = np.zeros((30, 30, 30))
    half = [slice(None)] * 3
    half[axis] = slice(15, None) if side else slice(0, 15)
    scan[tuple(half)] = 100
    volume = make_volume(scan)
    grey = tile(picture.drawn(volume, make_labels(volume, scan * 0)), row)[..., 0]
    n = len(grey) // 2
    means = {"left": grey[:, :n].mean(), "right": grey[:, n:].mean(),
             "top": grey[:n].mean(), "bottom": grey[n:].mean()}  # fmt: skip
    assert max(means, key=means.get) == bright


def scene(seed: int = 0) -> tuple[Volume, LabelMap]:
    rng = np.random.default_rng(seed)
    volume = make_volume(rng.normal(size=(20, 24, 16)).cumsum(0).cumsum(1), (1.5, 1.2, 3.0))
    mask = np.zeros(volume.geometry.shape)
    mask[4:11, 6:15, 3:9] = 1
    mask[12:15, 6:15, 3:9] = 2
    two = LabelSet((Label(1, "Liver", colour=(0, 200, 0)), Label(2, "Lesion")))
    return volume, make_labels(volume, mask, two)


@pytest.mark.parametrize("code", ["LPS", "SAR", "PIL"])
def test_the_same_scan_stored_otherwise_gives_the_same_tiles(monkeypatch, code):
    monkeypatch.setattr(picture, "_draw_letters", lambda *_: None)  # slices are counted otherwise
    volume, labels = scene()
    turned = axes_towards(volume.geometry, code)
    grid = turned.of_geometry(volume.geometry)
    one = picture.drawn(volume, labels)
    other = picture.drawn(
        volume.moved(turned.of_array(volume.array), grid),
        labels.moved(turned.of_array(labels.array), grid),
    )
    np.testing.assert_array_equal(np.asarray(one)[TOP:], np.asarray(other)[TOP:])


def test_thick_slices_are_shown_in_true_proportions():
    shape, spacing = (60, 60, 12), (1, 1, 5)
    index = np.indices(shape) * np.reshape(spacing, (3, 1, 1, 1))
    centre = np.reshape((30, 30, 30), (3, 1, 1, 1))
    ball = ((index - centre) ** 2).sum(axis=0) < 20**2
    volume = make_volume(np.zeros(shape), spacing)
    coronal = tile(picture.drawn(volume, make_labels(volume, ball)), 1)
    red = coronal[..., 0] > coronal[..., 1] + 40
    height, width = (np.ptp(np.flatnonzero(red.any(axis=axis))) + 1 for axis in (1, 0))
    assert height / width == pytest.approx(1, abs=0.15)


def test_labels_are_outlined_in_their_colour_and_filled_faintly():
    scan = np.zeros((30, 30, 30))
    mask = scan.copy()
    mask[10:20, 10:20, 10:20] = 1
    volume = make_volume(scan)
    axial = tile(picture.drawn(volume, make_labels(volume, mask)), 0)
    colours, counts = np.unique(axial.reshape(-1, 3), axis=0, return_counts=True)
    reddish = colours[:, 0] > colours[:, 1] + 20
    (faint, n_faint), (full, n_full) = zip(colours[reddish], counts[reddish], strict=True)
    assert full.tolist() == [255, 0, 0]
    assert np.ptp(faint) == pytest.approx(255 * picture.FILL, abs=1)
    assert n_full < n_faint  # a line around an area


def test_labels_that_share_a_colour_are_told_apart():
    same = LabelSet((Label(1, "A"), Label(2, "B"), Label(3, "C")))
    assert len({tuple(row) for row in picture.colours_of(same)[1:].tolist()}) == 3


def test_slices_run_evenly_through_what_is_labelled():
    assert picture._chosen(np.arange(100, 160), 512) == [105, 115, 125, 135, 145, 155]
    assert picture._chosen(np.array([7, 9]), 20) == [7, 9]
    assert picture._chosen(np.array([], int), 12) == [1, 3, 5, 7, 9, 11]


def test_slices_are_counted_in_the_order_of_the_scan():
    volume, _ = scene()  # RAS: i runs to the right, the sheet's axis to the left
    to_lps = axes_towards(volume.geometry, "LPS")
    grid = to_lps.of_geometry(volume.geometry)
    assert picture._number(to_lps, 0, 0, grid) == 20
    assert picture._number(to_lps, 2, 0, grid) == 1


def test_a_small_mask_is_shown_larger_than_the_whole_scan_would_be():
    grid = Geometry((400, 400, 200), np.eye(4))
    small = picture._field((np.arange(90, 100), np.arange(0, 8), np.arange(190, 200)), grid)
    assert [part.stop - part.start for part in small] == [90, 90, 90]
    assert (small[1].start, small[2].stop) == (0, 200)  # moved into the scan, not cut


@pytest.mark.parametrize(
    ("modality", "inside", "window"),
    [("CT", -800, picture.LUNG), ("CT", 50, picture.SOFT_TISSUE), ("MR", 50, (50.0, 100.0))],
)
def test_the_window_follows_what_is_looked_at(modality, inside, window):
    scan = np.linspace(0, 100, 8000).reshape(20, 20, 20)
    mask = np.zeros(scan.shape)
    mask[5:9, 5:9, 5:9] = 1
    if modality == "CT":
        scan[mask > 0] = inside
    assert picture.window_of(scan, mask, modality) == pytest.approx(window, abs=2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (40, 30, 1), (1, 200, 3), (16, 16, 16, 2)], ids=str)
@pytest.mark.parametrize("value", [0, 1])
def test_any_shape_and_a_flat_or_empty_image_can_be_drawn(shape, value):
    volume = make_volume(np.zeros(shape))
    mask = np.full(shape[:3], value)
    sheet = picture.drawn(volume, make_labels(volume, mask))
    assert sheet.width == 1486


def test_300_labels_fit_into_the_legend():
    many = LabelSet(tuple(Label(n, f"Part number {n} of a very long list") for n in range(1, 301)))
    volume = make_volume(np.zeros((20, 20, 20)))
    mask = np.random.default_rng(0).integers(0, 301, volume.geometry.shape)
    legend = picture._legend(make_labels(volume, mask, many))
    assert len(legend) == picture.LEGEND_COLUMNS * picture.LEGEND_LINES
    assert legend[-1] == (None, "and 277 more")
    picture.drawn(volume, make_labels(volume, mask, many))


def test_labels_that_occur_come_first_in_the_legend():
    _, labels = scene()
    labels = replace(labels, labels=LabelSet((Label(1, "Liver"), Label(2, "Lesion"),
                                              Label(9, "Spleen", colour=(1, 2, 3)))))  # fmt: skip
    words = [entry[1] for entry in picture._legend(labels)]
    # 7 x 9 x 6 and 3 x 9 x 6 voxels of 5.4 mm3.
    assert words == ["Liver   2.04 ml", "Lesion   0.87 ml", "Spleen   absent"]


def test_equal_sheets_give_equal_bytes_and_verification_sees_a_pixel(tmp_path):
    sheet = picture.drawn(*scene())
    for name in ("a.png", "b.png"):
        picture.write(sheet, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture.verify(tmp_path / "a.png", sheet)
    other = sheet.copy()
    other.putpixel((700, 300), (1, 2, 3))
    with pytest.raises(OutputFailed, match="did not read back"):
        picture.verify(tmp_path / "a.png", other)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-900])
    with pytest.raises(OutputFailed) as failure:
        picture.verify(tmp_path / "a.png", sheet)
    assert failure.value.code == "verify-failed"
