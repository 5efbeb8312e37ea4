"""What a training is told: one frozen, checked record, read from YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    Strict,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from medseg.augmentation import recipe
from medseg.errors import PlanRefused
from medseg.files import whole_file
from medseg.labels import Label
from medseg.losses import LOSSES
from medseg.models.card import Dataset as CitedDataset
from medseg.models.card import Words
from medseg.models.record import PlainName
from medseg.networks.build import CLASSIFIERS, NETWORKS
from medseg.plan import Clip, Count, Fit, Frozen, Orientation, Task, ZScore
from medseg.settings import about, load_settings, nearest

Whole = Annotated[int, Strict(), Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

CONFIG = "config.yaml"  # in the folder of a training
UNITS = {"s": 1 / 60, "m": 1.0, "h": 60.0}  # minutes


def minutes_of(told: Any) -> float:
    """Return minutes from words such as ``30m``, ``1h30m`` or ``90s``; a plain number is minutes.

    Raises
    ------
    ValueError
        It is no such span, or not above zero.

    Examples
    --------
    >>> minutes_of("1h30m"), minutes_of("90s"), minutes_of(20)
    (90.0, 1.5, 20.0)
    """
    words = str(told).strip().lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", words)
    if parts and "".join(number + unit for number, unit in parts) == words:
        minutes = sum(float(number) * UNITS[unit] for number, unit in parts)
    elif re.fullmatch(r"\d+(\.\d+)?", words):
        minutes = float(words)
    else:
        raise ValueError(f"{told!r} is no span of time; write 30m, 1h30m or 90s")
    if minutes <= 0:
        raise ValueError(f"{told!r} is no time at all")
    return minutes


Minutes = Annotated[
    float,
    BeforeValidator(minutes_of),
    WithJsonSchema({"type": ["string", "number"], "examples": ["30m", "1h30m", "90s"]}),
]


class ChannelConfig(Frozen):
    """One input channel."""

    name: str
    modality: str = Field("", description="DICOM code such as CT or MR; empty accepts any")
    normalisation: Literal["auto", "zscore", "clip"] | Clip | ZScore = Field(
        "auto", description="auto: clip for CT, zscore for others; clip is measured on the fold"
    )

    @property
    def fixed(self) -> Clip | ZScore | None:
        """How the channel is normalised, or None where a window has to be measured."""
        if isinstance(self.normalisation, Clip | ZScore):
            return self.normalisation
        is_ct = "CT" in (self.modality.upper(), self.name.upper())
        if self.normalisation == "clip" or (self.normalisation == "auto" and is_ct):
            return None
        return ZScore()


class PlanConfig(Frozen):
    """How the network sees a scan."""

    orientation: Orientation = Field(
        "RAS", description="Axis order and direction of the network's grid"
    )
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    patch: tuple[Count, Count, Count]
    channels: tuple[ChannelConfig, ...] = Field(min_length=1)
    network: str = Field("unet", description="A name of networks/build.py")
    features: tuple[Count, ...] = Field(min_length=2, description="Channels of each stage")
    kernels: tuple[tuple[Count, ...], ...] | None = Field(None, description="3 everywhere")
    strides: tuple[tuple[Count, ...], ...] | None = Field(None, description="2 after stage one")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Further ones of the network, such as blocks"
    )
    encoder_weights: Path | None = Field(
        None, description="Local file of backbone_unet's encoder, from the config's folder"
    )
    mirror_axes: tuple[Annotated[Whole, Field(le=2)], ...] = (0, 1, 2)
    outputs: Literal["classes", "regions"] = Field(
        "classes", description="regions: a channel for each region of the labels, which may overlap"
    )
    fit: Fit = Field("exact", description="How a whole image comes to the size of the patch")

    @field_validator("network")
    @classmethod
    def _network_exists(cls, name: str) -> str:
        return _one_of(name, NETWORKS)

    @field_validator("arguments")
    @classmethod
    def _arguments_are_further_ones(cls, told: dict[str, Any]) -> dict[str, Any]:
        own = {"channels", "classes", "features", "kernels", "strides", "deep_supervision", "name"}
        if known := sorted(own & told.keys()):
            raise ValueError(f"{', '.join(known)} cannot stand here: other keys decide it")
        return told

    @model_validator(mode="after")
    def _encoder_can_take_weights(self) -> PlanConfig:
        if self.encoder_weights is not None and self.network != "backbone_unet":
            raise about("encoder_weights", "they are for the network backbone_unet alone")
        return self

    @model_validator(mode="after")
    def _patch_fits_network(self) -> PlanConfig:
        arguments = self.network_arguments()
        if not len(arguments["strides"]) == len(arguments["kernels"]) == len(self.features):
            raise about("features", "features, kernels and strides need one entry for each stage")
        for key in ("kernels", "strides"):
            if any(len(sizes) != self.rank for sizes in arguments[key]):
                raise about(key, f"a patch of {self.rank} dimensions needs {self.rank} numbers for "
                            "each stage")  # fmt: skip
        for axis in range(self.rank):
            reduced = 1
            for stride in arguments["strides"]:
                reduced *= stride[axis]
            size = self.patch[3 - self.rank + axis]
            if size % reduced:
                raise about("patch", f"{size} is not a multiple of the stride {reduced}")
        return self

    @property
    def rank(self) -> int:
        """2 for a patch that is one voxel thick, else 3."""
        return 2 if self.patch[0] == 1 else 3

    def network_arguments(self) -> dict[str, Any]:
        """Return features, kernels and strides with defaults filled in, and further arguments."""
        stages = len(self.features)
        kernels = self.kernels or ((3,) * self.rank,) * stages
        strides = self.strides or ((1,) * self.rank, *((2,) * self.rank,) * (stages - 1))
        own = {"features": self.features, "kernels": kernels, "strides": strides}
        return {**self.arguments, **own}


class Optimizer(Frozen):
    """SGD with Nesterov momentum (nnU-Net's), or AdamW."""

    name: Literal["sgd", "adamw"] = "sgd"
    rate: PositiveFloat = Field(0.01, description="At the start, after any warm-up")
    momentum: Fraction = Field(0.99, description="Of sgd")
    weight_decay: float = Field(3e-5, ge=0)
    clip_norm: PositiveFloat = Field(12.0, description="Largest norm of all gradients together")
    average: Fraction = Field(0.0, description="Momentum of averaged weights; 0: none")


class Schedule(Frozen):
    """How the learning rate falls from its start to zero over all steps."""

    name: Literal["polynomial", "cosine"] = "polynomial"
    power: PositiveFloat = Field(0.9, description="Of polynomial")
    warmup_steps: Whole = 0


class LossConfig(Frozen):
    """A loss by name, with arguments of its own."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """What the loss is told beside its name."""
        return dict(self.model_extra or {})


class CardConfig(Frozen):
    """What the model card has to say and no program can know."""

    intended_use: Words
    modality: Words
    population: str = ""
    training_data: tuple[CitedDataset, ...] = Field(min_length=1)
    limits: tuple[Words, ...] = ()


class TrainingConfig(Frozen):
    """A whole training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Of the model")
    version: PlainName = "1"
    task: Task = "segment"
    dataset: Path = Field(
        description="Folder or manifest, see docs/datasets.md; to classify a table, an .npz or a "
        "folder of classes; from the config's own folder"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="To classify: names in the order of the output; the data set's if None"
    )
    prepared: Path | None = Field(None, description="Store that medseg prepare made")
    patient_pattern: str | None = Field(
        None, description="Regular expression that finds the patient in a case's name"
    )
    skip_refused: bool = Field(False, description="Train without cases that cannot be used")
    labels: tuple[Label, ...] | None = Field(
        None, description="Codes, sides and colours; the data set's plain names when left out"
    )
    ignore: Count | None = Field(
        None, description="Label value of voxels that nobody labelled; the data set's if left out"
    )
    fold: Whole | Literal["all"] = Field(0, description="Held out; all: nothing is")
    folds: Annotated[int, Strict(), Field(ge=2)] = 5
    plan: PlanConfig
    loss: LossConfig = LossConfig(name="dice_cross_entropy")
    deep_supervision: bool = True
    pairs: Literal["auto", "none"] | tuple[tuple[Count, Count], ...] = Field(
        "auto", description="Label values that change places when left and right are mirrored"
    )
    augmentation: str | dict[str, Any] | list[Any] = Field(
        "default", description="A recipe's name, or steps by name with their parameters"
    )
    batch: Count = Field(2, description="Patches that a step sees at once")
    accumulate: Count = Field(1, description="Steps whose gradients are summed into one update")
    epochs: Count = Field(1000, description="Of time_budget, where that is given, none is counted")
    steps: Count = Field(250, description="In an epoch")
    time_budget: Minutes | None = Field(
        None, description="Such as 30m or 2h: train so long, the rate following the clock"
    )
    patience: Count | None = Field(
        None, description="Epochs without a better pseudo-Dice before training ends with the best"
    )
    validation_steps: Whole = Field(
        10, description="Batches of held-out patches scored after each epoch; 0: none"
    )
    foreground: Fraction = Field(0.33, description="Share of patches centred on a label")
    balanced: bool = Field(
        False, description="Of a classifier: all classes come equally often, however rare"
    )
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    precision: Literal["auto", "f32", "bf16", "f16"] = Field(
        "auto", description="auto: f16 on a GPU, bf16 where the CPU has it, else f32"
    )
    devices: Literal["all", "one"] = Field(
        "all", description="all: share each batch among the GPUs of this machine"
    )
    deterministic: bool = Field(False, description="The same weights again from the same seed")
    checkpoint_epochs: Count = Field(1, description="Between two checkpoints")
    track: tuple[Literal["tensorboard", "mlflow"], ...] = Field(
        (), description="Trackers that are told of each epoch, beside metrics.csv"
    )
    seed: Whole = Field(12345, description="Of weights, patches and augmentation")
    split_seed: Whole = Field(12345, description="Of the folds; 12345 gives nnU-Net's")
    card: CardConfig

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, told: Any) -> Any:
        if isinstance(told, dict) and told.get("task") == "classify":
            return {"loss": {"name": "cross_entropy"}, "deep_supervision": False, **told}
        return told

    @model_validator(mode="after")
    def _network_does_the_task(self) -> TrainingConfig:
        if (self.plan.network in CLASSIFIERS) != (self.task == "classify"):
            wanted = CLASSIFIERS if self.task == "classify" else set(NETWORKS) - set(CLASSIFIERS)
            raise about("plan.network", f"to {self.task}, it is one of {', '.join(sorted(wanted))}")
        return self

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_exists(cls, told: Any) -> Any:
        told = {"name": told} if isinstance(told, str) else told
        if isinstance(told, dict) and "name" in told:
            _one_of(told["name"], LOSSES)
        return told

    @model_validator(mode="after")
    def _augmentation_is_possible(self) -> TrainingConfig:
        plan = self.plan
        try:
            recipe(self.augmentation, plan.spacing, plan.patch, plan.mirror_axes,
                   channels=len(plan.channels))  # fmt: skip
        except PlanRefused as refusal:
            raise about("augmentation", str(refusal).removesuffix(".")) from refusal
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> TrainingConfig:
        if self.deterministic and self.time_budget:
            raise about("deterministic", "it excludes time_budget: no two runs take the same time "
                        "for a step")  # fmt: skip
        if self.patience and (self.fold == "all" or not self.validation_steps):
            raise about(
                "patience", "it needs held-out patches: a fold, and validation_steps above 0"
            )
        return self

    @property
    def total_steps(self) -> int:
        """Steps of the whole training, where no time budget ends it."""
        return self.epochs * self.steps


