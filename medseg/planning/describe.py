"""A proposal as a training config, each value with the reason why it was chosen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import yaml

from medseg.augmentation.sides import Mirroring, Pairs, mirroring
from medseg.labels import Label, LabelSet
from medseg.planning.budget import PRESETS
from medseg.planning.configuration import LOW_RESOLUTION
from medseg.planning.fingerprint import Fingerprint
from medseg.planning.names import modality_of
from medseg.planning.propose import LEAST_STEPS, Proposal
from medseg.planning.speed import Speed

STEPS_AN_EPOCH = {"cpu": 100, "gpu": 250}
MOST_STEPS = 250_000  # nnU-Net's thousand epochs of 250
YOURS = "as you set it"


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of the config, in words, and why it was chosen."""

    key: str
    value: str
    why: str


def as_config(
    proposal: Proposal, measured: Fingerprint, speed: Speed | None = None
) -> tuple[dict[str, Any], tuple[Choice, ...]]:
    """Return a training config without its ``dataset``, and the reason of each planned value.

    Keys are those of ``configs/README.md``; lists and numbers only, ready for YAML.
    """
    patients = measured.patients or len(measured.cases)
    config: dict[str, Any] = {
        "name": _slug(measured.name),
        "fold": 0 if patients > 1 else "all",
        "folds": max(2, min(5, patients)),
        "plan": _plan(proposal, measured),
        **({"pairs": "none"} if proposal.request.nnunet else {}),
        **_schedule(proposal, speed),
        "precision": "auto",
        "card": _card(proposal, measured),
    }
    return config, tuple(_choices(proposal, measured, config))


def _plan(proposal: Proposal, measured: Fingerprint) -> dict[str, Any]:
    network = proposal.chosen.network
    return {
        "orientation": proposal.grid.orientation,
        "spacing": [round(s, 4) for s in proposal.spacing],
        "patch": list(proposal.patch),
        "channels": [_channel(name) for name in measured.channels],
        "network": network.kind,
        "features": list(network.features),
        "kernels": [list(kernel) for kernel in network.topology.kernels],
        "strides": [list(stride) for stride in network.topology.strides],
        "mirror_axes": list(_mirrored(proposal, measured).axes),
    }


def _channel(name: str) -> dict[str, str]:
    modality = modality_of(name)
    return {"name": name, "modality": modality,
            "normalisation": "clip" if modality == "CT" else "zscore"}  # fmt: skip


def _mirrored(proposal: Proposal, measured: Fingerprint) -> Mirroring:
    """Return the axes that may be mirrored; nnU-Net mirrors all of them."""
    names = dict.fromkeys(measured.labels)
    labels = LabelSet(tuple(Label(value, name) for value, name in enumerate(names, 1)))
    first = 1 if proposal.which == "2d" else 0
    pairs: Pairs = "none" if proposal.request.nnunet else "auto"
    return mirroring(labels, proposal.grid.orientation, range(first, 3), pairs=pairs)


