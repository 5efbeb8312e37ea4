"""``medseg plan``: a data set in, a training config out, with reasons and costs."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from medseg.datasets import Dataset
    from medseg.planning import Planned, Request
    from medseg.planning.cost import Cost
    from medseg.training import TrainingConfig

EPILOG = """\b
Examples:
  medseg plan DATASET
  medseg plan DATASET --vram 8 --out configs/mine.yaml
  medseg plan DATASET --for cpu --seconds-per-scan 60 --hours 8 --out mine.yaml
  medseg plan DATASET --set plan.patch=[96,96,96] --set epochs=200 --out mine.yaml

\b
CONFIG is what `medseg train` reads. A value given by --set stays, and the rest
is planned around plan.orientation, plan.spacing, plan.patch, plan.features and
batch. docs/planning.md has the rules.
"""

_FALLBACK_GB = 8.0  # of RAM, where the system does not say what is free
_SHOWN = 10  # findings in the table; all of them are in the JSON


@click.command(epilog=EPILOG)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--for", "device", type=click.Choice(["gpu", "cpu"]),
              help="Machine to plan for; what this one has when left out.")  # fmt: skip
@click.option("--vram", type=click.FloatRange(1, min_open=True), metavar="GB",
              help="Memory of the graphics card; that of the preset when left out.")  # fmt: skip
@click.option("--seconds-per-scan", "seconds", type=click.FloatRange(0, min_open=True),
              metavar="S", help="With --for cpu: longest time for a median case.")  # fmt: skip
@click.option("--hours", type=click.FloatRange(0, min_open=True), metavar="H", default=8.0,
              show_default=True, help="With --for cpu: time for training.")  # fmt: skip
@click.option("--preset", type=click.Choice(["plain", "resenc-m", "resenc-l", "resenc-xl"]),
              default="plain", show_default=True,
              help="Network, and the card it is for.")  # fmt: skip
@click.option("--configuration", "which", type=click.Choice(["3d_fullres", "3d_lowres", "2d"]),
              help="Configuration to train; 3-D at full resolution where possible.")  # fmt: skip
@click.option("--nnunet", is_flag=True, help="Spacing, patch and batch exactly as nnU-Net's.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE",
              help="Decide a value of the config; repeat for more.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="CONFIG",
              help="Write the training config here.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    dataset: Path, device: str | None, vram: float | None, seconds: float | None, hours: float,
    preset: str, which: str | None, nnunet: bool, overrides: tuple[str, ...], out: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Plan a training on DATASET: what to train, why, and what it will cost.

    DATASET is in any layout of docs/datasets.md: MSD, nnU-Net raw, a manifest, DICOM studies.
    Nothing is trained; for a CPU a few steps are timed.
    """
    from medseg.cli.console import print_json
    from medseg.cli.progress import Report
    from medseg.planning import plan_training

    given = _given(overrides)
    request = _request(given, device=device, vram=vram, seconds=seconds, hours=hours,
                       preset=preset, which=which, nnunet=nnunet)  # fmt: skip
    names = {"measure cases": "Measuring cases", "measure speed": "Measuring this machine"}
    opened = _opened(dataset, overrides)
    with Report() as report:
        planned = plan_training(
            opened, request, measurable=_measurable(request),
            progress=lambda stage, done, total: report.show(names[stage], done, total),
        )  # fmt: skip
    content, config = _completed(planned, dataset, out, overrides)
    planned = _told(planned, config, overrides)
    cost = _cost(planned, config)
    if out is not None:
        _write(out, _text(planned, content, cost))
    if as_json:
        print_json(_as_json(planned, content, cost))
    else:
        _show(planned, cost, out)
    return 0


def _opened(dataset: Path, overrides: tuple[str, ...]) -> Dataset:
    """Open the data set as training with these overrides would."""
    from medseg.datasets import open_dataset
    from medseg.training.opening import with_ignore

    content = _content(overrides)
    pattern, ignore = content.get("patient_pattern"), content.get("ignore")
    opened = open_dataset(dataset, None if pattern is None else str(pattern))
    return with_ignore(opened, ignore if isinstance(ignore, int) else None)


def _given(overrides: tuple[str, ...]) -> Any:
    """Return what of the overrides the rest is planned around."""
    from medseg.planning import Given
    from medseg.settings import checked

    content = _content(overrides)
    plan = content["plan"] if isinstance(content["plan"], dict) else {}
    known = {key: plan[key] for key in ("orientation", "spacing", "patch", "features")
             if key in plan}  # fmt: skip
    if "batch" in content:
        known["batch"] = content["batch"]
    return checked(known, Given, "--set")