def _one_of(name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise ValueError(f"there is no {name!r}{nearest(name, names)}")
    return name


def load_config(
    path: str | Path, overrides: Iterable[str] = (), *, data: str | Path | None = None
) -> TrainingConfig:
    """Read a training config.

    Parameters
    ----------
    path : str or Path
        A YAML file; relative paths in it count from its own folder.
    overrides : iterable of str
        ``key.inner=value``, each winning over the file.
    data : str or Path, optional
        The data set in place of the config's; a relative one counts from the working folder.

    Raises
    ------
    PlanRefused
        ``settings-missing``, ``settings-invalid``.
    """
    path = Path(path)
    config = load_settings(path, TrainingConfig, overrides)
    config = _with_places(config, lambda told: path.parent / told.expanduser())
    return config if data is None else config.model_copy(update={"dataset": Path(data)})


def write_config(config: TrainingConfig, path: Path) -> None:
    """Write a config as YAML that trains the same again, with its paths in full."""
    told = _with_places(config, Path.resolve).model_dump(mode="json", exclude_defaults=True)
    # a classifier asks whether these were given, whatever their value
    told |= {key: getattr(config, key) for key in ("fold", "steps")
             if key in config.model_fields_set}  # fmt: skip
    with whole_file(path) as aside:
        aside.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")


def on_card(config: TrainingConfig) -> str:
    """Return the YAML of a config for the card of its model: without folders of this machine."""
    told = with_names(config).model_dump(
        mode="json", exclude={"card", "dataset", "prepared"}, exclude_defaults=True
    )
    return yaml.safe_dump(told, sort_keys=False, default_flow_style=None, width=100)


def with_names(config: TrainingConfig) -> TrainingConfig:
    """Return a config whose paths are names alone, the same wherever its files lie."""
    return _with_places(config, lambda path: Path(path.name))


def _with_places(config: TrainingConfig, place: Callable[[Path], Path]) -> TrainingConfig:
    """Return a config with each path in it as ``place`` gives it."""
    plan, weights = config.plan, config.plan.encoder_weights
    if weights is not None:
        plan = plan.model_copy(update={"encoder_weights": place(weights)})
    told = {"dataset": config.dataset, "prepared": config.prepared}
    places = {key: place(path) for key, path in told.items() if path is not None}
    return config.model_copy(update={**places, "plan": plan})
