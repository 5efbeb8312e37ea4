"""Transforms of albumentations 2.0.8, in the planes of a patch, where they keep it sound.

Most of its transforms take float images for pictures from 0 to 1 and clip what is outside without
a word, some return NaN, others fail. So each channel is brought to that window first and back
afterwards, classes travel as nearest-sampled int32, and each transform is tried on a made-up patch
of the same shape before training starts.
"""

from __future__ import annotations

import difflib
import inspect
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medseg.augmentation.frame import Frame
from medseg.errors import PlanRefused

QUIET = "NO_ALBUMENTATIONS_UPDATE"  # without it, importing asks a server for newer versions
TRIALS = 3  # seeds that a transform is tried with
TRIAL_SLICES = 3
CLASSES = (1, 3, 300)  # of the made-up patch: more than a byte holds

_MIRRORS = ("HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry", "TimeReverse",
            "CubicSymmetry")  # fmt: skip
_OTHER_IMAGES = ("FDA", "HistogramMatching", "PixelDistributionAdaptation", "Mosaic",
                 "OverlayElements", "TextImage", "TemplateTransform", "MixUp")  # fmt: skip
_OTHER_VALUES = ("Normalize", "ToFloat", "FromFloat", "ToRGB", "Lambda")
# one pattern for all slices, since parameters are drawn once: stripes through a volume
_ONE_NOISE = ("AdditiveNoise", "GaussNoise", "ISONoise", "MultiplicativeNoise", "PixelDropout",
              "SaltAndPepper", "ShotNoise")  # fmt: skip