def _content(overrides: tuple[str, ...]) -> dict[str, Any]:
    """Return what the overrides say, as a config would."""
    from medseg.settings import override

    content: dict[str, Any] = {"plan": {}}
    for told in overrides:
        override(content, told)
    return content


def _request(
    given: Any, *, device: Any, vram: float | None, seconds: float | None, hours: float,
    preset: Any, which: Any, nnunet: bool,
) -> Request:  # fmt: skip
    from medseg.inference.machine import available_memory, has_nvidia_driver
    from medseg.planning import Request
    from medseg.training.precision import cpu_has_bf16

    if device is None:
        asked = vram is not None or nnunet
        device = "gpu" if (asked or has_nvidia_driver()) and seconds is None else "cpu"
    if device == "cpu" and (vram is not None or nnunet):
        raise click.UsageError("--vram and --nnunet plan for a graphics card, not for a CPU.")
    if device == "gpu" and seconds is not None:
        raise click.UsageError("--seconds-per-scan plans for a CPU: add --for cpu.")
    memory = vram
    if device == "cpu":
        free = available_memory()
        memory = free / 1e9 if free else _FALLBACK_GB
    return Request(
        device=device, memory_gb=memory, preset=preset, nnunet=nnunet, which=which,
        precision="f16" if device == "gpu" else "bf16" if cpu_has_bf16() else "f32",
        seconds_per_scan=seconds, hours=hours, given=given,
    )  # fmt: skip


def _measurable(request: Request) -> bool:
    """Return whether this machine can be timed for a request."""
    if request.device == "cpu":
        return True
    from medseg.inference.machine import has_nvidia_driver

    if not has_nvidia_driver():
        return False
    from medseg.networks.loading import load_keras
    from medseg.training.precision import has_gpu

    load_keras()
    return has_gpu()


def _completed(
    planned: Planned, dataset: Path, out: Path | None, overrides: tuple[str, ...]
) -> tuple[dict[str, Any], TrainingConfig]:
    """Return the config with its data set and all overrides, and the same checked."""
    from medseg.settings import checked, override
    from medseg.training import TrainingConfig

    folder = Path.cwd() if out is None else out.resolve().parent
    try:
        place = os.path.relpath(dataset.resolve(), folder)
    except ValueError:  # another drive on Windows
        place = str(dataset.resolve())
    content = {"name": planned.config["name"], "dataset": Path(place).as_posix(),
               **planned.config}  # fmt: skip
    for told in overrides:
        override(content, told)
    return content, checked(content, TrainingConfig, "--set")


def _told(planned: Planned, config: TrainingConfig, overrides: tuple[str, ...]) -> Planned:
    """Return a plan whose choices say what was set by hand."""
    from medseg.planning.describe import with_settings

    settled = config.model_dump()
    settled["plan"] |= config.plan.network_arguments()
    keys = [told.partition("=")[0].strip() for told in overrides]
    return replace(planned, choices=with_settings(planned.choices, settled, keys))


def _cost(planned: Planned, config: TrainingConfig) -> Cost:
    """Return what the training of a config costs, overrides included."""
    from medseg.planning.cost import Training, cost_of
    from medseg.planning.memory import Architecture, checked_kind
    from medseg.planning.topology import Topology

    plan, request, chosen = config.plan, planned.proposal.request, planned.proposal.chosen.network
    arguments = plan.network_arguments()
    topology = Topology(tuple(arguments["kernels"]), tuple(arguments["strides"]))
    network = Architecture(
        checked_kind(plan.network), topology, plan.features, chosen.channels, chosen.classes
    )
    training = Training(
        network, plan.orientation, plan.spacing, plan.patch, config.batch, config.total_steps,
    )  # fmt: skip
    cost = cost_of(
        training, planned.measured, device=request.device, precision=request.precision,
        optimizer=config.optimizer.name, speed=planned.speed,
    )  # fmt: skip
    return replace(cost, hours=config.time_budget / 60) if config.time_budget else cost


def _text(planned: Planned, content: dict[str, Any], cost: Cost) -> str:
    """Return the config as YAML, reasons behind the values, costs on top."""
    from medseg.planning.describe import as_yaml

    heading = f"Planned by medseg plan for {len(planned.measured.cases)} cases.\n" + "\n".join(
        f"{what}: {value}" for what, value in _cost_rows(planned, cost)
    )
    return as_yaml(content, planned.choices, heading)


def _write(out: Path, text: str) -> None:
    from medseg.files import make_folder, whole_file

    make_folder(out.parent)
    with whole_file(out) as aside:
        aside.write_text(text, encoding="utf-8")