def _schedule(proposal: Proposal, speed: Speed | None) -> dict[str, Any]:
    """Return nnU-Net's recipe, or on a CPU the one that learns in few steps."""
    request, chosen = proposal.request, proposal.chosen
    steps = STEPS_AN_EPOCH[request.device]
    if request.device == "gpu" or speed is None:
        return {
            "batch": chosen.batch,
            "epochs": MOST_STEPS // steps,
            "steps": steps,
            "optimizer": {"name": "sgd", "rate": 0.01},
            "schedule": {"name": "polynomial"},
        }
    step = speed.step_seconds(chosen.network, chosen.patch, chosen.batch)
    epochs = int(request.hours * 3600 / step) // steps
    return {
        "batch": chosen.batch,
        "epochs": max(1, min(epochs, MOST_STEPS // steps)),
        "steps": steps,
        "optimizer": {"name": "adamw", "rate": 0.002, "weight_decay": 0.01, "average": 0.99},
        "schedule": {"name": "cosine", "warmup_steps": 50},
    }


def _card(proposal: Proposal, measured: Fingerprint) -> dict[str, Any]:
    """Return what a card needs; what no program can know says so."""
    modalities = sorted({modality_of(name) or name for name in measured.channels})
    return {
        "intended_use": f"Outlines {', '.join(measured.labels)}. Say here in which images, and "
        "what for.",
        "modality": ", ".join(modalities),
        "training_data": [
            {"name": measured.name, "licence": "not stated: fill in",
             "attribution": "not stated: fill in", "cases": len(measured.cases)}
        ],
    }  # fmt: skip


def _choices(proposal: Proposal, measured: Fingerprint, config: dict[str, Any]) -> Iterable[Choice]:
    grid, chosen, request = proposal.grid, proposal.chosen, proposal.request
    given, plan = request.given, config["plan"]
    yield Choice("configuration", proposal.which, _why_which(proposal))
    yield Choice("plan.orientation", grid.orientation,
                 YOURS if given.orientation else "the coarsest axis first")  # fmt: skip
    yield Choice("plan.spacing", f"{_by(proposal.spacing)} mm", _why_spacing(proposal))
    shown = min(1.0, chosen.share)
    yield Choice("plan.patch", _by(proposal.patch), YOURS if given.patch else
                 f"{_limit(proposal)}; shows {shown:.0%} of a median case of "
                 f"{_by(chosen.shape)}")  # fmt: skip
    yield Choice("batch", str(chosen.batch), YOURS if given.batch else _why_batch(proposal))
    for channel in plan["channels"]:
        yield Choice(f"normalisation of {channel['name']}", channel["normalisation"],
                     _why_normalised(channel, measured))  # fmt: skip
    yield Choice("plan.network", plan["network"], f"preset {request.preset}: "
                 f"{chosen.network.parameters / 1e6:.1f} million parameters")  # fmt: skip
    yield Choice("plan.features", " ".join(map(str, chosen.network.features)),
                 YOURS if given.features else _why_features(proposal))  # fmt: skip
    yield Choice("plan.strides", _strides(plan), "while an axis has 8 voxels and its spacing is "
                 "within a factor of 2 of the finest")  # fmt: skip
    yield Choice("plan.kernels", _kernels(plan), "1 along an axis until its spacing is within a "
                 "factor of 2 of the finest")  # fmt: skip
    yield Choice("plan.mirror_axes", _mirror_axes(plan), _why_mirrored(proposal, measured))
    yield Choice("optimizer", config["optimizer"]["name"], "nnU-Net's long recipe"
                 if request.device == "gpu" else "learns in fewer steps than SGD")  # fmt: skip
    yield Choice("epochs", _length(config), "nnU-Net's length"
                 if request.device == "gpu" else
                 f"what {request.hours:g} hours of this machine allow")  # fmt: skip


def with_settings(
    choices: Iterable[Choice], config: dict[str, Any], keys: Iterable[str]
) -> tuple[Choice, ...]:
    """Return choices with what was decided by hand in the place of what was planned.

    Parameters
    ----------
    choices : iterable of Choice
    config : dict
        All values of the config, those that were set included.
    keys : iterable of str
        What was set, such as ``plan.kernels`` or ``optimizer.name``.
    """
    plan, told = config["plan"], set(keys)
    now = {
        ("plan.network",): plan["network"],
        ("plan.strides",): _strides(plan),
        ("plan.kernels",): _kernels(plan),
        ("plan.mirror_axes",): _mirror_axes(plan),
        ("optimizer", "optimizer.name"): config["optimizer"]["name"],
        ("epochs", "steps", "time_budget"): _length(config),
    }
    yours = {parts[0]: value for parts, value in now.items() if not told.isdisjoint(parts)}
    return tuple(Choice(one.key, yours[one.key], YOURS) if one.key in yours else one
                 for one in choices)  # fmt: skip


def _strides(plan: dict[str, Any]) -> str:
    halvings = [sum(step > 1 for step in axis) for axis in zip(*plan["strides"], strict=True)]
    return f"{len(plan['strides'])} stages, halved {_by(halvings)} times"


def _kernels(plan: dict[str, Any]) -> str:
    runs = [(_by(kernel), len(list(stages))) for kernel, stages in groupby(plan["kernels"])]
    if len(runs) == 1:
        return f"{runs[0][0]} everywhere"
    return ", then ".join(f"{kernel} in {stages} stages" for kernel, stages in runs)


def _mirror_axes(plan: dict[str, Any]) -> str:
    return " ".join(plan["orientation"][axis] for axis in plan["mirror_axes"]) or "none"


def _length(config: dict[str, Any]) -> str:
    if config.get("time_budget"):
        return f"as many as {config['time_budget']:g} minutes allow"
    return f"{config['epochs']} x {config['steps']} steps"


def _why_which(proposal: Proposal) -> str:
    if proposal.request.which:
        return "as you asked"
    if proposal.grid.flat:
        return "the cases are single slices"
    if proposal.which == "2d":
        return "the patch that you set is flat"
    if "3d_lowres" in proposal.configurations:
        return (f"full resolution; its patch shows less than {LOW_RESOLUTION:.0%} of a case, so "
                "a low-resolution network and a cascade may do better")  # fmt: skip
    return "volumes, and the patch shows enough of them at full resolution"


def _why_spacing(proposal: Proposal) -> str:
    if proposal.which == "3d_lowres":
        return f"coarsened until a patch shows {LOW_RESOLUTION:.0%} of a case"
    return proposal.grid.why


def _limit(proposal: Proposal) -> str:
    request = proposal.request
    if all(p >= n for p, n in zip(proposal.chosen.patch, proposal.chosen.shape, strict=True)):
        return "the whole median case, rounded up to what the strides divide"
    if request.nnunet:
        return f"nnU-Net's feature-map estimate for {request.gigabytes:g} GB"
    memory = "graphics memory" if request.device == "gpu" else "free RAM"
    held = f"the largest of this aspect ratio in {request.gigabytes:.3g} GB of {memory}"
    if request.device == "cpu":
        held += f" and in a step short enough for {LEAST_STEPS} of them"
    return held


def _why_batch(proposal: Proposal) -> str:
    if proposal.chosen.batch == 2:
        return "the smallest that is sound; memory goes into the patch first"
    if proposal.request.device == "cpu":
        return "on a CPU time is better spent on more steps than on larger ones"
    covered = PRESETS[proposal.request.preset].covered
    return f"what memory allows, at most {covered:.0%} of the voxels of all cases"


def _why_normalised(channel: dict[str, str], measured: Fingerprint) -> str:
    number = measured.channels.index(channel["name"])
    if channel["normalisation"] == "zscore":
        return "each scan by its own mean and deviation: " + (
            f"values of {channel['modality']} have no fixed scale" if channel["modality"]
            else "the name tells no modality; set clip if it is CT"
        )  # fmt: skip
    if not measured.intensities:
        return "HU have a fixed scale; the window is measured on the training cases"
    seen = measured.intensities[number]
    return (f"HU have a fixed scale; window about {seen.low:.0f} to {seen.high:.0f}, measured "
            "again on the training cases alone")  # fmt: skip


def _why_features(proposal: Proposal) -> str:
    network, request = proposal.chosen.network, proposal.request
    rule = f"doubling from {network.features[0]} up to {512 if proposal.which == '2d' else 320}"
    if request.device == "gpu":
        return rule
    kept = "" if request.seconds_per_scan is None else (
        f" and a scan under {request.seconds_per_scan:g} s"
    )  # fmt: skip
    return f"{rule}; the widest that keeps a step short enough{kept}"


def _why_mirrored(proposal: Proposal, measured: Fingerprint) -> str:
    if proposal.request.nnunet:
        return "nnU-Net mirrors every axis, also where labels have a side"
    mirrored = _mirrored(proposal, measured)
    if mirrored.findings:
        return "; ".join(finding.words for finding in mirrored.findings)
    return "left and right labels change places" if mirrored.swap else "no label names a side"


def as_yaml(config: dict[str, Any], choices: Iterable[Choice], heading: str) -> str:
    """Return a config as YAML, with the reason of each planned value behind it."""
    why = {choice.key: choice.why for choice in choices}
    lines = [f"# {line}" for line in heading.splitlines()]
    for key, value in config.items():
        if key == "plan":
            lines.append("plan:")
            lines += [_line(f"  {inner}", one, why.get(f"plan.{inner}"))
                      for inner, one in value.items()]  # fmt: skip
        else:
            lines.append(_line(key, value, why.get(key)))
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, why: str | None) -> str:
    told = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False,
                          allow_unicode=True)  # fmt: skip
    told = told.removesuffix("\n").removesuffix("\n...")
    return f"{key}: {told}" + (f" # {why}" if why else "")


def _slug(name: str) -> str:
    """Return a name that a model may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64] or "planned"


def _by(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
