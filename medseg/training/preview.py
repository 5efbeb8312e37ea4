"""A sheet of augmented patches beside what they were cut from: what the network sees."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from medseg.augmentation import recipe
from medseg.augmentation.sides import class_pairs, side_axis
from medseg.datasets import Case, Dataset
from medseg.datasets.store import StoredCase, store_cases
from medseg.errors import PlanRefused
from medseg.exporting import picture
from medseg.exporting.picture import BACKGROUND, FAINT, FILL, GAP, LETTER, LINE, MARGIN, TEXT, font
from medseg.files import make_folder, whole_file
from medseg.findings import Finding
from medseg.geometry import Geometry, axes_towards
from medseg.plan import Plan
from medseg.training.config import TrainingConfig
from medseg.training.opening import Training, open_training
from medseg.training.progress import Progress, silent

TILE = 208  # pixels of the longest side of a patch
BETWEEN = 26  # before and after augmentation
HEADER, CAPTION = 84, 22
SAMPLES_IN_A_ROW = {3: 1, 1: 3}  # by the planes that a patch has
SHEET = "preview.png"
_DIRECTIONS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0),
               "S": (0, 0, 1), "I": (0, 0, -1)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preview:
    """A sheet that was drawn.

    Attributes
    ----------
    path : Path
    plan : Plan
        With the axes that are mirrored and the labels that change places.
    findings : tuple of Finding
        Why an axis is not mirrored.
    """

    path: Path
    plan: Plan
    findings: tuple[Finding, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One patch before and after augmentation: image ``(I, J, K)`` and class numbers."""

    before: tuple[np.ndarray, np.ndarray]
    after: tuple[np.ndarray, np.ndarray]
    channel: str
    forced: bool


def preview(
    config: TrainingConfig,
    out: str | Path,
    *,
    count: int = 6,
    seed: int | None = None,
    progress: Progress = silent,
) -> Preview:
    """Draw ``out/preview.png``: patches as training would draw them, with their labels.

    Patches come from the training's own sampler, and from the same one without augmentation;
    half of them are centred on a label. Cases are prepared for it as for training, ``count`` of
    them at most, in a temporary folder.

    Parameters
    ----------
    config : TrainingConfig
    out : str or Path
        Folder, made if missing.
    count : int
        Patches.
    seed : int, optional
        Another than the config's.
    progress : callable
        As for :func:`medseg.training.train`.

    Raises
    ------
    InputRefused, PlanRefused
        As :func:`medseg.training.fit.open_training`.
    """
    if seed is not None:
        config = config.model_copy(update={"seed": seed})
    if config.task == "classify":
        raise PlanRefused("task-differs", "A sheet is drawn of patches with labels only",
                          do="Give the config of a segmentation")  # fmt: skip
    training = open_training(config)
    assert isinstance(training.dataset, Dataset)
    chosen = _chosen(training.dataset, training, count)
    out = Path(out)
    make_folder(out)
    with tempfile.TemporaryDirectory() as folder:
        cases = store_cases(
            chosen, training.plan, Path(folder),
            lambda done, total: progress("prepare", done, total, ""),
            ignore=training.dataset.ignore, skip_refused=config.skip_refused,
        )  # fmt: skip
        samples = _samples(training, cases, count)
    sheet = drawn(samples, training.plan, _words(config))
    with whole_file(out / SHEET) as aside:
        picture.write(sheet, aside)
    return Preview(out / SHEET, training.plan, training.findings)


def _chosen(dataset: Dataset, training: Training, count: int) -> list[Case]:
    names = sorted(training.fold.train)
    rng = np.random.default_rng(training.config.seed)
    wanted = set(rng.choice(names, min(count, len(names)), replace=False).tolist())
    return [case for case in dataset.cases if case.name in wanted]


