"""A contact sheet: the mask on the scan, three planes, as a picture to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medseg.errors import OutputFailed
from medseg.files import whole_file
from medseg.findings import Finding
from medseg.geometry import AxisMap, Geometry, axes_towards
from medseg.labels import LabelSet
from medseg.result import Result
from medseg.volume import LabelMap, Volume

SLICES = 6  # tiles in a row
TILE = 236  # pixels
GAP = 6
MARGIN = 20
HEADER = 56
LINE = 24  # of the legend
LEGEND_COLUMNS, LEGEND_LINES = 4, 6  # what does not fit is counted
FILL = 0.28  # opacity inside an outline: anatomy stays visible
ROOM = 2.5  # field of view over extent of the mask, so that a small one is not lost
SMALLEST_FIELD_MM = 90.0
SAMPLE = 50  # slices at most along each axis that a window is computed from

BACKGROUND = (16, 18, 22)
TEXT = (232, 234, 238)
FAINT = (150, 156, 166)
LETTER = (255, 214, 102)
SECOND = (255, 255, 255)  # outline of a mask that is compared with: no label has this colour
SHADOW = (0, 0, 0)
# Okabe and Ito: told apart by colour-blind readers too. For labels that share one colour.
PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167),
           (213, 94, 0), (0, 114, 178))  # fmt: skip

SOFT_TISSUE = (40.0, 400.0)  # HU: level, width
LUNG = (-600.0, 1500.0)
LUNG_BELOW = -400.0  # HU: a mask whose median lies below is looked at in the lung window

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class _Plane:
    """One row of the sheet, cut from an array whose axes run to the left, back and head."""

    name: str
    across: int  # the axis that is cut
    horizontal: int
    vertical: int
    upward: bool  # the vertical axis runs up the picture
    letters: tuple[str, str, str, str]  # left, right, top, bottom


# Radiological convention: the patient's right is on the left; sagittal slices face left.
_PLANES = (
    _Plane("axial", 2, 0, 1, False, ("R", "L", "A", "P")),
    _Plane("coronal", 1, 0, 2, True, ("R", "L", "H", "F")),
    _Plane("sagittal", 0, 1, 2, True, ("A", "P", "H", "F")),
)


def export(result: Result, path: Path) -> tuple[bool, tuple[Finding, ...]]:
    """Write the contact sheet of a result, whole and verified."""
    sheet = drawn(result.volume, result.labels)
    with whole_file(path) as aside:
        write(sheet, aside)
        verify(aside, sheet)
    return True, ()


def write(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG; equal sheets give equal bytes."""
    sheet.save(path, format="PNG", compress_level=3)  # 9 takes several times longer


def verify(path: Path, sheet: Image.Image) -> None:
    """Read a PNG back and compare every pixel.

    Raises
    ------
    OutputFailed
        ``verify-failed``: it is not the sheet that was drawn.
    """
    try:
        with Image.open(path) as read:
            same = read.size == sheet.size and read.tobytes() == sheet.tobytes()
    except (OSError, SyntaxError, ValueError):
        same = False
    if not same:
        raise OutputFailed("verify-failed", "sheet.png did not read back as it was written",
                           do="Write it again; if that fails too, check the disk")  # fmt: skip


