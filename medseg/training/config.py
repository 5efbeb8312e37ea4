"""What a training is told: one frozen, checked record, read from YAML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, Strict, field_validator, model_validator

from medseg.augmentation.recipe import RECIPES
from medseg.labels import Label
from medseg.losses import LOSSES
from medseg.models.card import Dataset as CitedDataset
from medseg.networks.build import CLASSIFIERS, NETWORKS
from medseg.plan import Clip, Count, Fit, Frozen, Task, ZScore
from medseg.settings import load_settings

Whole = Annotated[int, Strict(), Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


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

    orientation: str = Field("RAS", description="Axis order and direction of the network's grid")
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    patch: tuple[Count, Count, Count]
    channels: tuple[ChannelConfig, ...] = Field(min_length=1)
    network: str = Field("unet", description="A name of networks/build.py")
    features: tuple[Count, ...] = Field(min_length=2, description="Channels of each stage")
    kernels: tuple[tuple[Count, ...], ...] | None = Field(None, description="3 everywhere")
    strides: tuple[tuple[Count, ...], ...] | None = Field(None, description="2 after stage one")
    arguments: dict[str, Any] = Field({}, description="Others of that network's function")
    mirror_axes: tuple[Whole, ...] = (0, 1, 2)
    fit: Fit = Field("exact", description="How a whole image comes to the size of the patch")

    @field_validator("network")
    @classmethod
    def _network_exists(cls, name: str) -> str:
        return _one_of(name, NETWORKS)

    @model_validator(mode="after")
    def _patch_fits_network(self) -> PlanConfig:
        arguments = self.network_arguments()
        if not len(arguments["strides"]) == len(arguments["kernels"]) == len(self.features):
            raise ValueError("features, kernels and strides need one entry for each stage")
        for axis in range(self.rank):
            reduced = 1
            for stride in arguments["strides"]:
                reduced *= stride[axis]
            size = self.patch[3 - self.rank + axis]
            if size % reduced:
                raise ValueError(f"patch size {size} is not a multiple of the stride {reduced}")
        return self

    @property
    def rank(self) -> int:
        """2 for a patch that is one voxel thick, else 3."""
        return 2 if self.patch[0] == 1 else 3

    def network_arguments(self) -> dict[str, Any]:
        """Return features, kernels and strides with defaults filled in, and what else is told."""
        stages = len(self.features)
        kernels = self.kernels or ((3,) * self.rank,) * stages
        strides = self.strides or ((1,) * self.rank, *((2,) * self.rank,) * (stages - 1))
        return {
            "features": self.features,
            "kernels": kernels,
            "strides": strides,
            **self.arguments,
        }


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


class CardConfig(Frozen):
    """What the model card has to say and no program can know."""

    intended_use: str
    modality: str
    population: str = ""
    training_data: tuple[CitedDataset, ...] = Field(min_length=1)
    limits: tuple[str, ...] = ()


class TrainingConfig(Frozen):
    """A whole training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Of the model")
    version: str = "1"
    task: Task = "segment"
    dataset: Path = Field(
        description="Folder or manifest, see docs/datasets.md; to classify a table, an .npz or a "
        "folder of classes; from the config's own folder"
    )
    classes: tuple[str, ...] | None = Field(
        None, description="To classify: names in the order of the output; the data set's if None"
    )
    prepared: Path | None = Field(None, description="Store that medseg prepare made")
    skip_refused: bool = Field(False, description="Train without cases that cannot be used")
    labels: tuple[Label, ...] | None = Field(
        None, description="Codes, sides and colours; the data set's plain names when left out"
    )
    fold: Whole | Literal["all"] = Field(0, description="Held out; all: nothing is")
    folds: Annotated[int, Strict(), Field(ge=2)] = 5
    plan: PlanConfig
    loss: str = "dice_cross_entropy"
    deep_supervision: bool = True
    augmentation: str = "default"
    batch: Count = 2
    epochs: Count = 1000
    steps: Count = Field(250, description="In an epoch")
    foreground: Fraction = Field(0.33, description="Share of patches centred on a label")
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    precision: Literal["auto", "f32", "bf16", "f16"] = Field(
        "auto", description="auto: f16 on a GPU, bf16 where the CPU has it, else f32"
    )
    checkpoint_epochs: Count = Field(10, description="Between two checkpoints")
    seed: Whole = 12345
    card: CardConfig

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, told: Any) -> Any:
        if isinstance(told, dict) and told.get("task") == "classify":
            return {"loss": "cross_entropy", "deep_supervision": False, **told}
        return told

    @model_validator(mode="after")
    def _network_does_the_task(self) -> TrainingConfig:
        if (self.plan.network in CLASSIFIERS) != (self.task == "classify"):
            wanted = CLASSIFIERS if self.task == "classify" else set(NETWORKS) - set(CLASSIFIERS)
            raise ValueError(f"to {self.task}, plan.network is one of {sorted(wanted)}")
        return self

    @field_validator("loss")
    @classmethod
    def _loss_exists(cls, name: str) -> str:
        return _one_of(name, LOSSES)

    @field_validator("augmentation")
    @classmethod
    def _recipe_exists(cls, name: str) -> str:
        return _one_of(name, RECIPES)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps


def _one_of(name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise ValueError(f"{name!r} is not one of {sorted(names)}")
    return name


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> TrainingConfig:
    """Read a training config; relative paths count from the config's folder.

    Raises
    ------
    PlanRefused
        ``settings-missing``, ``settings-invalid``.
    """
    path = Path(path)
    config = load_settings(path, TrainingConfig, overrides)
    places = {key: path.parent / told.expanduser()
              for key in ("dataset", "prepared") if (told := getattr(config, key))}  # fmt: skip
    return config.model_copy(update=places)
