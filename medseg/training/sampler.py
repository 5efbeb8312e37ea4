"""Batches of augmented patches; each is a function of seed, epoch and number alone."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from medseg.augmentation import Recipe
from medseg.augmentation.frame import Patch
from medseg.datasets.image_store import StoredImages
from medseg.datasets.store import StoredCase
from medseg.plan import Plan


class Patches(keras.utils.PyDataset):
    """Batches for ``fit``: patches ``(B, I, J, K, C)`` and their truth ``(B, I, J, K, T)``.

    The truth is class numbers, T = 1, or for each region 0 or 1; -1 where nobody labelled.

    Cases are drawn with replacement. The last ``round(batch * foreground)`` patches of a batch
    are centred on a voxel of a class drawn among those present, as far as they stay within the
    case, the others anywhere (Isensee et al. 2021), or on any labelled voxel of a case that is
    not labelled everywhere. No state is kept but the epoch: a resumed training draws what a
    straight one would have drawn, whatever the number of workers.

    Parameters
    ----------
    cases : sequence of StoredCase
    recipe : Recipe
    patch : (int, int, int)
        ``(1, J, K)`` gives 2-D batches ``(B, J, K, C)``.
    batch, steps : int
        Patches in a batch, batches in an epoch.
    foreground : float
        Share of patches centred on a label.
    scales : sequence of tuples of int
        Downsampling of each output's truth along the patch's axes, finest first; one entry
        without deep supervision.
    seed, first_epoch : int
    table : (numbers, T) int32 array, optional
        The truth of each stored class number, see :func:`truth_table`; the number itself when
        left out.
    """

    def __init__(
        self,
        cases: Sequence[StoredCase],
        recipe: Recipe,
        patch: Patch,
        *,
        batch: int,
        steps: int,
        foreground: float,
        scales: Sequence[tuple[int, ...]],
        seed: int,
        first_epoch: int = 0,
        table: np.ndarray | None = None,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self.cases = tuple(cases)
        self.recipe = recipe
        self.patch = patch
        self.batch = batch
        self.steps = steps
        self.forced = round(batch * foreground)
        self.scales = tuple(scales)
        self.seed = seed
        self.epoch = first_epoch
        self.table = truth_table(self.cases[0].classes.dtype) if table is None else table

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, number: int):
        images, truths = zip(
            *(self._sample(number * self.batch + n, n >= self.batch - self.forced)
              for n in range(self.batch)), strict=True
        )  # fmt: skip
        image, truth = np.stack(images), self.table[np.stack(truths)]
        if self.patch[0] == 1:
            image, truth = image[:, 0], truth[:, 0]
        targets = tuple(_thinned(truth, scale) for scale in self.scales)
        return image, targets if len(targets) > 1 else targets[0]

    def on_epoch_end(self) -> None:
        """Count the epoch, on which every sample depends."""
        self.epoch += 1

    def _sample(self, index: int, forced: bool) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.seed, self.epoch, index))
        case = self.cases[rng.integers(len(self.cases))]
        centre = _centre(case, self.patch, forced, rng)
        return self.recipe.patch(case.image, case.classes, centre, rng)


def truth_table(dtype: np.dtype, plan: Plan | None = None) -> np.ndarray:
    """Return the truth of each class number of a stored case's type, ``(numbers, T)`` int32.

    Where a plan's outputs are regions, 0 or 1 for each of them in the order of painting,
    otherwise the number itself. The last number of the type, where nobody labelled, gives -1.
    """
    numbers = np.arange(np.iinfo(dtype).max + 1, dtype=np.int32)
    table = numbers[:, None]
    if plan is not None and plan.outputs == "regions":
        values = np.asarray(plan.labels.values)
        table = np.zeros((len(numbers), plan.output_channels), np.int32)
        for channel, region in enumerate(plan.labels.regions):
            table[: len(values), channel] = np.isin(values, region.region)
    table[-1] = -1
    return table


class Images(keras.utils.PyDataset):
    """Batches for ``fit``: whole images ``(B, I, J, K, C)`` and class numbers ``(B, 1)``.

    Every image comes once before any comes again, in an order that each pass over them draws
    anew; balanced, those of rarer classes come again and again until all classes have come
    equally often. As with :class:`Patches`, a batch is a function of seed, epoch and number alone.

    Parameters
    ----------
    stored : StoredImages
        Of a patch ``(1, J, K)`` batches are 2-D.
    recipe : Recipe
    batch, steps : int
        Images in a batch, batches in an epoch.
    seed, first_epoch : int
    balanced : bool
        Whether all classes come equally often.
    """

    def __init__(
        self,
        stored: StoredImages,
        recipe: Recipe,
        *,
        batch: int,
        steps: int,
        seed: int,
        first_epoch: int = 0,
        balanced: bool = False,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self.stored = stored
        self.pool = _pool(stored.labels, balanced)
        self.recipe = recipe
        self.batch = batch
        self.steps = steps
        self.seed = seed
        self.epoch = first_epoch

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, number: int):
        first = (self.epoch * self.steps + number) * self.batch
        chosen = self._chosen(first)
        image = np.stack([self._augmented(case, first + n) for n, case in enumerate(chosen)])
        labels = self.stored.labels[chosen, np.newaxis]
        return image[:, 0] if image.shape[1] == 1 else image, labels

    def on_epoch_end(self) -> None:
        """Count the epoch, on which every batch depends."""
        self.epoch += 1

    def _chosen(self, first: int) -> np.ndarray:
        """Return which images make the batch that begins with the ``first`` one drawn."""
        turns, places = np.divmod(np.arange(first, first + self.batch), len(self.pool))
        orders = {turn: np.random.default_rng((self.seed, 0, turn)).permutation(self.pool)
                  for turn in set(turns.tolist())}  # fmt: skip
        drawn = zip(turns.tolist(), places.tolist(), strict=True)
        return np.array([orders[turn][place] for turn, place in drawn])

    def _augmented(self, chosen: int, index: int) -> np.ndarray:
        image = self.stored.images[chosen]  # (I, J, K, C)
        shape = image.shape[:3]
        rng = np.random.default_rng((self.seed, 1, index))
        unlabelled, centre = np.zeros(shape, np.uint8), np.asarray(shape) // 2
        return self.recipe.patch(image, unlabelled, centre, rng)[0]


def _pool(labels: np.ndarray, balanced: bool) -> np.ndarray:
    """Return the numbers of the images that make one pass."""
    if not balanced:
        return np.arange(len(labels))
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    most = max(map(len, classes))
    return np.concatenate([np.resize(members, most) for members in classes])


def _centre(case: StoredCase, patch: Patch, forced: bool, rng: np.random.Generator) -> np.ndarray:
    """Draw the voxel in the middle of a patch.

    A patch hangs over an edge only where the case is smaller, and then over both: half a patch
    of nothing around a label near the edge would be learned from for nothing.
    """
    size, half = np.asarray(case.classes.shape), np.asarray(patch) // 2
    low = np.minimum(half, size // 2)
    high = np.maximum(size - (np.asarray(patch) - half), low)
    if forced and case.foreground:
        voxels = case.foreground[int(rng.choice(sorted(case.foreground)))]
    elif case.labelled is not None and len(case.labelled):
        voxels = case.labelled
    else:
        return rng.integers(low, high + 1)
    return np.clip(voxels[rng.integers(len(voxels))], low, high)


def _thinned(truth: np.ndarray, scale: tuple[int, ...]) -> np.ndarray:
    """Return every ``scale``-th voxel of ``(B, ..., 1)``, taken from the middle of its group."""
    return truth[(slice(None), *(slice(step // 2, None, step) for step in scale))]