def drawn(volume: Volume, labels: LabelMap, reference: LabelMap | None = None) -> Image.Image:
    """Draw a mask on its scan: axial, coronal and sagittal slices through the mask's extent.

    Slices are shown in radiological convention and true proportions, cut along the axes of
    the array nearest to the patient's: an oblique scan is reordered, never resampled. The
    field of view is that of the mask with room around it; an empty mask shows the whole scan.

    Parameters
    ----------
    volume : Volume
        ``(I, J, K)``, or ``(I, J, K, C)`` of which the first channel is shown.
    labels : LabelMap
        On the same grid.
    reference : LabelMap, optional
        A mask to compare with, on the same grid: its outlines are drawn in white over the
        first's, and slices and field of view take in both.

    Returns
    -------
    Image
        RGB; carries the case's pseudonym, grid and spacing, no patient data.
    """
    scan = volume.array if volume.array.ndim == 3 else volume.array[..., 0]
    to_lps = axes_towards(volume.geometry, "LPS")
    geometry = to_lps.of_geometry(volume.geometry)
    mask = to_lps.of_array(labels.array)  # (L, P, S) view
    scan = to_lps.of_array(scan)
    second = None if reference is None else to_lps.of_array(reference.array)
    shown = mask if second is None else np.maximum(mask, second)
    occupied = _occupied(shown)
    field = _field(occupied, geometry)
    window = window_of(scan[field], shown[field], volume.modality)
    painter = _Painter(scan, mask, second, geometry, window, _colours(labels.labels))
    extent = [s * (f.stop - f.start) for s, f in zip(geometry.spacing, field, strict=True)]  # mm
    scale = TILE / max(extent)  # pixels per mm, one for all tiles
    heights = [max(1, round(extent[plane.vertical] * scale)) for plane in _PLANES]

    legend = _legend(labels, reference)
    lines = min(LEGEND_LINES, len(legend))
    width = 2 * MARGIN + SLICES * TILE + (SLICES - 1) * GAP
    height = MARGIN + HEADER + sum(heights) + 3 * GAP + MARGIN // 2 + lines * LINE + MARGIN
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    _draw_header(sheet, volume, window, _remark(mask, second))
    top = MARGIN + HEADER
    for plane, tile_height in zip(_PLANES, heights, strict=True):
        chosen = _chosen(occupied[plane.across], geometry.shape[plane.across])
        for column in range(SLICES):
            corner = (MARGIN + column * (TILE + GAP), top)
            sheet.paste(SHADOW, (*corner, corner[0] + TILE, top + tile_height))
            if column < len(chosen):
                picture = painter.tile(plane, chosen[column], field, scale)
                sheet.paste(picture, (corner[0] + (TILE - picture.width) // 2, top))
                number = _number(to_lps, plane.across, chosen[column], geometry)
                caption = f"{plane.name} {number}/{geometry.shape[plane.across]}"
                _draw_letters(sheet, corner, tile_height, plane, caption)
        _draw_ruler(sheet, (MARGIN + TILE, top + tile_height), scale)
        top += tile_height + GAP
    _draw_legend(sheet, top + MARGIN // 2, legend)
    return sheet


def window_of(scan: np.ndarray, mask: np.ndarray, modality: str) -> tuple[float, float]:
    """Return level and width: those of CT for what the mask lies in, else by percentiles."""
    sample = tuple(slice(None, None, -(-n // SAMPLE)) for n in scan.shape)
    values, inside = scan[sample], mask[sample] > 0
    if modality == "CT":
        in_lung = inside.any() and float(np.median(values[inside])) < LUNG_BELOW
        return LUNG if in_lung else SOFT_TISSUE
    low, high = np.percentile(values, (1, 99.5))
    return (float(low + high) / 2, max(float(high - low), 1e-6))


@dataclass(frozen=True, eq=False, slots=True)
class _Painter:
    """Makes tiles out of arrays whose axes run to L, P and S."""

    scan: np.ndarray
    mask: np.ndarray
    second: np.ndarray | None  # drawn as outlines only
    geometry: Geometry
    window: tuple[float, float]
    colours: np.ndarray  # (values, 3)

    def tile(self, plane: _Plane, index: int, field: Box, scale: float) -> Image.Image:
        """Return one slice with outlines and a breath of fill, at so many pixels a mm."""
        at = list(field)
        at[plane.across] = slice(index, index + 1)
        grey, values = (self._upright(array[tuple(at)], plane) for array in (self.scan, self.mask))
        second = None if self.second is None else self._upright(self.second[tuple(at)], plane)
        width, height = (
            max(1, round(n * self.geometry.spacing[axis] * scale))
            for n, axis in ((grey.shape[1], plane.horizontal), (grey.shape[0], plane.vertical))
        )
        level, window = self.window
        shades = np.clip((grey - (level - window / 2)) * (255 / window), 0, 255).astype(np.uint8)
        base = Image.fromarray(shades).resize((width, height), Image.Resampling.BICUBIC)
        pixels = np.ix_(_nearest(height, len(values)), _nearest(width, values.shape[1]))
        values = values[pixels]
        opacity = np.where(_outline(values), 1.0, FILL * (values > 0))[..., None]  # (h, w, 1)
        mixed = np.asarray(base)[..., None] * (1 - opacity) + self.colours[values] * opacity
        if second is not None:
            mixed[_outline(second[pixels])] = SECOND
        return Image.fromarray(mixed.astype(np.uint8))

    @staticmethod
    def _upright(piece: np.ndarray, plane: _Plane) -> np.ndarray:
        """Return a slice as rows from the top and columns from the left."""
        flat = piece.squeeze(plane.across).T  # (vertical, horizontal): the axes are in order
        return flat[::-1] if plane.upward else flat


def _nearest(pixels: int, voxels: int) -> np.ndarray:
    return ((np.arange(pixels) + 0.5) * (voxels / pixels)).astype(int)


def _outline(values: np.ndarray) -> np.ndarray:
    """Return which pixels of a label touch another value; the edge of a tile is none."""
    framed = np.pad(values, 1, mode="edge")
    edge = np.zeros(values.shape, bool)
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edge |= framed[row : row + values.shape[0], column : column + values.shape[1]] != values
    return edge & (values > 0)


def _colours(labels: LabelSet) -> np.ndarray:
    """Return a table of colours by value; labels that share one get others of the palette."""
    table = np.zeros((max(labels.values) + 1, 3))
    taken: set[tuple[int, int, int]] = set()
    spare = cycle(PALETTE)
    for label in labels.plain:
        colour = label.colour if label.colour not in taken else next(spare)
        taken.add(colour)
        table[label.value] = colour
    return table


def _occupied(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return for each axis the indices of slices that have a label."""
    others = ((1, 2), (0, 2), (0, 1))
    return tuple(np.flatnonzero(mask.any(axis=axes)) for axes in others)


def _field(occupied: Sequence[np.ndarray], geometry: Geometry) -> Box:
    """Return the box of voxels to show: a cube about the mask, as far as the scan reaches."""
    if not len(occupied[0]):
        i, j, k = (slice(0, n) for n in geometry.shape)
        return (i, j, k)
    spacing = geometry.spacing
    extents = [(seen[-1] + 1 - seen[0]) * mm for seen, mm in zip(occupied, spacing, strict=True)]
    side = max(ROOM * max(extents), SMALLEST_FIELD_MM)
    box = []
    for seen, mm, n in zip(occupied, spacing, geometry.shape, strict=True):
        wanted = min(n, round(side / mm))
        start = round((seen[0] + seen[-1] + 1 - wanted) / 2)
        start = min(max(start, 0), n - wanted)
        box.append(slice(start, start + wanted))
    return (box[0], box[1], box[2])


def _chosen(occupied: np.ndarray, slices: int) -> list[int]:
    """Return which slices to show: evenly through those with a label, or through all."""
    candidates = occupied if len(occupied) else np.arange(slices)
    picks = (np.arange(SLICES) + 0.5) * (len(candidates) / SLICES)
    return list(dict.fromkeys(candidates[picks.astype(int)].tolist()))


def _number(to_lps: AxisMap, axis: int, index: int, geometry: Geometry) -> int:
    """Return the number of a slice, from 1, in the scan's own order."""
    return geometry.shape[axis] - index if to_lps.flips[axis] else index + 1


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return DejaVu Sans, which comes with matplotlib; Pillow's own font is ASCII only."""
    matplotlib = find_spec("matplotlib")  # found, not imported
    for folder in (matplotlib.submodule_search_locations or ()) if matplotlib else ():
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(file, size)
    return ImageFont.load_default(size)


def _remark(mask: np.ndarray, second: np.ndarray | None) -> str:
    """Return what a reader must know before looking."""
    if second is None:
        return "" if mask.any() else "no finding: the mask is empty"
    empty = [name for name, array in (("prediction", mask), ("reference", second))
             if not array.any()]  # fmt: skip
    told = "colour: prediction, white: reference"
    return f"{told}; empty: {', '.join(empty)}" if empty else told


def _draw_header(
    sheet: Image.Image, volume: Volume, window: tuple[float, float], remark: str
) -> None:
    draw = ImageDraw.Draw(sheet)
    title = _short(" · ".join(filter(None, (volume.source.case, volume.modality))), 70)
    draw.text((MARGIN, MARGIN - 4), title, TEXT, font(20))
    grid = " × ".join(map(str, volume.geometry.shape))
    spacing = " × ".join(f"{mm:.2f}" for mm in volume.geometry.spacing)
    facts = (f"grid {grid}   spacing {spacing} mm   axes {volume.geometry.orientation}   "
             f"window level {window[0]:.4g} width {window[1]:.4g}")  # fmt: skip
    draw.text((MARGIN, MARGIN + 25), facts, FAINT, font(13))
    right = sheet.width - MARGIN
    draw.text((right, MARGIN), "research use only", LETTER, font(15), anchor="ra")
    draw.text((right, MARGIN + 24), remark, TEXT, font(15), "ra")


def _draw_letters(
    sheet: Image.Image, corner: tuple[int, int], height: int, plane: _Plane, caption: str
) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = corner
    centre, middle = left + TILE // 2, top + height // 2
    places = ((left + 5, middle, "lm"), (left + TILE - 5, middle, "rm"),
              (centre, top + 3, "ma"), (centre, top + height - 3, "md"))  # fmt: skip
    for letter, (x, y, anchor) in zip(plane.letters, places, strict=True):
        draw.text((x, y), letter, LETTER, font(13), anchor, stroke_width=2, stroke_fill=SHADOW)
    draw.text((left + 5, top + 4), caption, TEXT, font(11), stroke_width=2, stroke_fill=SHADOW)


def _draw_ruler(sheet: Image.Image, corner: tuple[int, int], scale: float) -> None:
    """Draw a bar of a round number of millimetres into the lower right of a tile."""
    longest = TILE / 3 / scale
    mm = max(n * 10.0**power for power in range(-3, 4) for n in (1, 2, 5) if
             n * 10.0**power <= longest)  # fmt: skip
    draw = ImageDraw.Draw(sheet)
    right, bottom = corner[0] - 8, corner[1] - 8
    draw.line((right - mm * scale, bottom, right, bottom), TEXT, 2)
    draw.text((right, bottom - 3), f"{mm:g} mm", TEXT, font(11), "rd",
              stroke_width=2, stroke_fill=SHADOW)  # fmt: skip


def _legend(
    labels: LabelMap, reference: LabelMap | None = None
) -> list[tuple[tuple[int, ...] | None, str]]:
    """Return colour and words of each entry: labels in order, those that occur first."""
    volumes, colours = labels.volumes_ml(), _colours(labels.labels).astype(int)
    true = reference.volumes_ml() if reference is not None else volumes
    ordered = sorted(labels.labels.plain,
                     key=lambda label: max(volumes[label.name], true[label.name]) == 0)  # fmt: skip
    entries: list[tuple[tuple[int, ...] | None, str]] = []
    for label in ordered:
        words = f"{_short(label.name, 30)}   {_ml(volumes[label.name])}"
        if reference is not None:
            words += f" of {_ml(true[label.name])}"
        entries.append((tuple(colours[label.value].tolist()), words))
    room = LEGEND_COLUMNS * LEGEND_LINES
    if len(entries) > room:
        entries[room - 1 :] = [(None, f"and {len(entries) - room + 1} more")]
    return entries


def _ml(volume: float) -> str:
    if volume == 0:
        return "absent"
    return f"{volume:.2f} ml" if volume < 10 else f"{volume:.1f} ml"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _draw_legend(
    sheet: Image.Image, top: int, legend: Sequence[tuple[tuple[int, ...] | None, str]]
) -> None:
    draw = ImageDraw.Draw(sheet)
    step = (sheet.width - 2 * MARGIN) // LEGEND_COLUMNS
    columns = -(-len(legend) // LEGEND_LINES) if legend else 1
    lines = -(-len(legend) // columns)
    for n, (colour, words) in enumerate(legend):
        x, y = MARGIN + (n // lines) * step, top + (n % lines) * LINE
        if colour is not None:
            draw.rectangle((x, y + 3, x + 15, y + 18), colour)
        draw.text((x + 24, y + 2), words, TEXT if colour else FAINT, font(14))
