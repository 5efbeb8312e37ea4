"""How quick this machine is with a network: measured, never looked up, kept nowhere."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal

import numpy as np

from medseg.inference.tiles import tile_starts
from medseg.planning.budget import BACKWARD
from medseg.planning.memory import Architecture, Optimizer, Precision
from medseg.planning.topology import Sizes

Device = Literal["gpu", "cpu"]

POLICIES = {"f32": "float32", "bf16": "mixed_bfloat16", "f16": "mixed_float16"}
PROBE = 8e9  # multiply-adds of the largest patch that is tried: a second of training on two cores
REPEATS = 5
LONG_ENOUGH = 4.0  # s after which one repeat less is enough


@dataclass(frozen=True, slots=True)
class Speed:
    """Multiply-adds a second of one network on one machine.

    Attributes
    ----------
    predicting : float
        Of one tile, through the engine that ``medseg segment`` takes.
    training : float
        Of a step, counted as three predictions a patch.
    """

    predicting: float
    training: float

    def step_seconds(self, network: Architecture, patch: Sequence[int], batch: int) -> float:
        """Return the time of a training step."""
        return BACKWARD * batch * network.multiplications(patch) / self.training

    def scan_seconds(
        self, network: Architecture, patch: Sequence[int], shape: Sequence[float]
    ) -> float:
        """Return the time of all tiles of a scan of ``shape`` voxels on the network's grid."""
        i, j, k = (max(1, round(n)) for n in shape)
        tile = (1, *patch) if len(patch) == 2 else tuple(patch)
        tiles = len(tile_starts((i, j, k), (tile[0], tile[1], tile[2])))
        return tiles * network.multiplications(patch) / self.predicting


def measure(
    network: Architecture,
    patch: Sequence[int],
    batch: int,
    *,
    device: Device,
    precision: Precision,
    optimizer: Optimizer = "sgd",
) -> Speed:
    """Time a few training steps and tiles of a network with random weights.

    A patch beyond ``PROBE`` multiply-adds is cut, and so is the batch: the speed of a
    convolution hardly depends on either from there on. Takes ten to thirty seconds on two
    cores, most of it for loading the frameworks.
    """
    from medseg.networks.loading import dtype_policy

    patch = probe_patch(network, patch)
    if network.multiplications(patch) * batch > 2 * PROBE:
        batch = 2
    with dtype_policy(POLICIES[precision]):
        step = _seconds(_step(network, patch, batch, device, optimizer))
    tile = _seconds(_tile(network, patch, device))
    work = network.multiplications(patch)
    return Speed(work / tile, BACKWARD * batch * work / step)


def probe_patch(network: Architecture, patch: Sequence[int]) -> Sizes:
    """Return the patch, halved along its longest axis until it is quick to try."""
    divisors, cut = network.topology.divisors, list(patch)
    while network.multiplications(cut) > PROBE:
        blocks = [n // d for n, d in zip(cut, divisors, strict=True)]
        if max(blocks) == 1:
            break
        axis = max((n, a) for a, n in enumerate(cut) if blocks[a] > 1)[1]
        cut[axis] = blocks[axis] // 2 * divisors[axis]
    return tuple(cut)


def _seconds(work: Callable[[], object]) -> float:
    """Return the median time of a few calls after a first one, which compiles."""
    work()
    times: list[float] = []
    while len(times) < REPEATS and not (len(times) > 1 and sum(times) > LONG_ENOUGH):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return statistics.median(times)


def _step(
    network: Architecture, patch: Sizes, batch: int, device: Device, optimizer: Optimizer
) -> Callable[[], object]:
    """Return one training step as ``medseg train`` does it, on noise."""
    import keras

    from medseg import networks
    from medseg.losses import loss

    model = networks.build(network.kind, **arguments_of(network), deep_supervision=True)
    kind = keras.optimizers.SGD if optimizer == "sgd" else keras.optimizers.AdamW
    momentum: dict[str, Any] = {"momentum": 0.99, "nesterov": True} if optimizer == "sgd" else {}
    model.compile(
        optimizer=kind(1e-3, weight_decay=3e-5, global_clipnorm=12.0, **momentum),
        loss=[loss("dice_cross_entropy") for _ in model.outputs],
        jit_compile=device == "gpu",
    )
    rng = np.random.default_rng(0)
    image = rng.normal(size=(batch, *patch, network.channels)).astype(np.float32)
    truths, truth = [], rng.integers(0, network.classes, (batch, *patch, 1)).astype(np.int32)
    for stride in network.topology.strides[: len(model.outputs)]:
        truth = truth[(slice(None), *(slice(None, None, step) for step in stride))]
        truths.append(truth)
    return lambda: model.train_on_batch(image, truths if len(truths) > 1 else truth)


def _tile(network: Architecture, patch: Sizes, device: Device) -> Callable[[], object]:
    """Return the prediction of one tile as ``medseg segment`` does it, on noise."""
    from medseg import networks
    from medseg.inference.engines import choose
    from medseg.labels import Label, LabelSet
    from medseg.models import Card, write_package
    from medseg.models.card import Dataset
    from medseg.models.weights import weights_of
    from medseg.plan import Channel, Network, Plan

    i, j, k = (1, *patch) if len(patch) == 2 else patch
    plan = Plan(
        spacing=(1, 1, 1),
        channels=tuple(Channel(name=str(n)) for n in range(network.channels)),
        patch=(i, j, k),
        network=Network(name=network.kind, arguments=arguments_of(network)),
        labels=LabelSet(tuple(Label(n, str(n)) for n in range(1, network.classes))),
    )
    noise = (Dataset(name="noise", licence="none", attribution="none"),)
    card = Card(intended_use="Measuring speed", modality="none", training_data=noise)
    with TemporaryDirectory(prefix="medseg-") as folder:
        package = write_package(
            Path(folder) / "model", name="speed", version="1", plan=plan, card=card,
            weights=weights_of(networks.build(network.kind, **arguments_of(network))),
        )  # fmt: skip
        engine, _ = choose(package, device=device, cache=Path(folder))
    tile = np.zeros((1, *patch, network.channels), np.float32)
    return lambda: engine(tile)


def arguments_of(network: Architecture) -> dict[str, Any]:
    """Return what ``medseg.networks.build`` needs for a network."""
    return {
        "channels": network.channels,
        "classes": network.classes,
        "features": network.features,
        "kernels": network.topology.kernels,
        "strides": network.topology.strides,
    }