def _samples(training: Training, cases: Sequence[StoredCase], count: int) -> list[Sample]:
    """Return patches of two samplers that differ in nothing but the recipe."""
    from medseg.networks.loading import load_keras

    load_keras()  # the sampler is one of its data sets
    from medseg.training.sampler import Patches

    config, plan = training.config, training.plan
    before, after = (
        Patches(
            cases,
            recipe(told, plan.spacing, plan.patch, plan.mirror_axes,
                   side_axis=side_axis(plan.orientation), swap=class_pairs(plan),
                   channels=len(plan.channels)),
            plan.patch, batch=2, steps=-(-count // 2), foreground=0.5,
            scales=[(1,) * config.plan.rank], seed=config.seed,
        )
        for told in ("none", config.augmentation)
    )  # fmt: skip
    samples = []
    for number in range(count):
        channel = number % len(plan.channels)
        seen = [_seen(patches[number // 2], number % 2, channel, plan)
                for patches in (before, after)]  # fmt: skip
        samples.append(Sample(seen[0], seen[1], plan.channels[channel].name, number % 2 == 1))
    return samples


def _seen(
    batch: tuple[np.ndarray, np.ndarray], number: int, channel: int, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """Return a channel and the class numbers of one patch of a batch, ``(I, J, K)`` each."""
    image, truth = batch
    return (image[number, ..., channel].reshape(plan.patch),
            truth[number, ..., 0].reshape(plan.patch))  # fmt: skip


def _words(config: TrainingConfig) -> str:
    told = config.augmentation
    if isinstance(told, str):
        return f"augmentation {told}"
    steps = [name if isinstance(name, str) else next(iter(name)) for name in told]
    words = ", ".join(step.replace("_", " ") for step in steps if step != "recipe")
    base = told.get("recipe", "") if isinstance(told, dict) else ""
    return f"augmentation {base + ' with ' if base else ''}{words}"


def drawn(samples: Sequence[Sample], plan: Plan, words: str) -> Image.Image:
    """Draw samples: the middle slices of their planes, before and after, in true proportions.

    Slices are turned into radiological convention along the plan's axes. Both share a window,
    so that a change of brightness is seen; labels are outlined in their colours.
    """
    turn = axes_towards(_geometry(plan), "LPS")
    geometry = turn.of_geometry(_geometry(plan))
    extent = np.multiply(geometry.shape, geometry.spacing)  # mm
    planes = [plane for plane in picture.PLANES
              if min(plan.patch) > 1 or geometry.shape[plane.across] == 1]  # fmt: skip
    scale = TILE / max(max(extent[plane.horizontal], extent[plane.vertical]) for plane in planes)
    sizes = [(max(1, round(extent[plane.horizontal] * scale)),
              max(1, round(extent[plane.vertical] * scale))) for plane in planes]  # fmt: skip
    block = sum(width for width, _ in sizes) + GAP * (len(sizes) - 1)
    in_a_row = SAMPLES_IN_A_ROW.get(len(planes), 1)
    rows = -(-len(samples) // in_a_row)
    step_x = 2 * block + BETWEEN + 2 * BETWEEN
    step_y = max(height for _, height in sizes) + CAPTION + GAP
    width = max(2 * MARGIN + in_a_row * step_x - 2 * BETWEEN, 720)
    height = MARGIN + HEADER + rows * step_y + LINE * 2 + MARGIN
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_heading(draw, plan, words, width)
    colours = _colours(plan)
    for number, sample in enumerate(samples):
        left = MARGIN + (number % in_a_row) * step_x
        top = MARGIN + HEADER + (number // in_a_row) * step_y
        _draw_captions(draw, sample, number, (left, top), block)
        values = sample.before[0]
        window = np.percentile(values, (0.5, 99.5))
        for side, (image, classes) in enumerate((sample.before, sample.after)):
            x = left + side * (block + BETWEEN)
            image, classes = turn.of_array(image), turn.of_array(classes)
            for plane, size in zip(planes, sizes, strict=True):
                tile = _tile(_middle(image, plane), _middle(classes, plane), window, colours, size)
                sheet.paste(tile, (x, top + CAPTION))
                _draw_sides(draw, plane, (x, top + CAPTION), size)
                x += size[0] + GAP
    _draw_legend(draw, plan, colours, height - MARGIN - LINE)
    return sheet


def _geometry(plan: Plan) -> Geometry:
    """Return the grid of a patch, somewhere."""
    affine = np.eye(4)
    columns = [np.multiply(_DIRECTIONS[letter], size)
               for letter, size in zip(plan.orientation, plan.spacing, strict=True)]  # fmt: skip
    affine[:3, :3] = np.stack(columns, axis=-1)
    return Geometry(plan.patch, affine)


def _middle(array: np.ndarray, plane: picture.Plane) -> np.ndarray:
    """Return the middle slice across a plane as rows from the top and columns from the left."""
    flat = array.take(array.shape[plane.across] // 2, plane.across).T
    return flat[::-1] if plane.upward else flat


def _tile(
    image: np.ndarray,
    classes: np.ndarray,
    window: Sequence[float],
    colours: np.ndarray,
    size: tuple[int, int],
) -> Image.Image:
    """Return a slice as a picture, labels outlined with a breath of fill."""
    low, high = float(window[0]), float(window[1])
    shades = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    base = np.asarray(Image.fromarray(shades).resize(size, Image.Resampling.BICUBIC))
    rows, columns = (((np.arange(pixels) + 0.5) * voxels / pixels).astype(int)
                     for pixels, voxels in zip(size[::-1], classes.shape, strict=True))  # fmt: skip
    values = np.maximum(classes[np.ix_(rows, columns)], 0)  # -1 is where nobody labelled
    opacity = np.where(picture.outline(values), 1.0, FILL * 0.6 * (values > 0))[..., None]
    mixed = base[..., None] * (1 - opacity) + colours[values] * opacity
    return Image.fromarray(mixed.astype(np.uint8))


def _colours(plan: Plan) -> np.ndarray:
    """Return the colour of each class number."""
    return picture.colours_of(plan.labels)[list(plan.labels.values)]


def _draw_heading(draw: ImageDraw.ImageDraw, plan: Plan, words: str, width: int) -> None:
    draw.text((MARGIN, MARGIN - 4), "What the network sees", TEXT, font(20))
    patch = " × ".join(map(str, plan.patch))
    spacing = " × ".join(f"{mm:.3g}" for mm in plan.spacing)
    mirrored = " ".join(plan.orientation[axis] for axis in plan.mirror_axes) or "none"
    facts = f"patch {patch}   spacing {spacing} mm   axes {plan.orientation}   mirrored {mirrored}"
    draw.text((MARGIN, MARGIN + 26), facts, FAINT, font(13))
    told = f"{words}; {_swap_words(plan)}" if plan.swap else words
    draw.text((MARGIN, MARGIN + 46), told, FAINT, font(13))
    draw.text((width - MARGIN, MARGIN), "research use only", LETTER, font(15), anchor="ra")


def _swap_words(plan: Plan) -> str:
    some = [f"{plan.labels[one].name} and {plan.labels[other].name}" for one, other in plan.swap]
    more = f" and {len(some) - 2} pairs more" if len(some) > 2 else ""
    return f"mirrored, {', '.join(some[:2])}{more} change places"


def _draw_captions(
    draw: ImageDraw.ImageDraw, sample: Sample, number: int, corner: tuple[int, int], block: int
) -> None:
    left, top = corner
    where = "centred on a label" if sample.forced else "anywhere"
    for side, words in enumerate((f"{number + 1}   {sample.channel}, {where}", "augmented")):
        x = left + side * (block + BETWEEN)
        draw.text((x, top + 3), words, FAINT if side == 0 else TEXT, font(12))


def _draw_sides(
    draw: ImageDraw.ImageDraw, plane: picture.Plane, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """Write the patient's sides at the left and upper edge of a tile."""
    x, y = corner
    places = ((x + 4, y + size[1] // 2, "lm"), (x + size[0] // 2, y + 2, "ma"))
    for letter, (across, down, anchor) in zip(plane.letters[::2], places, strict=True):
        draw.text((across, down), letter, LETTER, font(11), anchor, stroke_width=2,
                  stroke_fill=picture.SHADOW)  # fmt: skip


def _draw_legend(draw: ImageDraw.ImageDraw, plan: Plan, colours: np.ndarray, top: int) -> None:
    x = MARGIN
    for number, label in enumerate(plan.labels.plain, 1):
        length = draw.textlength(label.name, font(14))
        if x + length + 24 > draw.im.size[0] - MARGIN - 40:
            draw.text((x, top), "…", FAINT, font(14))
            return
        draw.rectangle((x, top + 2, x + 13, top + 15), tuple(colours[number].astype(int).tolist()))
        draw.text((x + 21, top), label.name, TEXT, font(14))
        x += round(length) + 50
