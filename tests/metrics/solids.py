"""Masks of solids whose measures are known."""

import numpy as np


def block(shape, start, size):
    """A box of voxels."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = True
    return mask


def ball(shape, spacing, radius_mm, centre=None):
    """Voxels whose centre lies within a ball around the middle of the image or a given index."""
    return ellipsoid(shape, spacing, (radius_mm,) * len(shape), np.eye(len(shape)), centre)


def ellipsoid(shape, spacing, radii_mm, turn, centre=None):
    """Voxels whose centre lies in an ellipsoid; columns of ``turn`` are its axes."""
    middle = (np.array(shape) - 1) / 2 if centre is None else np.asarray(centre)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    away = (index - middle) * spacing @ turn / radii_mm
    return (away**2).sum(axis=-1) <= 1
