"""What a network costs: parameters, multiplications, and the bytes of one training step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from medseg.errors import PlanRefused
from medseg.planning.topology import Sizes, Topology

Kind = Literal["unet", "residual_unet"]  # networks whose layers are counted here
Precision = Literal["f32", "bf16", "f16"]
Optimizer = Literal["sgd", "adamw"]

BLOCKS = (1, 3, 4, 6)  # residual blocks of the finest encoder stages; all that follow have 6

# Bytes that backpropagation keeps of each output of convolution, norm and leaky ReLU, counted in
# the formula of InstanceNorm. f32: centred, divided, scaled, activated. Half precision: the
# convolution's output, centred float32, scaled, activated.
KEPT = {"f32": 4 + 4 + 4 + 4, "bf16": 2 + 4 + 2 + 2, "f16": 2 + 4 + 2 + 2}
WIDTH = {"f32": 4, "bf16": 2, "f16": 2}  # bytes of one number that is computed in
SLOTS = {"sgd": 1, "adamw": 2}  # float32 numbers that an optimizer keeps a parameter
LOSS = 6  # float32 copies of the logits in Dice and cross-entropy: log-softmax, truth, products
PASSING = 4  # float32 copies of the largest feature map that live for a moment on the way back
WORKSPACE = 1.3  # what the allocator and the convolutions of TensorFlow hold beyond that; measured


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution of a network on one patch.

    Attributes
    ----------
    kind : {"conv", "up", "skip", "pool", "head"}
        Convolution with norm and activation, transposed convolution that is joined with its
        skip connection, projection or pooling beside a residual block, map to classes.
    inputs, outputs : int
        Channels.
    kernel : int
        Voxels of the kernel.
    size : int
        Voxels of the output.
    padded : int
        Voxels of the padded copy of the input that a strided convolution reads; else 0.
    """

    kind: Literal["conv", "up", "skip", "pool", "head"]
    inputs: int
    outputs: int
    kernel: int
    size: int
    padded: int = 0

    @property
    def parameters(self) -> int:
        """Weights, biases, and scale and shift of the norm."""
        if self.kind == "pool":
            return 0
        biased, normed = self.kind != "skip", self.kind in ("conv", "skip")
        return self.outputs * (self.inputs * self.kernel + biased + 2 * normed)

    @property
    def multiplications(self) -> int:
        """Multiply-adds forward."""
        if self.kind == "pool":
            return 0
        # each voxel of a transposed convolution, kernel = stride, has one voxel below it
        taps = 1 if self.kind == "up" else self.kernel
        return self.inputs * self.outputs * self.size * taps


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of :mod:`medseg.networks` as a planner sees it.

    Attributes
    ----------
    kind : {"unet", "residual_unet"}
    topology : Topology
    features : tuple of int
        Channels of each stage.
    channels, classes : int
        Of input and output; classes count background.
    """

    kind: Kind
    topology: Topology
    features: tuple[int, ...]
    channels: int
    classes: int

    @property
    def parameters(self) -> int:
        """Trainable numbers, without side heads."""
        return sum(layer.parameters for layer in self.layers(self.topology.divisors))

    def multiplications(self, patch: Sequence[int]) -> int:
        """Return the multiply-adds of one prediction of one patch."""
        return sum(layer.multiplications for layer in self.layers(patch))

    def layers(self, patch: Sequence[int], heads: int = 1) -> Iterator[Layer]:
        """Yield every convolution for one patch; the ``heads`` finest stages have a head."""
        topology, sizes = self.topology, self._sizes(patch)
        yield from self._encoder(sizes)
        for stage in reversed(range(len(self.features) - 1)):
            width, size = self.features[stage], math.prod(sizes[stage])
            kernel = math.prod(topology.kernels[stage])
            stride = math.prod(topology.strides[stage + 1])
            yield Layer("up", self.features[stage + 1], width, stride, size)
            yield Layer("conv", 2 * width, width, kernel, size)
            if self.kind == "unet":
                yield Layer("conv", width, width, kernel, size)
            if stage < heads:
                yield Layer("head", width, self.classes, 1, size)

    def _encoder(self, sizes: Sequence[Sizes]) -> Iterator[Layer]:
        kernels, before = self.topology.kernels, self.channels
        if self.kind == "residual_unet":
            stem = self.features[0]
            yield Layer("conv", before, stem, math.prod(kernels[0]), math.prod(sizes[0]))
            before = stem
        for stage, width in enumerate(self.features):
            kernel, size = math.prod(kernels[stage]), math.prod(sizes[stage])
            padded = _padded(sizes[stage - 1], kernels[stage]) if stage else 0
            if self.kind == "unet":
                yield Layer("conv", before, width, kernel, size, padded)
                yield Layer("conv", width, width, kernel, size)
            else:
                yield Layer("conv", before, width, kernel, size, padded)
                yield Layer("conv", width, width, kernel, size)
                if before != width:
                    yield Layer("skip", before, width, 1, size)
                elif stage:
                    yield Layer("pool", width, width, 0, size)
                further = BLOCKS[min(stage, len(BLOCKS) - 1)] - 1
                yield from [Layer("conv", width, width, kernel, size)] * (2 * further)
            before = width

    def _sizes(self, patch: Sequence[int]) -> list[Sizes]:
        """Return the grid of each stage."""
        sizes = [tuple(patch)]
        for stride in self.topology.strides[1:]:
            sizes.append(tuple(n // s for n, s in zip(sizes[-1], stride, strict=True)))
        return sizes


def _padded(size: Sizes, kernel: Sizes) -> int:
    return math.prod(n + k - 1 for n, k in zip(size, kernel, strict=True))


def feature_map_elements(network: Architecture, patch: Sequence[int]) -> int:
    """Return nnU-Net's measure of memory: all outputs of convolutions for one patch.

    Numbers, not bytes; background and an ignore label count as classes
    (``compute_conv_feature_map_size`` of dynamic-network-architectures).
    """
    return sum(layer.outputs * layer.size for layer in network.layers(patch))


def checked_kind(name: str) -> Kind:
    """Return the name of a network whose costs are known.

    Raises
    ------
    PlanRefused
        ``network-uncounted``.
    """
    if name in get_args(Kind):
        return cast(Kind, name)
    raise PlanRefused(
        "network-uncounted",
        f"The costs of {name} are not known, only those of {' and '.join(get_args(Kind))}",
        do=f"Plan with one of these, then set plan.network: {name} in the config",
    )


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes of one training step, beside what Python and the framework take.

    Attributes
    ----------
    activations : int
        Kept from the way forward for the way back.
    passing : int
        Held for a moment: gradients of the largest layer, and workspaces.
    weights : int
        Parameters, their gradients, the optimizer's state and averaged weights.
    """

    activations: int
    passing: int
    weights: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.activations + self.passing + self.weights


