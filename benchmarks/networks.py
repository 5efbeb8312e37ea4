"""Seconds of a training step and of a patch, network by network, in turn.

The table of ``docs/networks.md``: 32 to 256 features, kernels of 3, strides of 2, one channel, two
classes, float32. A patch of 40 x 56 x 40 in batches of two; in 2-D 256 x 256 in batches of four.

    python benchmarks/networks.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from medseg.networks.loading import load_keras

FEATURES, CLASSES, WARM_UP, ROUNDS = [32, 64, 128, 256], 2, 2, 7
NETWORKS = {
    3: ["unet", "residual_unet", "attention_unet", "nested_unet", "vnet"],
    2: ["unet", "residual_unet", "attention_unet", "nested_unet", "vnet", "backbone_unet"],
}
BATCHES = {3: (2, 40, 56, 40), 2: (4, 256, 256)}


def sides(name: str, axes: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a training step and a prediction of one patch."""
    keras = load_keras()
    from medseg.losses import loss
    from medseg.networks import build

    model = build(name, channels=1, classes=CLASSES, features=FEATURES, kernels=[[3] * axes] * 4,
                  strides=[[1] * axes] + [[2] * axes] * 3)  # fmt: skip
    model.compile(keras.optimizers.AdamW(1e-3), loss=loss("dice_cross_entropy"), jit_compile=False)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(*BATCHES[axes], 1)).astype(np.float32)
    truth = rng.integers(0, CLASSES, (*BATCHES[axes], 1)).astype(np.int32)
    return (
        lambda: model.train_on_batch(image, truth),
        lambda: model.predict_on_batch(image[:1]),
    )


def main() -> None:
    """Print medians and what they are of the plain U-Net's."""
    for axes, names in NETWORKS.items():
        made = {name: sides(name, axes) for name in names}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for number in range(WARM_UP + ROUNDS):
            for name, parts in made.items():
                seconds = []
                for part in parts:
                    started = time.perf_counter()
                    part()
                    seconds.append(time.perf_counter() - started)
                if number >= WARM_UP:
                    taken[name].append((seconds[0], seconds[1]))
        step, patch = (
            {name: statistics.median(pair[k] for pair in pairs) for name, pairs in taken.items()}
            for k in (0, 1)
        )
        for name in names:
            print(f"{axes}-D {name:16} step {step[name]:6.2f} s ({step[name] / step['unet']:.1f}),"
                  f" patch {patch[name]:6.3f} s ({patch[name] / patch['unet']:.1f})",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
