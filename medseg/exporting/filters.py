"""What a network's first layer has learned: its kernels, and what they answer to, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from medseg.errors import ModelRefused, OutputFailed
from medseg.exporting.picture import BACKGROUND, FAINT, TEXT, font
from medseg.exporting.thumbnail import PICTURES, opened
from medseg.files import make_folder, whole_file
from medseg.geometry import Geometry, axes_towards
from medseg.models import ModelPackage
from medseg.plan import Plan
from medseg.preparing import prepare
from medseg.reading import read

MOST = 32  # filters on a sheet, the strongest first; the others are counted
COLUMNS = 16  # filters in a band
TILE, GAP, MARGIN, LABEL = 72, 6, 24, 150  # pixels
LARGE = 184  # side of a feature map
PROBE = 27  # voxels of a test pattern's side: its middle is a voxel
PERIOD = 4  # voxels of the grating
ROBUST = 99.5  # percentile that is full colour: one bright voxel would leave the rest dark

NEGATIVE, ZERO, POSITIVE = (86, 180, 233), (26, 29, 35), (240, 160, 40)
UPRIGHT = "PLS"  # rows run to the back, columns to the left, slices to the head
PLANES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True, eq=False, slots=True)
class Filters:
    """The kernels of the layer that sees the image itself.

    Attributes
    ----------
    layer : str
    kernels : (F, C, rows, columns) or (F, C, rows, columns, slices) array
        Of each filter and channel, strongest filter first; axes run to the patient's back, left
        and head, whatever the network's grid, so that they look as images are shown.
    bias : (F,) array
    numbers : (F,) int array
        Place of each filter in the layer, from 0.
    """

    layer: str
    kernels: np.ndarray
    bias: np.ndarray
    numbers: np.ndarray


def filters_of(package: ModelPackage) -> Filters:
    """Return the first layer's kernels of any convolutional network, from its weights alone.

    It is the one of the largest kernel among those that take the image's channels: beside it
    there may be a 1 x 1 shortcut. Of several, the first by name.

    Raises
    ------
    ModelRefused
        ``filters-missing``: no convolution takes the image.
    """
    weights, channels = package.weights(), len(package.plan.channels)
    takers = [
        (-int(np.prod(array.shape[:-2])), path) for path, array in weights.items()
        if path.endswith("/kernel") and array.ndim in (4, 5) and array.shape[-2] == channels
    ]  # fmt: skip
    if not takers:
        raise ModelRefused("filters-missing", f"No convolution of {package.name} takes the "
                           f"image's {channels} channels", do="Give a convolutional network"
                           )  # fmt: skip
    _, path = min(takers)
    kernels = _upright(weights[path].astype(np.float64), package.plan)
    kernels = np.moveaxis(kernels, (-1, -2), (0, 1))  # (F, C, ...)
    strength = np.sqrt((kernels.reshape(len(kernels), -1) ** 2).sum(axis=1))
    order = np.argsort(-strength, kind="stable")
    layer = path.removesuffix("/kernel")
    bias = np.asarray(weights.get(f"{layer}/bias", np.zeros(len(kernels))), np.float64)
    return Filters(layer, kernels[order], bias[order], order)


def _upright(array: np.ndarray, plan: Plan) -> np.ndarray:
    """Turn the axes of space of a plan's grid, ``(..., C, F)`` behind them, as they are shown."""
    unit = Geometry((1, 1, 1), np.eye(4))
    turn = axes_towards(axes_towards(unit, plan.orientation).of_geometry(unit), UPRIGHT)
    if array.ndim == 5:
        return turn.of_array(array)
    thin = thin_axis(plan)
    return turn.of_array(np.expand_dims(array, thin)).squeeze(turn.axes.index(thin))


def thin_axis(plan: Plan) -> int:
    """Return the axis across which a 2-D network's slices lie: its patch is one voxel thick."""
    return int(np.argmin(plan.patch))


