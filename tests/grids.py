"""Strategies for grids as scanners, converters and people make them."""

import numpy as np
from hypothesis import strategies as st

from medseg.geometry import Geometry

spacings = st.tuples(*[st.floats(0.3, 8.0)] * 3)
small_shapes = st.tuples(*[st.integers(1, 12)] * 3)


@st.composite
def geometries(draw, shapes=small_shapes, sheared=True):
    """Any orientation, either handedness, anisotropic, off centre, and sheared if allowed."""
    turn, _ = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 2**32))).normal(size=(3, 3)))
    shear = np.eye(3)
    if sheared:
        shear[0, 2], shear[1, 2] = draw(st.tuples(*[st.floats(-0.4, 0.4)] * 2))
    affine = np.eye(4)
    affine[:3, :3] = turn @ shear * draw(spacings)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return Geometry(draw(shapes), affine)
