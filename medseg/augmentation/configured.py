"""From what a configuration says to a recipe: a name, or named steps with their parameters."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from medseg.augmentation.albumentations_adapter import adapted
from medseg.augmentation.elastic import Elastic
from medseg.augmentation.frame import Frame, Patch, Triple
from medseg.augmentation.intensity import (
    Brightness,
    Contrast,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    LowResolution,
)
from medseg.augmentation.recipe import Recipe
from medseg.augmentation.spatial import Spatial
from medseg.errors import PlanRefused

STEPS: dict[str, Any] = {
    "spatial": Spatial(),
    "elastic": Elastic(),
    "gaussian_noise": GaussianNoise(),
    "gaussian_blur": GaussianBlur(),
    "brightness": Brightness(),
    "contrast": Contrast(),
    "low_resolution": LowResolution(),
    "gamma_inverted": Gamma(0.1, inverted=True),
    "gamma": Gamma(0.3),
}
"""Steps by name, with nnU-Net's numbers."""

RECIPES: dict[str, tuple[str, ...]] = {
    # nnU-Net 2's, in its order
    "default": ("spatial", "gaussian_noise", "gaussian_blur", "brightness", "contrast",
                "low_resolution", "gamma_inverted", "gamma"),
    # without what a small network has no time to learn to undo
    "light": ("spatial", "gaussian_noise", "gamma"),
    "none": (),
}  # fmt: skip
STILL = Spatial(rotate_probability=0, scale_probability=0)
PLACING = ("spatial", "elastic")  # decide where voxels come from; the others what they are

Told = str | Mapping[str, Any] | Sequence[Any]


def recipe(
    told: Told,
    spacing: Triple,
    patch: Patch,
    mirror_axes: tuple[int, ...],
    *,
    side_axis: int | None = None,
    swap: tuple[tuple[int, int], ...] = (),
    channels: int = 1,
) -> Recipe:
    """Return the recipe that a configuration asks for.

    Parameters
    ----------
    told : str, mapping or sequence
        ``"default"`` (nnU-Net's), ``"light"`` or ``"none"``; or a mapping from names of
        ``STEPS`` to their parameters, those left out being nnU-Net's, or to ``"none"``, which
        takes a step away. ``recipe`` in it names what to start from, ``"none"`` if left out. A
        sequence of such names, or of mappings of one name, is the same for steps that come
        twice. ``albumentations`` holds a list of that library's transforms.
    spacing, patch, mirror_axes, side_axis, swap
        As :class:`medseg.augmentation.Frame`; the recipe ``"none"`` does not mirror either.
    channels : int
        Of the image; albumentations' transforms are tried on as many.

    Raises
    ------
    PlanRefused
        ``augmentation-unknown``: no such step, recipe, transform or parameter; names the nearest.
        ``augmentation-invalid``: a parameter is out of range. ``transform-refused``: a transform
        of albumentations that does not keep image and labels sound.

    Examples
    --------
    >>> told = {"recipe": "light", "gamma": {"probability": 0.5}, "elastic": {}}
    >>> made = recipe(told, (1, 1, 1), (32, 32, 32), (0, 1, 2))
    >>> [type(step).__name__ for step in made.intensities], made.elastic.probability
    (['GaussianNoise', 'Gamma'], 0.2)
    """
    steps = _steps(told)
    frame = Frame(spacing, patch, mirror_axes if steps else (), side_axis, swap)
    spatial, elastic, in_plane, intensities = STILL, None, None, []
    for name, parameters in steps:
        if name == "albumentations":
            in_plane = adapted(parameters, frame, channels)
        elif name == "spatial":
            spatial = _made(name, parameters)
        elif name == "elastic":
            elastic = _made(name, parameters)
        else:
            intensities.append(_made(name, parameters))
    return Recipe(frame, spatial, tuple(intensities), elastic, in_plane)


def _steps(told: Told) -> list[tuple[str, Any]]:
    """Return names and parameters in order."""
    if isinstance(told, str):
        return [(name, {}) for name in RECIPES[_known(told, RECIPES, "recipe")]]
    if isinstance(told, Mapping):
        asked = dict(told)
        base = asked.pop("recipe", "none")
        if not isinstance(base, str):
            raise _invalid("recipe", "names one of " + ", ".join(RECIPES))
        steps: dict[str, Any] = {name: {} for name in RECIPES[_known(base, RECIPES, "recipe")]}
        for name, parameters in asked.items():
            _known(name, (*STEPS, "albumentations"), "augmentation")
            if parameters == "none":
                steps.pop(name, None)
            else:
                steps[name] = parameters
        return list(steps.items())
    steps_told = [_one(entry) for entry in told]
    for name in (*PLACING, "albumentations"):
        if [one for one, _ in steps_told].count(name) > 1:
            raise _invalid(name, "comes twice")
    return steps_told


def _one(entry: Any) -> tuple[str, Any]:
    """Return name and parameters of an entry of a list."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise _invalid("augmentation", "each entry is a name, or one name with its parameters")
    name, parameters = next(iter(entry.items()))
    return _known(name, (*STEPS, "albumentations"), "augmentation"), parameters


def _made(name: str, parameters: Any) -> Any:
    """Return a step with some parameters changed."""
    step = STEPS[name]
    if parameters is None or parameters == {}:
        return step
    if not isinstance(parameters, Mapping):
        raise _invalid(name, "takes parameters by name, such as {probability: 0.3}")
    fields = tuple(step.__dataclass_fields__)
    for parameter in parameters:
        _known(parameter, fields, f"parameter of {name}")
    values = {field: getattr(step, field) for field in fields} | dict(parameters)
    try:
        return _ADAPTERS[name].validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in (name, *first["loc"]))
        raise _invalid(place, first["msg"].removeprefix("Value error, ")) from error


_ADAPTERS = {name: TypeAdapter(type(step)) for name, step in STEPS.items()}


def _known(name: Any, known: Iterable[str], what: str) -> str:
    """Return a name that exists, or refuse it with the nearest one that does."""
    if name in (known := tuple(known)):
        return str(name)
    near = difflib.get_close_matches(str(name), known, n=1)
    raise PlanRefused(
        "augmentation-unknown", f"There is no {what} {name!r}",
        do=f"Did you mean {near[0]!r}?" if near else f"Use one of {', '.join(known)}",
    )  # fmt: skip


def _invalid(place: str, problem: str) -> PlanRefused:
    return PlanRefused("augmentation-invalid", f"augmentation: {place}: {problem}")