def response(kernel: np.ndarray, image: np.ndarray, bias: float = 0.0) -> np.ndarray:
    """Return what one filter makes of an image, zero beyond its edges as the network has it.

    Parameters
    ----------
    kernel, image : (C, ...) array
        Of as many axes; the kernel is not mirrored, as in every deep learning library.
    """
    pairs = zip(image, kernel, strict=True)
    total = sum(ndimage.correlate(one, weight, mode="constant") for one, weight in pairs)
    return np.asarray(total + bias)


def probes() -> dict[str, np.ndarray]:
    """Return the test patterns by name, each ``(PROBE, PROBE)``, from -1 to 1."""
    row, column = np.indices((PROBE, PROBE)) - PROBE // 2
    return {
        "edge": np.where(column >= 0, 1.0, -1.0),
        "corner": np.where((column >= 0) & (row >= 0), 1.0, -1.0),
        "blob": 2 * np.exp(-(row**2 + column**2) / (2 * 3.0**2)) - 1,
        "grating": np.cos(2 * np.pi * column / PERIOD),
    }


def write_filters(
    path: Path, package: ModelPackage, image: Path | None = None, *, overwrite: bool = False
) -> Filters:
    """Write the sheet of a model's first layer as PNG, whole or not at all; return the filters.

    Parameters
    ----------
    path : Path
    package : ModelPackage
    image : Path, optional
        A scan that :func:`medseg.read` knows, prepared as the model wants it; or, for a 2-D
        network, a picture. Without it there are no feature maps.

    Raises
    ------
    ModelRefused
        ``filters-missing``.
    InputRefused
        What reading and :func:`medseg.preparing.prepare` raise.
    OutputFailed
        ``output-exists``, ``write-failed``.
    """
    if path.exists() and not overwrite:
        raise OutputFailed("output-exists", f"There is a {path.name} already",
                           do="Use --overwrite to replace it")  # fmt: skip
    filters = filters_of(package)
    seen = None if image is None else _seen(image, package, filters.kernels.ndim - 2)
    sheet = drawn_filters(filters, package.name, seen)
    make_folder(path.parent)
    with whole_file(path) as aside:
        sheet.save(aside, format="PNG", optimize=True)
    return filters