Named = tuple[str, dict[str, Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Albumentations:
    """Some transforms, applied one after the other with the same numbers to every slice.

    Attributes
    ----------
    transforms : tuple of (str, dict)
        Names and parameters.
    """

    transforms: tuple[Named, ...]
    _own: threading.local = field(default_factory=threading.local)  # a Compose holds its state

    def draw(self, rng: np.random.Generator) -> int:
        """Draw the seed of one application."""
        return int(rng.integers(2**32))

    def apply(
        self, image: np.ndarray, classes: np.ndarray, drawn: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a changed patch.

        Parameters
        ----------
        image : (C, I, J, K) float32 array
            Any values; each channel's range is the window it is put into, and no value leaves it.
        classes : (I, J, K) integer array
        drawn : int
            Seed: the same one gives the same patch, on any thread.
        """
        low = image.min(axis=(1, 2, 3), keepdims=True)
        width = image.max(axis=(1, 2, 3), keepdims=True) - low
        width[width == 0] = 1
        slices = np.ascontiguousarray(np.moveaxis((image - low) / width, 0, -1))  # (I, J, K, C)
        composed = self._composed()
        composed.set_random_seed(drawn)
        out = composed(images=slices, masks=np.ascontiguousarray(classes, np.int32))
        values = np.moveaxis(np.asarray(out["images"], np.float32), -1, 0)
        return np.ascontiguousarray(values * width + low), out["masks"].astype(classes.dtype)

    def _composed(self) -> Any:
        """Return this thread's own pipeline: two threads in one would mix their numbers."""
        if not hasattr(self._own, "composed"):
            library = albumentations()
            made = [_made(library, name, told) for name, told in self.transforms]
            self._own.composed = library.Compose(made, seed=0)
        return self._own.composed


def albumentations() -> Any:
    """Import the library without its question to a server; the environment stays as it was."""
    before = os.environ.get(QUIET)
    os.environ[QUIET] = "1"
    try:
        import albumentations as library
    finally:
        if before is None:
            del os.environ[QUIET]
        else:
            os.environ[QUIET] = before
    return library


def adapted(told: Any, frame: Frame, channels: int) -> Albumentations:
    """Return the transforms that a configuration names, each tried once.

    Parameters
    ----------
    told : sequence
        Names, or mappings from one name to its parameters as the library's documentation has
        them; ``p`` is the probability.
    frame : Frame
    channels : int

    Raises
    ------
    PlanRefused
        ``augmentation-unknown``: no such transform or parameter; names the nearest.
        ``augmentation-invalid``: the library does not take a parameter's value.
        ``transform-refused``: it mirrors, needs other images, changes the patch's size, loses
        labels, fails, or gives another result for the same seed.
    """
    if isinstance(told, str | Mapping) or not isinstance(told, Sequence) or not told:
        raise PlanRefused(
            "augmentation-invalid", "albumentations: is a list of transforms",
            do="Write - GridDistortion: {p: 0.2}, one line a transform",
        )  # fmt: skip
    library = albumentations()
    transforms = tuple(_named(library, entry) for entry in told)
    for named in transforms:
        _check_kind(library, named, frame)
        _try(named, frame, channels)
    return Albumentations(transforms)


def _named(library: Any, entry: Any) -> Named:
    """Return name and parameters of an entry, or refuse it with the nearest name."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise PlanRefused("augmentation-invalid", "albumentations: each entry is one transform",
                          do="Write - GridDistortion: {p: 0.2}, one line a transform")  # fmt: skip
    name, told = next(iter(entry.items()))
    known = {n for n, one in vars(library).items() if inspect.isclass(one)
             and issubclass(one, library.BasicTransform) and not inspect.isabstract(one)
             and n not in ("BasicTransform", "DualTransform", "ImageOnlyTransform",
                           "Transform3D")}  # fmt: skip
    if name not in known:
        raise _unknown("transform of albumentations", str(name), known)
    parameters = {str(key): _plain(value) for key, value in (told or {}).items()}
    allowed = set(inspect.signature(getattr(library, name).__init__).parameters) - {"self"}
    for key in parameters:
        if key not in allowed:
            raise _unknown(f"parameter of {name}", key, allowed)
    return str(name), parameters


def _unknown(what: str, name: str, known: set[str]) -> PlanRefused:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return PlanRefused(
        "augmentation-unknown", f"There is no {what} {name!r}",
        do=f"Did you mean {near[0]!r}?" if near
        else "See the documentation of albumentations 2.0.8" if len(known) > 20
        else f"It has {', '.join(sorted(known))}",
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Return YAML's lists as tuples, which the library expects."""
    return tuple(_plain(one) for one in value) if isinstance(value, list | tuple) else value


def _made(library: Any, name: str, parameters: Mapping[str, Any]) -> Any:
    try:
        return getattr(library, name)(**parameters)
    except (TypeError, ValueError) as error:
        lines = [line.split(" [type=")[0].strip() for line in str(error).splitlines()]
        told = " ".join(filter(None, lines[1:3])) or lines[0]  # the first counts the errors
        raise PlanRefused("augmentation-invalid", f"albumentations: {name}: {told}") from error


def _check_kind(library: Any, named: Named, frame: Frame) -> None:
    """Refuse what would work and do harm."""
    name, parameters = named
    if parameters.get("mask_interpolation", 0) or parameters.get("fill_mask", 0):
        raise _refused(name, "would make labels that are not there",
                       "Leave mask_interpolation and fill_mask at 0")  # fmt: skip
    if name in _MIRRORS:
        raise _refused(name, "mirrors, and does not know left from right",
                       "Use plan.mirror_axes, which swaps paired labels")  # fmt: skip
    if name in _OTHER_IMAGES:
        raise _refused(name, "needs other images or fonts", "Leave it out")
    if name in _OTHER_VALUES:
        raise _refused(name, "is for other kinds of values than prepared patches", "Leave it out")
    if issubclass(getattr(library, name), library.Transform3D):
        raise _refused(name, "works on volumes of its own kind only",
                       "Take its namesake for pictures, or spatial and elastic")  # fmt: skip
    if name in _ONE_NOISE and frame.patch[0] > 1:
        raise _refused(name, "puts the same noise into every slice of a volume",
                       "Use gaussian_noise")  # fmt: skip


def _try(named: Named, frame: Frame, channels: int) -> None:
    """Apply a transform to a made-up patch and refuse it unless the patch stays sound."""
    name, parameters = named
    image, classes = _made_up(frame, channels)
    sure = Albumentations(((name, {**parameters, "p": 1.0}),))
    sure._composed()  # wrong parameters are told as such
    for seed in range(TRIALS):
        try:
            out, numbers = sure.apply(image.copy(), classes.copy(), seed)
            again, same = sure.apply(image.copy(), classes.copy(), seed)
        except Exception as error:  # whatever a foreign transform raises
            first = (str(error).splitlines() or [type(error).__name__])[0]
            reason = first.split("error: ")[-1]  # OpenCV names a file of its own before
            told = f"fails on {channels} channel{'s' if channels > 1 else ''}: {reason}"
            raise _refused(name, told.rstrip(" .")) from error
        if out.shape != image.shape or numbers.shape != classes.shape:
            raise _refused(name, f"makes {numbers.shape[1:]} of slices of {classes.shape[1:]}")
        if not np.isfinite(out).all():
            raise _refused(name, "gives values that are no numbers")
        if not set(np.unique(numbers)) <= {0, *CLASSES}:
            raise _refused(name, "makes labels that were not there")
        if not (np.array_equal(out, again) and np.array_equal(numbers, same)):
            raise _refused(name, "gives another result for the same seed")


def _made_up(frame: Frame, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a patch of smooth values beyond 0 and 1, and three boxes of classes."""
    shape = (min(TRIAL_SLICES, frame.patch[0]), *frame.patch[1:])
    i, j, k = np.ogrid[tuple(map(slice, shape))]
    wave = np.sin(j / 3) * np.cos(k / 4) * 2 - 0.5 + 0.1 * i
    image = np.stack([wave * (n + 1) for n in range(channels)]).astype(np.float32)
    classes = np.zeros(shape, np.uint16)
    for n, number in enumerate(CLASSES):
        first, last = (round(shape[1] * (n + m) / (len(CLASSES) + 1)) for m in (0.4, 1.2))
        classes[:, first:last, shape[2] // 4 : 3 * shape[2] // 4 + 1] = number
    return image, classes


def _refused(name: str, why: str, do: str = "Take another transform") -> PlanRefused:
    return PlanRefused("transform-refused", f"albumentations: {name} {why}", do=do)
