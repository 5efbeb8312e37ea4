"""Dice of centre lines, for vessels, airways and other tubes that must not break."""

from __future__ import annotations

import keras
from keras import ops

from medseg.losses.comparison import Tensor, compared, voxel_sum


@keras.saving.register_keras_serializable("medseg")
class CentrelineDice(keras.losses.Loss):
    """One minus clDice of each foreground class or region (Shit et al., CVPR 2021).

    The harmonic mean of how much of the predicted centre line lies in the truth and how much of
    the true one in the prediction. Centre lines are soft, by pooling (the paper's algorithm 1).
    The paper adds it to soft Dice: see :class:`medseg.losses.weighted.WeightedSum`.

    Parameters
    ----------
    iterations : int
        Erosions: the largest radius of a tube in voxels.
    smooth : float
        Added to numerators and denominators, in voxels.
    """

    def __init__(self, *, iterations: int = 5, smooth: float = 1.0, **kwargs) -> None:
        if iterations < 1:
            raise ValueError(f"iterations must be 1 or more; received {iterations}")
        super().__init__(**kwargs)
        self.iterations, self.smooth = iterations, smooth

    def call(self, y_true, y_pred):
        truth, probability = compared(y_true, y_pred).foreground()
        precision = self._share(skeleton(probability, self.iterations), truth)
        sensitivity = self._share(skeleton(truth, self.iterations), probability)
        both = 2 * precision * sensitivity / (precision + sensitivity)  # (B, C - 1)
        return 1 - ops.mean(both, axis=-1)

    def _share(self, line: Tensor, body: Tensor) -> Tensor:
        """Return how much of a line lies in a body, above 0."""
        return (voxel_sum(line * body) + self.smooth) / (voxel_sum(line) + self.smooth)

    def get_config(self) -> dict:
        return {**super().get_config(), "iterations": self.iterations, "smooth": self.smooth}


def skeleton(body: Tensor, iterations: int) -> Tensor:
    """Return the soft centre line of a soft body ``(B, ..., C)``: what openings take away."""
    line = ops.relu(body - _opened(body))
    for _ in range(iterations):
        body = _eroded(body)
        lost = ops.relu(body - _opened(body))
        line = line + ops.relu(lost - line * lost)
    return line


def _opened(body: Tensor) -> Tensor:
    return _pooled(_eroded(body), (3,) * (len(body.shape) - 2))


def _eroded(body: Tensor) -> Tensor:
    """Return the least value of each voxel and its neighbours along the axes."""
    rank = len(body.shape) - 2
    crosses = [
        -_pooled(-body, tuple(3 if n == axis else 1 for n in range(rank))) for axis in range(rank)
    ]
    least = crosses[0]
    for other in crosses[1:]:
        least = ops.minimum(least, other)
    return least


def _pooled(values: Tensor, size: tuple[int, ...]) -> Tensor:
    return ops.max_pool(values, size, strides=1, padding="same", data_format="channels_last")
