"""Cross-entropy: plain, focused on what is uncertain, and of the hardest voxels alone."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from medseg.losses.comparison import compared, mean_of_known

SMALL = 1e-7  # keeps a power below 1 from an infinite slope at 0


@keras.saving.register_keras_serializable("medseg")
class CrossEntropy(keras.losses.Loss):
    """Mean cross-entropy of known voxels, background included; of regions, binary.

    Classifiers too: truth ``(B, 1)`` and logits ``(B, C)``.
    """

    def call(self, y_true, y_pred):
        comparison = compared(y_true, y_pred)
        return mean_of_known(comparison.entropy(), comparison.known)


@keras.saving.register_keras_serializable("medseg")
class Focal(keras.losses.Loss):
    """Cross-entropy in which what is right already counts little (Lin et al., ICCV 2017, eq. 5).

    The entropy of a voxel is multiplied by ``(1 - p) ** gamma``, where p is the probability of
    its truth.

    Parameters
    ----------
    gamma : float
        0 gives cross-entropy.
    alpha : sequence of float, optional
        Classes: the weight of each, background first. Regions: the weight of the voxels inside
        each, and one minus it of those outside. All 1 when left out.
    """

    def __init__(
        self, *, gamma: float = 2.0, alpha: Sequence[float] | None = None, **kwargs
    ) -> None:
        if gamma < 0:
            raise ValueError(f"gamma must not be negative; received {gamma}")
        super().__init__(**kwargs)
        self.gamma, self.alpha = gamma, None if alpha is None else [float(a) for a in alpha]

    def call(self, y_true, y_pred):
        comparison = compared(y_true, y_pred)
        entropy = comparison.entropy()
        doubt = ops.maximum(-ops.expm1(-entropy), SMALL)  # 1 - p
        focused = ops.power(doubt, self.gamma) * entropy * self._weights(comparison)
        return mean_of_known(focused, comparison.known)

    def _weights(self, comparison):
        if self.alpha is None:
            return 1.0
        if len(self.alpha) != comparison.truth.shape[-1]:
            raise ValueError(f"alpha needs {comparison.truth.shape[-1]} entries; "
                             f"received {len(self.alpha)}")  # fmt: skip
        alpha, truth = ops.convert_to_tensor(self.alpha, "float32"), comparison.truth
        if comparison.exclusive:
            return ops.sum(truth * alpha, axis=-1, keepdims=True)
        return truth * alpha + (1 - truth) * (1 - alpha)

    def get_config(self) -> dict:
        return {**super().get_config(), "gamma": self.gamma, "alpha": self.alpha}


@keras.saving.register_keras_serializable("medseg")
class TopKCrossEntropy(keras.losses.Loss):
    """Mean cross-entropy of the k hardest voxels of each sample (Wu et al. 2016).

    Parameters
    ----------
    share : float
        Of the known voxels (of regions: of voxels times regions); one at least. nnU-Net's top-k
        losses take a tenth.
    """

    def __init__(self, *, share: float = 0.1, **kwargs) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must lie above 0 and not above 1; received {share}")
        super().__init__(**kwargs)
        self.share = share

    def call(self, y_true, y_pred):
        comparison = compared(y_true, y_pred)
        entropy, known = (ops.reshape(values, (ops.shape(values)[0], -1))
                          for values in (comparison.entropy(), comparison.known))  # fmt: skip
        ranked = ops.sort(ops.where(known > 0, entropy, -1.0), axis=1)  # (B, N), hardest last
        count = ops.sum(known, axis=1, keepdims=True)
        kept = ops.maximum(ops.round(self.share * count), ops.minimum(count, 1.0))  # (B, 1)
        size = ops.shape(ranked)[1]
        chosen = ops.arange(size, dtype="int32") >= size - ops.cast(kept, "int32")
        hardest = ops.sum(ops.where(chosen, ranked, 0.0), axis=1)
        return hardest / ops.maximum(kept[:, 0], 1.0)

    def get_config(self) -> dict:
        return {**super().get_config(), "share": self.share}
