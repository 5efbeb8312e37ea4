"""A training step of the same network in medseg and in nnU-Net's torch trainer, in turn.

nnU-Net's plain U-Net for MSD Task04 (32 to 256 features), patch 40 x 56 x 40, batch 2, Dice and
cross-entropy, SGD with Nesterov momentum, gradients clipped to 12, float32, no deep supervision;
each side in a process of its own, which waits while the other steps.

    MEDSEG_PEER_PYTHON=/path/to/python python benchmarks/training_step.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

FEATURES, PATCH, BATCH, CLASSES = [32, 64, 128, 256], (40, 56, 40), 2, 3
WARM_UP, STEPS = 3, 15


def keras_step() -> Callable[[], None]:
    """Return a step of medseg."""
    from medseg.networks.loading import load_keras

    keras = load_keras()
    from medseg.losses import loss
    from medseg.networks import build

    model = build("unet", channels=1, classes=CLASSES, features=FEATURES, kernels=[[3] * 3] * 4,
                  strides=[[1] * 3] + [[2] * 3] * 3)  # fmt: skip
    optimizer = keras.optimizers.SGD(0.01, momentum=0.99, nesterov=True, weight_decay=3e-5,
                                     global_clipnorm=12.0)  # fmt: skip
    model.compile(optimizer, loss=loss("dice_cross_entropy"), jit_compile=False)
    image, truth = data()
    return lambda: model.train_on_batch(image, truth)


def torch_step() -> Callable[[], None]:
    """Return a step of nnU-Net, as its trainer takes it on a CPU."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network = PlainConvUNet(
        1, 4, FEATURES, torch.nn.Conv3d, 3, [1, 2, 2, 2], 2, CLASSES, 2, conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False,
    )  # fmt: skip
    criterion = DC_and_CE_loss(
        {"batch_dice": False, "smooth": 1e-5, "do_bg": False, "ddp": False}, {},
        dice_class=MemoryEfficientSoftDiceLoss,
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True,
                                weight_decay=3e-5)  # fmt: skip
    image, truth = (torch.from_numpy(np.moveaxis(array, -1, 1).copy()) for array in data())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        criterion(network(image), truth).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()

    return step


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return a batch of noise and of class numbers."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(BATCH, *PATCH, 1)).astype(np.float32)
    return image, rng.integers(0, CLASSES, (BATCH, *PATCH, 1)).astype(np.int32)


def serve(side: str) -> None:
    """Take a step for each line that comes in, and answer with its seconds."""
    step = {"medseg": keras_step, "nnU-Net": torch_step}[side]()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        step()
        print(time.perf_counter() - started, flush=True)


def main() -> None:
    """Step in turn and print medians."""
    peer = os.environ.get("MEDSEG_PEER_PYTHON")
    if not peer:
        sys.exit("Set MEDSEG_PEER_PYTHON to a Python with nnunetv2 and torch")
    pythons = {"medseg": sys.executable, "nnU-Net": peer}
    sides = {
        side: subprocess.Popen([python, __file__, "--serve", side], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for side, python in pythons.items()
    }  # fmt: skip
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for process in sides.values():
        while process.stdout.readline().strip() != "ready":
            assert process.poll() is None, "a side ended before it was ready"
    for number in range(WARM_UP + STEPS):
        for side, process in sides.items():
            process.stdin.write("\n")
            process.stdin.flush()
            taken = float(process.stdout.readline())
            if number >= WARM_UP:
                seconds[side].append(taken)
    for process in sides.values():
        process.stdin.close()
    medians = {side: statistics.median(taken) for side, taken in seconds.items()}
    for side, median in medians.items():
        print(f"{side:8} {median:.3f} s a step, {BATCH / median:.2f} patches/s")
    print(f"nnU-Net takes {medians['nnU-Net'] / medians['medseg']:.2f} times as long")


if __name__ == "__main__":
    serve(sys.argv[2]) if sys.argv[1:2] == ["--serve"] else main()
