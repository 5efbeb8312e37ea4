"""Claim: all scores take a fifth of the time of the fastest peer that has them, in little memory.

Ours against MONAI, surface-distance and medpy, in turn in one process, case by case: 40 real masks
with wobbled predictions, and one 512 x 512 x 300 volume of 25 organs. Each peer computes what it
has of Dice, IoU, HD, HD95, ASSD and NSD; ours computes all of them and seven more columns.
Needs MEDSEG_PEER_PYTHON, the Python of an environment that holds the peers (docs/metrics.md);
on the big volume their time is that of a few labels, multiplied, and medpy, which looks at the
whole image for each score, is left out: it takes minutes a label.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from medseg.labels import Label
from medseg.metrics import scores
from medseg.metrics.box import box_of

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
BIG, ORGANS, PEER_LABELS = (512, 512, 300), 25, 2
SPACING = (0.8, 0.8, 1.5)

Spacing = tuple[float, ...]
Masks = tuple[np.ndarray, np.ndarray, Spacing]
Peers = dict[str, Callable[[np.ndarray, np.ndarray, Spacing], None]]


def real_cases() -> Iterator[Masks]:
    """Yield 20 hippocampi (2 labels) and 20 sarcomas, each with a wobbled prediction."""
    for folder in ("Task04_Hippocampus", "STS_MR"):
        for seed, path in enumerate(sorted((DATA / folder / "labelsTr").glob("*.nii.gz"))[:20]):
            image = nibabel.load(path)
            truth = np.ascontiguousarray(np.asarray(image.dataobj).astype(np.uint8))
            noise = np.random.default_rng(seed).normal(size=(*truth.shape, 3))
            noise = ndimage.gaussian_filter(noise, (3, 3, 3, 0))
            noise *= (0.5, 1, 2)[seed % 3] / noise.std()  # voxels
            place = np.indices(truth.shape) + np.moveaxis(noise, -1, 0)
            predicted = ndimage.map_coordinates(truth, place, order=0)
            yield truth, predicted, tuple(float(s) for s in image.header.get_zooms()[:3])


def big_case() -> Masks:
    """Return 25 bumpy ellipsoids, twice with other bumps."""
    pair = np.zeros((2, *BIG), np.uint8)
    for value in range(1, ORGANS + 1):
        rng = np.random.default_rng(value)
        centre = rng.uniform(0.2, 0.8, 3) * BIG
        radii = rng.uniform(13, 57) * rng.uniform(0.7, 1.4, 3)  # voxels
        low = np.maximum(0, centre - 1.3 * radii).astype(int)
        high = np.minimum(BIG, centre + 1.3 * radii + 1).astype(int)
        box = tuple(map(slice, low, high))
        away = sum(((x - c) / r) ** 2
                   for x, c, r in zip(np.ogrid[box], centre, radii, strict=True))  # fmt: skip
        for labels in pair:
            bumps = ndimage.zoom(rng.normal(size=(6, 6, 6)), np.array(away.shape) / 6, order=1)
            labels[box][away + 0.07 * bumps < 1] = value
    return pair[0], pair[1], SPACING


def with_monai(truth: np.ndarray, predicted: np.ndarray, spacing: Spacing) -> None:
    """Compute what MONAI has: Dice, IoU, HD, HD95, ASSD, NSD by area."""
    import torch
    from monai import metrics

    ours, theirs = (torch.from_numpy(one)[None, None].float() for one in (truth, predicted))
    near = {"include_background": True, "spacing": list(spacing)}
    metrics.compute_dice(theirs, ours)
    metrics.compute_iou(theirs, ours)
    metrics.compute_hausdorff_distance(theirs, ours, **near)
    metrics.compute_hausdorff_distance(theirs, ours, percentile=95, **near)
    metrics.compute_average_surface_distance(theirs, ours, symmetric=True, **near)
    metrics.compute_surface_dice(theirs, ours, [1.0], use_subvoxels=True, **near)


def with_surface_distance(truth: np.ndarray, predicted: np.ndarray, spacing: Spacing) -> None:
    """Compute what surface-distance has: Dice, HD, HD95, average distances, NSD."""
    import surface_distance

    surface_distance.compute_dice_coefficient(truth, predicted)
    far = surface_distance.compute_surface_distances(truth, predicted, list(spacing))
    surface_distance.compute_robust_hausdorff(far, 100)
    surface_distance.compute_robust_hausdorff(far, 95)
    surface_distance.compute_average_surface_distance(far)
    surface_distance.compute_surface_dice_at_tolerance(far, 1)


def with_medpy(truth: np.ndarray, predicted: np.ndarray, spacing: Spacing) -> None:
    """Compute what medpy has: Dice, IoU, HD, HD95, ASSD; no NSD."""
    from medpy.metric import binary

    binary.dc(predicted, truth)
    binary.jc(predicted, truth)
    binary.hd(predicted, truth, voxelspacing=spacing)
    binary.hd95(predicted, truth, voxelspacing=spacing)
    binary.assd(predicted, truth, voxelspacing=spacing)


PEERS = {"MONAI": with_monai, "surface-distance": with_surface_distance, "medpy": with_medpy}


def timed(job: Callable[[], object]) -> np.ndarray:
    """Return the seconds on the clock and of all processors."""
    clock, processors = time.perf_counter(), time.process_time()
    job()
    return np.array([time.perf_counter() - clock, time.process_time() - processors])


def by_label(peer: Callable[..., None], case: Masks, labels: list[int]) -> Callable[[], None]:
    """Return a job that scores label after label with a peer."""
    truth, predicted, spacing = case

    def job() -> None:
        for value in labels:
            peer(truth == value, predicted == value, spacing)

    return job


def compare(name: str, cases: Iterator[Masks], peers: Peers, labels: int | None = None) -> None:
    """Time all in turn on each case and print medians and ratios of sums."""
    seconds: dict[str, list[np.ndarray]] = {"medseg": [], **{peer: [] for peer in peers}}
    for case in cases:
        held = [int(value) for value in np.unique(case[0])[1:]]
        few = held[:labels]
        seconds["medseg"].append(timed(lambda case=case, held=held: scores(
            *case, [Label(value, str(value)) for value in held])))  # fmt: skip
        for peer, score in peers.items():
            times = timed(by_label(score, case, few))
            seconds[peer].append(times * len(held) / len(few))
    ours = sum(seconds["medseg"])
    for program, times in seconds.items():
        clock, processors = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = sum(times) / ours
        print(
            f"{name}, {program}: median of {len(times)} {clock:.3f} s, {processors:.3f} s of CPU;"
            f" {ratio[0]:.1f} and {ratio[1]:.1f} times ours",
            flush=True,
        )


def memory(case: Masks) -> None:
    """Print the most that scoring took, for each voxel of the largest label's box."""
    boxes = [box_of(*(labels == value for labels in case[:2])) for value in range(1, ORGANS + 1)]
    largest = max(math.prod(b.stop - b.start for b in box) for box in boxes if box)
    tracemalloc.start()
    scores(*case)
    peak = tracemalloc.get_traced_memory()[1]
    print(f"big volume: {peak / 1e6:.0f} MB, {peak / largest:.1f} bytes for each of the"
          f" {largest / 1e6:.2f} million voxels of the largest box")  # fmt: skip


def main() -> None:
    """Run in the peers' Python, which finds medseg through the path."""
    peer = os.environ.get("MEDSEG_PEER_PYTHON", "")
    if not peer:
        print("MEDSEG_PEER_PYTHON does not name the Python of the peers' environment: not run")
        return
    if "monai" not in sys.modules and Path(peer) != Path(sys.executable):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([peer, __file__], check=True, env=environment)
        return
    warnings.filterwarnings("ignore")
    warm = np.pad(np.ones((4, 4, 4), np.uint8), 2)
    scores(warm, warm, (1, 1, 1))
    for score in PEERS.values():
        score(warm > 0, warm > 0, (1.0, 1.0, 1.0))  # imports are not timed
    compare("40 real cases", real_cases(), PEERS)
    case = big_case()
    memory(case)
    few = {name: score for name, score in PEERS.items() if name != "medpy"}
    compare("512 x 512 x 300, 25 labels", iter([case]), few, PEER_LABELS)


if __name__ == "__main__":
    main()
