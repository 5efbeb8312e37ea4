"""Claim: a patch by nnU-Net's recipe takes a third of the time of the fastest peer or less.

Ours against batchgeneratorsv2 as nnU-Net's trainer calls it and against MONAI's transforms of the
same kinds, chances and ranges, one thread each, in turn in one process: blocks of patches cut from
one case of one channel and three labels, the cutting included. Needs MEDSEG_PEER_PYTHON, the
Python of an environment that holds nnunetv2, monai, opencv-python-headless and lazy-loader.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from scipy import ndimage

from medseg.augmentation import recipe

ROOT = Path(__file__).parents[1]
SIZES = ((40, 56, 40), (64, 64, 64), (96, 96, 64))
SHAPE = (180, 190, 170)  # of the case
BLOCKS, BLOCK = 5, 30  # a block is long enough for rare steps to come up
TILT = np.pi / 6  # largest angle of nnU-Net's rotation

Job = Callable[[np.random.Generator], object]


def make_case() -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth image ``(I, J, K, 1)`` of mean 0 and deviation 1, and three classes."""
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    image = ndimage.gaussian_filter(noise, 2)
    image = (image - image.mean()) / image.std()
    classes = np.digitize(image, [0.5, 1, 1.5]).astype(np.uint8)
    return image[..., None], classes


def ours(case: tuple[np.ndarray, np.ndarray], patch: tuple[int, int, int]) -> Job:
    """Return a job that makes one patch with medseg."""
    made = recipe("default", (1.0, 1.0, 1.0), patch, (0, 1, 2))
    return lambda rng: made.patch(*case, middle(rng, patch), rng)


def middle(rng: np.random.Generator, patch: tuple[int, int, int]) -> np.ndarray:
    """Draw a voxel around which even a turned patch stays inside the case."""
    return np.array([rng.integers(n // 2 - 12, n // 2 + 13) for n in SHAPE])


def cropped(case: tuple[np.ndarray, np.ndarray], centre: np.ndarray, size: np.ndarray):
    """Return image and classes of a box as new torch tensors, channels first."""
    import torch

    image, classes = case
    low = np.maximum(0, centre - size // 2)
    box = tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))
    return (torch.from_numpy(np.ascontiguousarray(image[box][..., 0])[None].copy()),
            torch.from_numpy(classes[box][None].astype(np.int16)))  # fmt: skip


def with_nnunet(case: tuple[np.ndarray, np.ndarray], patch: tuple[int, int, int]) -> Job:
    """Return a job that makes one patch with batchgeneratorsv2, as nnU-Net 2 does."""
    with redirect_stdout(StringIO()):
        from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    angles = (-TILT, TILT)
    size = get_patch_size(patch, angles, angles, angles, (0.85, 1.25))
    transforms = nnUNetTrainer.get_training_transforms(patch, angles, None, (0, 1, 2), False)

    def job(rng: np.random.Generator) -> object:
        np.random.seed(rng.integers(2**31))  # noqa: NPY002 - what it draws from
        image, classes = cropped(case, middle(rng, patch), size)
        return transforms(image=image, segmentation=classes)

    return job


def with_monai(case: tuple[np.ndarray, np.ndarray], patch: tuple[int, int, int]) -> Job:
    """Return a job that makes one patch with MONAI; it has no contrast clipped to its range."""
    from monai import transforms as t

    both, image = ("image", "label"), ("image",)
    size = np.ceil(np.array(patch) * 1.5).astype(int)  # room to turn
    made = t.Compose([
        # turned or scaled or both in 36 of 100: here always both, which costs the same
        t.RandAffined(both, prob=0.36, spatial_size=patch, rotate_range=(TILT,) * 3,
                      scale_range=((-0.3, 0.4),) * 3, mode=("bilinear", "nearest"),
                      padding_mode="zeros", cache_grid=True),
        t.RandGaussianNoised(image, prob=0.1, std=0.1),
        t.RandGaussianSmoothd(image, (0.5, 1), (0.5, 1), (0.5, 1), prob=0.1),
        t.RandScaleIntensityd(image, 0.25, prob=0.15),
        t.RandScaleIntensityFixedMeand(image, factors=0.25, preserve_range=True, prob=0.15),
        t.RandSimulateLowResolutiond(image, prob=0.125, zoom_range=(0.5, 1)),
        t.RandAdjustContrastd(image, 0.1, (0.7, 1.5), invert_image=True, retain_stats=True),
        t.RandAdjustContrastd(image, 0.3, (0.7, 1.5), retain_stats=True),
        *(t.RandFlipd(both, 0.5, axis) for axis in range(3)),
    ])  # fmt: skip

    def job(rng: np.random.Generator) -> object:
        made.set_random_state(int(rng.integers(2**31)))
        values, classes = cropped(case, middle(rng, patch), size)
        return made({"image": values, "label": classes})

    return job


PROGRAMS = {"medseg": ours, "batchgeneratorsv2": with_nnunet, "MONAI": with_monai}


def compare(patch: tuple[int, int, int]) -> None:
    """Time blocks of patches in turn and print the median of their rates."""
    case = make_case()
    jobs = {name: program(case, patch) for name, program in PROGRAMS.items()}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for block in range(BLOCKS + 1):
        for name, job in jobs.items():
            clock, processor = time.perf_counter(), time.process_time()
            for number in range(BLOCK):
                job(np.random.default_rng((block, number)))
            if block:  # the first warms up
                rates[name].append((BLOCK / (time.perf_counter() - clock),
                                    BLOCK / (time.process_time() - processor)))  # fmt: skip
    medians = {name: [statistics.median(column) for column in zip(*told, strict=True)]
               for name, told in rates.items()}  # fmt: skip
    for name, (clock, processor) in medians.items():
        print(f"{' x '.join(map(str, patch))}, {name}: {clock:.0f} patches/s, {processor:.0f} a "
              f"second of CPU; ours is {medians['medseg'][1] / processor:.1f} times as fast",
              flush=True)  # fmt: skip


def main() -> None:
    """Run in the peers' Python, which finds medseg through the path."""
    peer = os.environ.get("MEDSEG_PEER_PYTHON", "")
    if not peer:
        print("MEDSEG_PEER_PYTHON does not name the Python of the peers' environment: not run")
        return
    if Path(peer) != Path(sys.executable):
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1",
                       "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # fmt: skip
        subprocess.run([peer, __file__], check=True, env=environment)
        return
    import cv2
    import torch

    warnings.filterwarnings("ignore")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for patch in SIZES:
        compare(patch)


if __name__ == "__main__":
    main()