def _as_json(planned: Planned, content: dict[str, Any], cost: Cost) -> dict[str, Any]:
    measured, proposal = planned.measured, planned.proposal
    return {
        "status": 0,
        "fingerprint": measured.model_dump(mode="json"),
        "configuration": proposal.which,
        "configurations": {
            name: {"spacing_mm": one.spacing, "median_shape": one.shape, "patch": one.patch,
                   "batch": one.batch, **asdict(one.network)}
            for name, one in proposal.configurations.items()
        },
        "choices": [asdict(choice) for choice in planned.choices],
        "cost": asdict(cost),
        "config": content,
    }  # fmt: skip


def _show(planned: Planned, cost: Cost, out: Path | None) -> None:
    from rich.table import Table

    from medseg.cli.console import console

    terminal = console()
    for heading, columns, rows in (
        ("Data set", ("", ""), _data_rows(planned)),
        ("Plan", ("value", "chosen", "why"), [(c.key, c.value, c.why) for c in planned.choices]),
        ("Configurations", ("", "spacing, mm", "median case", "patch", "batch", "stages"),
         _configuration_rows(planned)),
        ("Cost", ("", ""), _cost_rows(planned, cost)),
    ):  # fmt: skip
        terminal.print(heading, style="bold")
        table = Table(box=None, pad_edge=False, header_style="dim", show_header=any(columns))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        terminal.print(table)
        terminal.print()
    findings = planned.measured.findings
    for finding in findings[:_SHOWN]:
        terminal.print(str(finding), style="bold red" if finding.level == "error" else "")
    if len(findings) > _SHOWN:
        terminal.print(f"and {len(findings) - _SHOWN} more findings, see --json")
    terminal.print(f"Written: {out}. Next: medseg train {out} --out FOLDER" if out else
                   "Nothing is written: give --out CONFIG to keep the plan")  # fmt: skip


def _data_rows(planned: Planned) -> list[tuple[str, str]]:
    import numpy as np

    measured = planned.measured
    rows = [("name", measured.name), ("cases", str(len(measured.cases)))]
    for what, sizes in (("voxels", measured.shapes), ("mm", measured.spacings)):
        low, middle, high = np.percentile(sizes, [0, 50, 100], axis=0)
        rows.append((f"{what} along S, A, R",
                     f"median {_by(middle)}, from {_by(low)} to {_by(high)}"))  # fmt: skip
    if measured.share_after_cropping < 1:
        rows.append(("not 0", f"{measured.share_after_cropping:.0%} of a scan"))
    for name, seen in zip(measured.channels, measured.intensities, strict=False):
        rows.append((f"{name} in the foreground",
                     f"mean {seen.mean:.4g}, deviation {seen.deviation:.4g}, 99 % between "
                     f"{seen.low:.4g} and {seen.high:.4g}"))  # fmt: skip
    for label in measured.labels:
        volumes = [case.volumes_ml[label] for case in measured.cases if label in case.volumes_ml]
        if volumes:
            low, middle, high = np.percentile(volumes, [0, 50, 100])
            told = f"median {middle:.3g} ml, from {low:.3g} to {high:.3g}, in {len(volumes)} cases"
        rows.append((label, told if volumes else "in no case"))
    return rows


def _configuration_rows(planned: Planned) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (name, _by(one.spacing), _by(one.shape), _by(one.patch), str(one.batch),
         str(one.network.topology.stages))
        for name, one in planned.proposal.configurations.items()
    ]  # fmt: skip
    if "3d_lowres" in planned.proposal.configurations:
        rows.append(("3d_cascade", "as 3d_fullres, fed with the result of 3d_lowres: medseg train "
                     "cannot do this yet", "", "", "", ""))  # fmt: skip
    return rows


def _cost_rows(planned: Planned, cost: Cost) -> list[tuple[str, str]]:
    request = planned.proposal.request
    where = "graphics memory of a step" if request.device == "gpu" else "of it for a step"
    rows = [
        ("RAM", f"{cost.ram_gb:.1f} GB"),
        (where, f"{cost.step_gb:.1f} GB, computed for {request.precision}"),
        ("disk while training", f"{cost.disk_gb:.2g} GB"),
    ]
    if cost.hours is None or cost.step_seconds is None or cost.scan_seconds is None:
        return [*rows, ("training", "hours unknown: there is no such device here to measure on")]
    return [
        *rows,
        ("training", f"{cost.hours:.1f} hours, {cost.step_seconds:.2f} s a step, measured"),
        ("a median scan", f"{cost.scan_seconds:.1f} s for its tiles, measured"),
    ]


def _by(sizes: Any) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)
