"""A scan on the grid and with the intensities that a plan asks for."""

from __future__ import annotations

import numpy as np

from medseg.errors import InputRefused
from medseg.geometry import Geometry, axes_towards, rescaled
from medseg.plan import Plan
from medseg.preparing.normalise import normalised
from medseg.preparing.resample import resampled
from medseg.preparing.restore import moved
from medseg.volume import LabelMap, Volume


def network_grid(geometry: Geometry, plan: Plan) -> Geometry:
    """Return the grid on which a plan's network sees a scan.

    Axes are reordered to the plan's orientation and voxels scaled to its spacing; the box
    stays the same. Oblique and sheared grids are neither rotated nor straightened.
    """
    return rescaled(axes_towards(geometry, plan.orientation).of_geometry(geometry), plan.spacing)


def prepare(volume: Volume, plan: Plan) -> Volume:
    """Return a scan as the plan's network wants it; the same for training and prediction.

    Parameters
    ----------
    volume : Volume
        ``(I, J, K)`` or ``(I, J, K, C)`` in any orientation.
    plan : Plan
        Its channels are matched by position.

    Returns
    -------
    Volume
        ``(I', J', K', C)`` float32 on :func:`network_grid`, each channel reordered, resampled
        and then normalised.

    Raises
    ------
    InputRefused
        ``channels-differ``: the scan has another number of channels than the plan.
    """
    if volume.channels != len(plan.channels):
        raise InputRefused(
            "channels-differ",
            f"The scan has {volume.channels} channels, the model wants {len(plan.channels)}: "
            + ", ".join(channel.name for channel in plan.channels),
        )
    grid = network_grid(volume.geometry, plan)
    turned = axes_towards(volume.geometry, plan.orientation).of_array(volume.array)
    planes = [turned] if turned.ndim == 3 else [turned[..., c] for c in range(turned.shape[3])]
    array = np.empty((*grid.shape, len(planes)), np.float32)
    for number, (plane, channel) in enumerate(zip(planes, plan.channels, strict=True)):
        array[..., number] = normalised(resampled(plane, grid.shape), channel.normalisation)
    return volume.moved(array, grid)


def prepare_labels(labels: LabelMap, plan: Plan) -> LabelMap:
    """Return a label map on the plan's grid; each voxel takes the label at its own centre."""
    return moved(labels, network_grid(labels.geometry, plan))
