"""A whole image at the one size that a classifier takes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medseg.errors import InputRefused
from medseg.geometry import Shape, axes_towards
from medseg.plan import Plan
from medseg.preparing.normalise import normalised
from medseg.preparing.prepare import network_grid, prepare
from medseg.preparing.resample import resampled
from medseg.volume import Volume


def prepare_whole(volume: Volume, plan: Plan) -> np.ndarray:
    """Return an image as a plan's classifier wants it; the same for training and prediction.

    Parameters
    ----------
    volume : Volume
        ``(I, J, K)`` or ``(I, J, K, C)`` in any orientation.
    plan : Plan
        With ``task: classify``. Under ``fit: exact`` and ``crop`` voxels come to its spacing,
        under ``resize`` the whole image is stretched onto its patch.

    Returns
    -------
    (I, J, K, C) float32 array
        Of the plan's patch, normalised before it is cut or padded; padding is 0.

    Raises
    ------
    InputRefused
        ``channels-differ``; ``size-differs``: under ``fit: exact``, the image has another size.
    """
    if plan.fit == "resize":
        return _stretched(volume, plan)
    grid = network_grid(volume.geometry, plan)
    if plan.fit == "exact" and grid.shape != plan.patch:
        raise InputRefused(
            "size-differs",
            f"The image has {_by(grid.shape)} voxels along {plan.orientation} at "
            f"{_by(plan.spacing)} mm, the model takes {_by(plan.patch)}",
            do="Give images of one size, or train with plan.fit: crop or resize",
        )
    return _centred(prepare(volume, plan).array, plan.patch)


def _stretched(volume: Volume, plan: Plan) -> np.ndarray:
    if volume.channels != len(plan.channels):
        raise channels_differ(volume, plan)
    turned = axes_towards(volume.geometry, plan.orientation).of_array(volume.array)
    planes = turned[..., np.newaxis] if turned.ndim == 3 else turned
    # blurred as much as scikit-image's resize does, lest fine texture turn into a coarse pattern
    shrunk = np.divide(planes.shape[:3], plan.patch)
    blurs = np.maximum(0, (shrunk - 1) / 2)
    channels = []
    for number, channel in enumerate(plan.channels):
        smooth = ndimage.gaussian_filter(planes[..., number], blurs, mode="nearest")
        channels.append(normalised(resampled(smooth, plan.patch), channel.normalisation))
    return np.stack(channels, axis=-1)  # (I, J, K, C)


def _centred(array: np.ndarray, patch: Shape) -> np.ndarray:
    """Cut or pad about the middle."""
    out = np.zeros((*patch, array.shape[3]), np.float32)
    source, target = [], []
    for have, want in zip(array.shape[:3], patch, strict=True):
        both = min(have, want)
        source.append(slice((have - both) // 2, (have - both) // 2 + both))
        target.append(slice((want - both) // 2, (want - both) // 2 + both))
    out[tuple(target)] = array[tuple(source)]
    return out


def channels_differ(volume: Volume, plan: Plan) -> InputRefused:
    """Return the refusal of an image with another number of channels than the plan."""
    return InputRefused(
        "channels-differ",
        f"The image has {volume.channels} channels, the model wants {len(plan.channels)}: "
        + ", ".join(channel.name for channel in plan.channels),
    )


def _by(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
