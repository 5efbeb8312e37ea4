"""Seconds of a training step and of predicting a patch, network by network, in turn.

The table of ``docs/networks.md``: in 3-D, 32 to 256 features, kernels of 3, strides of 2, one
channel, two classes, float32; steps of two patches of 40 x 56 x 40, predictions of one.

    python benchmarks/networks.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from medseg.networks.loading import load_keras

NETWORKS = ["unet", "residual_unet", "attention_unet", "nested_unet", "vnet"]
FEATURES, BATCH, CLASSES, WARM_UP, ROUNDS = [32, 64, 128, 256], (2, 40, 56, 40), 2, 2, 7


def sides(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a training step and a prediction of one patch."""
    keras = load_keras()
    from medseg.losses import loss
    from medseg.networks import build

    model = build(name, channels=1, classes=CLASSES, features=FEATURES, kernels=[[3] * 3] * 4,
                  strides=[[1] * 3] + [[2] * 3] * 3)  # fmt: skip
    model.compile(keras.optimizers.AdamW(1e-3), loss=loss("dice_cross_entropy"), jit_compile=False)
    rng = np.random.default_rng(0)
    image = rng.normal(size=(*BATCH, 1)).astype(np.float32)
    truth = rng.integers(0, CLASSES, (*BATCH, 1)).astype(np.int32)
    return (
        lambda: model.train_on_batch(image, truth),
        lambda: model.predict_on_batch(image[:1]),
    )


def main() -> None:
    """Print medians and what they are of the plain U-Net's."""
    made = {name: sides(name) for name in NETWORKS}
    taken: dict[str, list[list[float]]] = {name: [] for name in NETWORKS}
    for number in range(WARM_UP + ROUNDS):
        for name, parts in made.items():
            seconds = []
            for part in parts:
                started = time.perf_counter()
                part()
                seconds.append(time.perf_counter() - started)
            if number >= WARM_UP:
                taken[name].append(seconds)
    medians = {name: [statistics.median(part) for part in zip(*rounds, strict=True)]
               for name, rounds in taken.items()}  # fmt: skip
    for name, (step, patch) in medians.items():
        plain_step, plain_patch = medians["unet"]
        print(f"{name:16} step {step:6.2f} s ({step / plain_step:.1f}), "
              f"patch {patch:6.3f} s ({patch / plain_patch:.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