def _seen(path: Path, package: ModelPackage, axes: int) -> np.ndarray:
    """Return an image as the first layer sees it, ``(C, ...)`` with axes as its kernels."""
    plan = package.plan
    if axes == 2 and path.suffix.lower() in PICTURES:
        values = np.asarray(opened(path), np.float64)
        planes = values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)
        if len(planes) != len(plan.channels):
            planes = np.repeat(planes.mean(axis=0)[None], len(plan.channels), axis=0)
        return (planes - planes.mean()) / max(float(planes.std()), 1e-6)
    array = prepare(read(path), plan).array[..., None]  # (I, J, K, C, 1)
    if axes == 2:
        thin = thin_axis(plan)
        array = np.take(array, array.shape[thin] // 2, axis=thin)
    return np.moveaxis(_upright(array, plan)[..., 0], -1, 0)


def drawn_filters(filters: Filters, name: str, seen: np.ndarray | None = None) -> Image.Image:
    """Draw the sheet: a column a filter with its kernels and answers, then its feature maps.

    Blue is below 0, orange above. A filter's kernels share one scale, and so do its answers to
    the test patterns: they can be compared down a column. Each feature map, less its mean (which
    a normalisation takes away), has its own.

    Parameters
    ----------
    filters : Filters
    name : str
        Of the model.
    seen : (C, ...) array, optional
        The image as the first layer sees it; of three axes the middle slice across the last
        is shown.
    """
    shown = min(len(filters.kernels), MOST)
    columns = min(COLUMNS, shown)
    rows = [*_kernel_rows(filters.kernels[:shown]), *_probe_rows(filters.kernels[:shown])]
    bands = -(-shown // columns)
    width = max(2 * MARGIN + LABEL + columns * (TILE + GAP), 900)
    maps = [] if seen is None else _maps(filters, shown, seen)
    wide, high = (maps[0].width + 2 * GAP, maps[0].height + 22 + GAP) if maps else (1, 1)
    wide = max(wide, 84)  # the words below need that
    across = (width - 2 * MARGIN + 2 * GAP) // wide
    band = 30 + len(rows) * (TILE + GAP) + 22
    height = 96 + bands * band + (48 + -(-len(maps) // across) * high if maps else 0) + MARGIN
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _header(pen, filters, name, shown, width)
    top = 96
    for start in range(0, shown, columns):
        _band(sheet, pen, top, rows, filters.numbers[:shown], start, columns)
        top += band
    if maps:
        pen.text((MARGIN, top), "On the image", TEXT, font(18))
        words = "the image, then what each filter makes of it"
        pen.text((MARGIN + 130, top + 4), words, FAINT, font(13))
        top += 34
        for n, picture in enumerate(maps):
            corner = (MARGIN + n % across * wide, top + n // across * high)
            sheet.paste(picture, corner)
            label = f"filter {filters.numbers[n - 1]}" if n else "image"
            pen.text((corner[0], corner[1] + picture.height + 3), label, FAINT, font(13))
    return sheet


Row = tuple[str, "np.ndarray | None", list[Image.Image]]  # label, its pattern, a tile a filter


def _kernel_rows(kernels: np.ndarray) -> list[Row]:
    """Return rows of kernels: of each channel, or of one channel's three middle planes."""
    many, channels = kernels.shape[:2]
    scales = np.abs(kernels.reshape(many, -1)).max(axis=1)
    solid = kernels.ndim == 5
    rows: list[Row] = []
    for channel in range(min(channels, 3)):
        for plane in range(3 if solid and channels == 1 else 1):
            cut = kernels[:, channel]
            title = "kernel" if channels == 1 else f"kernel, channel {channel}"
            if solid:
                cut = _plane(cut, plane)
                title += f"\n{PLANES[plane]}"
            tiles = [_tile(one, scale) for one, scale in zip(cut, scales, strict=True)]
            rows.append((title, None, tiles))
    return rows


def _plane(kernels: np.ndarray, plane: int) -> np.ndarray:
    """Return the middle plane of ``(F, rows, columns, slices)``, the head up where it is seen."""
    axis = (3, 1, 2)[plane]
    cut = np.take(kernels, kernels.shape[axis] // 2, axis=axis)
    return cut if plane == 0 else np.swapaxes(cut, 1, 2)[:, ::-1]


def _probe_rows(kernels: np.ndarray) -> list[Row]:
    """Return rows of answers; a 3-D kernel sees a pattern that runs through all slices."""
    flat = kernels.sum(axis=-1) if kernels.ndim == 5 else kernels  # (F, C, h, w)
    answers = {
        name: [_inner(response(one, np.stack([pattern] * flat.shape[1])), one) for one in flat]
        for name, pattern in probes().items()
    }
    scales = [max(np.abs(of[n]).max() for of in answers.values()) for n in range(len(flat))]
    return [
        (name, probes()[name],
         [_tile(one, scale) for one, scale in zip(answers[name], scales, strict=True)])
        for name in answers
    ]  # fmt: skip


def _inner(answer: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Leave out the rim where the kernel reaches beyond the pattern."""
    return answer[tuple(slice(n // 2, -(n // 2) or None) for n in kernel.shape[1:])]


def _maps(filters: Filters, shown: int, seen: np.ndarray) -> list[Image.Image]:
    """Return the image and what each filter makes of it, three axes as their middle slice."""
    middle: tuple[Any, ...] = ()
    if seen.ndim == 4:  # no more slices than the kernel reaches
        half, centre = filters.kernels.shape[-1] // 2, seen.shape[-1] // 2
        start = max(0, centre - half)
        seen, middle = seen[..., start : centre + half + 1], (centre - start,)
    first = seen[0][(..., *middle)]
    low, high = np.percentile(first, (1, ROBUST))
    grey = np.clip((first - low) * (255 / max(float(high - low), 1e-6)), 0, 255).astype(np.uint8)
    pictures = [Image.fromarray(grey).convert("RGB")]
    for kernel, bias in zip(filters.kernels[:shown], filters.bias, strict=False):
        answer = response(kernel, seen, float(bias))[(..., *middle)]
        answer = answer - answer.mean()
        pictures.append(Image.fromarray(coloured(answer, np.percentile(np.abs(answer), ROBUST))))
    scale = LARGE / max(pictures[0].size)
    width, height = (max(1, round(n * scale)) for n in pictures[0].size)
    return [one.resize((width, height), Image.Resampling.BICUBIC) for one in pictures]


def coloured(values: np.ndarray, scale: float) -> np.ndarray:
    """Return values as colours, ``(..., 3)`` uint8: ``-scale`` blue, 0 dark, ``scale`` orange."""
    share = np.clip(values / max(float(scale), 1e-12), -1, 1)[..., None]
    ends = np.where(share < 0, NEGATIVE, POSITIVE)
    return np.asarray(np.rint(ZERO + (ends - np.array(ZERO)) * np.abs(share)), np.uint8)


def _tile(values: np.ndarray, scale: float) -> Image.Image:
    """Return a small array as a tile of sharp voxels in true proportions."""
    picture = Image.fromarray(coloured(values, scale))
    longest = TILE / max(picture.size)
    width, height = (max(1, round(n * longest)) for n in picture.size)
    return picture.resize((width, height), Image.Resampling.NEAREST)


def _header(pen: ImageDraw.ImageDraw, filters: Filters, name: str, shown: int, width: int) -> None:
    pen.text((MARGIN, 20), f"{name}: first layer", TEXT, font(22))
    size = " x ".join(map(str, filters.kernels.shape[2:]))
    many, channels = filters.kernels.shape[:2]
    words = f"{filters.layer}, {many} filters of {size}, {channels} channel{'s' * (channels > 1)}"
    words += "; strongest first" if shown == many else f"; the {shown} strongest"
    pen.text((MARGIN, 54), words, FAINT, font(14))
    left = width - MARGIN - 160
    ramp = coloured(np.tile(np.linspace(-1, 1, 160), (10, 1)), 1.0)
    for column, colour in enumerate(ramp[0].tolist()):
        pen.line((left + column, 28, left + column, 38), tuple(colour))
    for at, text, anchor in ((0, "below 0", "la"), (160, "above 0", "ra")):
        pen.text((left + at, 42), text, FAINT, font(12), anchor=anchor)


def _band(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, top: int, rows: list[Row],
    numbers: np.ndarray, start: int, columns: int,
) -> None:  # fmt: skip
    """Draw as many filters as fit beside one another, with the labels of the rows on the left."""
    last = min(start + columns, len(numbers))
    for place, number in enumerate(numbers[start:last]):
        middle = MARGIN + LABEL + place * (TILE + GAP) + TILE // 2
        pen.text((middle, top + 4), str(number), FAINT, font(13), anchor="ma")
    top += 26
    for title, pattern, tiles in rows:
        beside = MARGIN
        if pattern is not None:
            shades = ((pattern + 1) * 127.5).astype(np.uint8)
            small = TILE * 2 // 3
            tile = Image.fromarray(shades).resize((small, small), Image.Resampling.NEAREST)
            sheet.paste(tile, (MARGIN, top + (TILE - small) // 2))
            beside += small + 10
        pen.text((beside, top + TILE // 2), title, TEXT, font(14), anchor="lm")
        for place, picture in enumerate(tiles[start:last]):
            left = MARGIN + LABEL + place * (TILE + GAP)
            sheet.paste(picture, (left + (TILE - picture.width) // 2,
                                  top + (TILE - picture.height) // 2))  # fmt: skip
        top += TILE + GAP