def step_memory(
    network: Architecture,
    patch: Sequence[int],
    batch: int,
    *,
    precision: Precision = "f32",
    optimizer: Optimizer = "sgd",
    averaged: bool = False,
    deep_supervision: bool = True,
) -> StepMemory:
    """Return the bytes that training a Keras network takes.

    Counted layer by layer from the formulas of :mod:`medseg.networks`, not from a reference
    network on another framework. ``docs/planning.md`` compares it with measured peaks.

    Parameters
    ----------
    network : Architecture
    patch : sequence of int
        Voxels, a multiple of the topology's divisors.
    batch : int
        Patches in a step.
    precision : {"f32", "bf16", "f16"}
        Of the mixed-precision policy; weights and statistics are float32 under each.
    optimizer : {"sgd", "adamw"}
    averaged : bool
        Whether averaged weights are kept too.
    deep_supervision : bool
        Whether coarser decoder stages have heads.
    """
    width, kept, logits, largest = WIDTH[precision], 0, 0, 0
    for layer in network.layers(patch, heads_of(network) if deep_supervision else 1):
        made = layer.outputs * layer.size
        largest = max(largest, made)
        if layer.kind in ("conv", "skip"):
            kept += made * KEPT[precision] + layer.inputs * layer.padded * width
        elif layer.kind == "head":  # in float32, and so is a copy of what it reads
            logits += made * 4 * LOSS + layer.inputs * layer.size * (4 if width < 4 else 0)
        else:
            kept += 2 * made * width  # joined with the skip connection
    copies = 2 + SLOTS[optimizer] + averaged  # themselves, gradients
    half = WIDTH[precision] if width < 4 else 0
    activations, passing = batch * (kept + logits), batch * largest * 4 * PASSING
    return StepMemory(
        activations=activations,
        passing=passing + round((WORKSPACE - 1) * (activations + passing)),
        weights=network.parameters * (4 * copies + half),
    )


def heads_of(network: Architecture) -> int:
    """Return how many heads deep supervision gives: one a decoder stage but the coarsest."""
    return max(1, len(network.features) - 2)
