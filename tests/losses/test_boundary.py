"""Distances to the boundary against SciPy's, and the loss that they make."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from medseg.losses import loss
from medseg.losses.boundary import signed_distance
from tests.losses.factory import make_pair, plain


def distances(inside, known, spacing, radius):
    """Return the signed distances of one mask, by SciPy."""
    outside = ~inside & known
    if not inside.any() or not outside.any():
        return np.zeros(inside.shape)
    away = np.minimum(distance_transform_edt(~inside, spacing), radius)
    deep = np.minimum(distance_transform_edt(~outside, spacing), radius) - min(spacing)
    return away - np.maximum(deep, 0) * inside


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from([0.003, 0.05, 0.5]),
    spacing=st.tuples(*[st.sampled_from([0.7, 1.0, 2.5])] * 3),
    radius=st.sampled_from([1.0, 3.5, 9.0]),
)
def test_distances_are_exact_up_to_the_radius(seed, share, spacing, radius):
    rng = np.random.default_rng(seed)
    inside = rng.random((7, 9, 8)) < share
    known = rng.random(inside.shape) < 0.9
    inside &= known
    found = signed_distance(
        inside[np.newaxis, ..., np.newaxis].astype(np.float32),
        known[np.newaxis, ..., np.newaxis].astype(np.float32), spacing, radius,
    )  # fmt: skip
    expected = distances(inside, known, spacing, radius)
    np.testing.assert_allclose(np.asarray(found)[0, ..., 0], expected, atol=1e-4)


def test_the_loss_is_the_mean_of_probability_times_distance():
    truth, logits = make_pair(shape=(2, 9, 10), ignored=0.1)
    _, probability, known = plain(truth, logits)
    costs = []
    for sample in range(2):
        there = known[sample].reshape(9, 10)
        for number in (1, 2):
            far = distances(truth[sample, ..., 0] == number, there, (2.0, 1.0), 5.0)
            costs.append((far * probability[sample, :, number].reshape(9, 10))[there])
    found = float(loss("boundary", radius=5.0, spacing=(2, 1))(truth, logits))
    assert found == pytest.approx(np.concatenate(costs).mean(), abs=1e-5)


def test_spacing_of_another_number_of_axes_is_refused():
    truth, logits = make_pair(shape=(1, 4, 4))
    with pytest.raises(ValueError, match="spacing needs 2 numbers; received 3"):
        loss("boundary", spacing=(1, 1, 1))(truth, logits)
