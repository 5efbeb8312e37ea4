"""YAML files checked against a model; what is wrong is named with file, line and key."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from medseg.errors import MedsegError, PlanRefused

LARGEST_BYTES = 1 << 20
ABOUT = "about"  # type of a refusal that names its key
Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML with numbers, true and false as people expect: ``1e-3`` a number, ``no`` a word."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules
            if not tag.endswith((":bool", ":int", ":float", ":timestamp"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}  # fmt: skip
for _tag, _rule, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?=\.?[0-9])(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_rule})$"), list(_first)
    )


def load_settings(path: Path, model: type[Model], overrides: Iterable[str] = ()) -> Model:
    """Read a YAML file into a checked model.

    Parameters
    ----------
    path : Path
        At most 1 MiB; anchors, aliases and repeated keys are refused.
    model : type
        A pydantic model.
    overrides : iterable of str
        ``"key.inner=value"``, each value read as YAML; they win over the file.

    Raises
    ------
    PlanRefused
        ``settings-missing``, ``settings-invalid``: names file, line, key and what is wrong.
    """
    lines: dict[Place, int] = {}
    loader = None
    try:
        loader = _Loader(_text(path))
        node = loader.get_single_node()
        if node is None:
            raise PlanRefused("settings-invalid", f"{path.name} is empty")
        _note_lines(node, (), lines, path.name, set())
        content = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        problem = getattr(error, "problem", None) or "cannot be read"
        raise PlanRefused("settings-invalid", f"{where}: no valid YAML: {problem}") from error
    finally:
        if loader is not None:
            loader.dispose()
    origins = {place: f"{path.name}:{line}" for place, line in lines.items()}
    for told in overrides:
        place = override(content, told)
        origins[place] = f"--set {'.'.join(map(str, place))}"
    return checked(content, model, path.name, origins)


def checked(
    content: Any, model: type[Model], name: str, origins: Mapping[Place, str] | None = None
) -> Model:
    """Return content as a checked model.

    Parameters
    ----------
    content : Any
        Parsed YAML.
    model : type
        A pydantic model.
    name : str
        Of the file, for the words of a refusal.
    origins : mapping, optional
        For each key its file and line.

    Raises
    ------
    PlanRefused
        ``settings-invalid``.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = _first_problem(error, model, origins or {}, name)
        raise PlanRefused("settings-invalid", problem) from error
    except MedsegError as error:
        raise PlanRefused("settings-invalid", f"{name}: {error.found}") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PlanRefused("settings-invalid", f"{path.name} is larger than 1 MiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise PlanRefused("settings-missing", f"{path.name} cannot be read: {reason}") from error


def _note_lines(
    node: yaml.Node, place: Place, lines: dict[Place, int], name: str, met: set[int]
) -> None:
    """Remember the line of each key; refuse what a settings file has no use for."""
    line = node.start_mark.line + 1
    if id(node) in met:  # an alias stands for the very node of its anchor
        raise PlanRefused("settings-invalid", f"{name}:{line}: aliases are not allowed")
    met.add(id(node))
    lines.setdefault(place, line)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _note_lines(item, (*place, number), lines, name, met)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise PlanRefused("settings-invalid", f"{name}:{line}: a key is a plain word")
            if key.value in seen:
                raise PlanRefused("settings-invalid", f"{name}:{line}: {key.value} comes twice")
            seen.add(key.value)
            lines[(*place, key.value)] = line
            _note_lines(value, (*place, key.value), lines, name, met)


def override(content: Any, told: str) -> Place:
    """Set one ``key.inner=value`` in place, the value read as YAML; return the place.

    Raises
    ------
    PlanRefused
        ``settings-invalid``: it is no such pair, or leads through a plain value.
    """
    key, equals, value = told.partition("=")
    place = tuple(key.split("."))
    if not equals or not all(place) or not isinstance(content, dict):
        raise PlanRefused("settings-invalid", f"--set {told}: write it as key.inner=value")
    inner = content
    for step in place[:-1]:
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):
            raise PlanRefused("settings-invalid", f"--set {told}: {step} has no keys inside")
    try:
        inner[place[-1]] = yaml.load(value, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PlanRefused("settings-invalid", f"--set {told}: no valid value") from error
    return place


def _first_problem(
    error: ValidationError, model: type[BaseModel], origins: Mapping[Place, str], name: str
) -> str:
    """Say where the first problem stands, and what it is."""
    problem = error.errors(include_url=False)[0]
    place = tuple(problem["loc"])
    words = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == ABOUT:
        place += tuple(problem["ctx"]["key"].split("."))
    elif problem["type"] == "extra_forbidden":
        words = f"there is no such key{nearest(str(place[-1]), _keys_at(model, place[:-1]))}"
    elif problem["type"] == "missing":
        *above, last = place
        if isinstance(last, int):
            place, words = tuple(above), f"value {last + 1} is missing"
        else:
            words = "it is missing"
    known = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in origins), ())
    where, key = origins[known] if known else name, ".".join(map(str, place))
    if not where.endswith(f" {key}"):  # as that of --set does
        where += f": {key}" if key else ""
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {words}{more}"


def about(key: str, words: str) -> PydanticCustomError:
    """Return the refusal by a check of several keys that points at one, such as ``inner.key``."""
    return PydanticCustomError(ABOUT, "{words}", {"key": key, "words": words})


def nearest(wrong: str, names: Iterable[str]) -> str:
    """Return the question whether a near name was meant, or all names when none is near."""
    names = sorted(names)
    near = difflib.get_close_matches(wrong, names, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names)}" if names else ""


def _keys_at(model: type, place: Place) -> set[str]:
    """Return the keys that a model knows at a place inside it."""
    models = [model]
    for step in place:
        if isinstance(step, str):  # a number only leads into a list
            kinds = [_kinds(one)[step] for one in models if step in _kinds(one)]
            models = [inner for kind in kinds for inner in _models_in(kind)] or models
    return {key for one in models for key in _kinds(one)}


def _kinds(model: type) -> dict[str, Any]:
    """Return the annotation of each key of a model or dataclass."""
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return get_type_hints(model)


def _models_in(annotation: Any) -> list[type]:
    """Return the models that an annotation such as ``tuple[Channel, ...] | None`` names."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
