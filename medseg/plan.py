"""What a network wants to be given, and what it is: frozen, checked, hashed, JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    Strict,
    ValidationError,
    model_serializer,
    model_validator,
)

from medseg.errors import GeometryRefused, MedsegError, PlanRefused
from medseg.geometry import Geometry, axes_towards
from medseg.labels import LabelSet

Count = Annotated[int, Strict(), Field(gt=0)]
Task = Literal["segment", "classify"]
Fit = Literal["exact", "crop", "resize"]
LATER = ("classes", "fit")  # keys of classification alone, which older readers do not know


def _oriented(code: str) -> str:
    try:
        axes_towards(Geometry((1, 1, 1), np.eye(4)), code)
    except GeometryRefused as refusal:
        raise ValueError(f"{refusal.found}; write one such as RAS or LPS") from refusal
    return code


Orientation = Annotated[str, AfterValidator(_oriented)]


class Frozen(BaseModel):
    """A checked record: no unknown keys, no changes, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


class Clip(Frozen):
    """Clip to a window, then shift and scale by statistics of the whole data set (CT).

    The window is the 0.5 to 99.5 percentile of the foreground (Isensee et al., Nature
    Methods 2021), in the units of the scan.
    """

    kind: Literal["clip"] = "clip"
    low: float
    high: float
    mean: float
    deviation: PositiveFloat

    @model_validator(mode="after")
    def _window_is_open(self) -> Clip:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must lie below high {self.high}")
        return self


class ZScore(Frozen):
    """Subtract the mean and divide by the deviation of this one scan (MR, others)."""

    kind: Literal["zscore"] = "zscore"


class Channel(Frozen):
    """One input channel: its modality and how its values are normalised."""

    name: str
    modality: str = Field("", description="DICOM code that is expected; empty accepts any")
    normalisation: Clip | ZScore = Field(ZScore(), discriminator="kind")


class Network(Frozen):
    """A network by its name in ``networks/build.py`` and its plain keyword arguments."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Plan(Frozen):
    """Everything between a scan and a network, and back.

    Attributes
    ----------
    orientation : str
        Axis order and direction of the network's grid. The first axis is the one across
        slices for a 2-D network: ``"SAR"``.
    spacing : (float, float, float)
        Voxel size along those axes in mm.
    patch : (int, int, int)
        Tile size in voxels; ``(1, J, K)`` for a 2-D network.
    labels : LabelSet
        Classes of the output, background left out; empty where whole images are classified.
    classes : tuple of str
        Names of the classes of whole images, in the order of the output.
    fit : {"exact", "crop", "resize"}
        How a whole image comes to the size of ``patch``: it has it already, or is refused; it
        is cut or padded about its middle; it is stretched, whatever its voxels measure.
    mirror_axes : tuple of int
        Axes on which training mirrored. Left and right stay apart where labels have a side.
    outputs : {"classes", "regions"}
        Whether the network has a channel for background and each plain label, of which the
        highest wins, or one for each region of the labels, above 0 where the region is; masks
        are then painted region by region, see :meth:`medseg.labels.LabelSet.painted`.
    swap : tuple of (int, int)
        Values of labels that changed places when left and right were mirrored.
    """

    format: Literal[1] = 1
    task: Task = "segment"
    orientation: Orientation = "RAS"
    spacing: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    channels: tuple[Channel, ...] = Field(min_length=1)
    patch: tuple[Count, Count, Count]
    network: Network
    labels: LabelSet = LabelSet()
    classes: tuple[str, ...] = ()
    fit: Fit = "exact"
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    outputs: Literal["classes", "regions"] = "classes"
    swap: tuple[tuple[int, int], ...] = ()

    @model_validator(mode="after")
    def _regions_can_be_painted(self) -> Plan:
        if self.outputs == "regions":
            self.labels.painted()
        return self

    @model_validator(mode="after")
    def _swaps_labels(self) -> Plan:
        swapped = [value for pair in self.swap for value in pair]
        known = {label.value for label in self.labels.plain}
        if not set(swapped) <= known or len(set(swapped)) < len(swapped):
            raise ValueError(f"swap {self.swap} does not pair labels, each once")
        return self

    @model_validator(mode="after")
    def _task_has_its_classes(self) -> Plan:
        if self.task == "segment":
            if self.classes:
                raise ValueError("classes are of a plan with task: classify; give labels")
            if "labels" not in self.model_fields_set:
                raise ValueError("labels are missing")
        elif len(self.labels):
            raise ValueError("labels are of a plan with task: segment; give classes")
        elif not 2 <= len(self.classes) == len(set(self.classes)):
            raise ValueError(f"classes need two different names at least, not {self.classes}")
        return self

    @model_serializer(mode="wrap")
    def _plain(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = dump(self)
        if self.task == "segment":  # the hash and the file of a segmentation stay what they were
            told = {key: value for key, value in told.items() if key not in LATER}
        return told

    @property
    def output_channels(self) -> int:
        """Channels of the network's output: classes, background among them when segmenting."""
        if self.task == "classify":
            return len(self.classes)
        return self.labels.classes if self.outputs == "classes" else len(self.labels.regions)

    @property
    def hash(self) -> str:
        """SHA-256 of the plan's canonical JSON, in hex.

        ``outputs`` and ``swap`` are younger than the format and count only where they are used.
        """
        content = self.model_dump(mode="json")
        if self.outputs == "classes":
            del content["outputs"]
        if not self.swap:
            del content["swap"]
        canonical = json.dumps(content, sort_keys=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def plan_from(content: Any) -> Plan:
    """Return a plan from parsed JSON.

    Raises
    ------
    PlanRefused
        ``plan-invalid``: names the first wrong field and what is wrong with it.
    """
    try:
        return Plan.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "plan"
        raise PlanRefused("plan-invalid", f"{where}: {first['msg']}") from error
    except MedsegError as error:
        raise PlanRefused("plan-invalid", error.found) from error
