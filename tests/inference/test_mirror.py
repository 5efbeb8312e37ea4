"""Test-time mirroring: means over mirrored tiles, left and right in each other's place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import EngineFailed
from medseg.geometry import Geometry
from medseg.inference import Segmenter
from medseg.inference.mirror import channel_order, mirrored
from medseg.labels import Label, LabelSet
from medseg.models import ModelPackage
from medseg.plan import Channel, Network, Plan
from medseg.volume import Volume

EYES = LabelSet((Label(2, "Nose"), Label(4, "Left eye"), Label(7, "Right eye")))


def make_plan(patch=(6, 8, 4), orientation="RAS", axes=(0, 1, 2), swap=((4, 7),)):
    return Plan(spacing=(1, 1, 1), channels=(Channel(name="T1"),), patch=patch, swap=swap,
                orientation=orientation, mirror_axes=axes, labels=EYES,
                network=Network(name="unet"))  # fmt: skip


class ByHalf:
    """An engine that calls what is bright a left or a right eye by the half it lies in."""

    name, precision, device, versions = "by half", "f32", "cpu", {"made up": "1"}

    def __init__(self, axis):
        self.axis, self.calls = axis, 0

    def __call__(self, tiles):
        self.calls += 1
        size = tiles.shape[self.axis]
        half = (np.arange(size) < size // 2).reshape(
            [-1 if n == self.axis else 1 for n in range(tiles.ndim)]
        )
        return np.concatenate([0 * tiles + 0.5, 0 * tiles, tiles * half, tiles * ~half], axis=-1)


@pytest.mark.parametrize(
    ("patch", "orientation", "axis"),
    [((6, 8, 4), "RAS", 1), ((6, 8, 4), "SAL", 3), ((1, 8, 6), "SAR", 2), ((1, 8, 6), "SLA", 1)],
)
def test_an_engine_that_tells_sides_apart_is_not_confused_by_mirrors(patch, orientation, axis):
    # Fails when channels are not swapped: both eyes would then be the mean of both.
    spatial = patch[1:] if patch[0] == 1 else patch
    tile = np.random.default_rng(0).normal(size=(1, *spatial, 1)).astype(np.float32)
    engine = ByHalf(axis)
    found = mirrored(engine, make_plan(patch, orientation))(tile)
    np.testing.assert_allclose(found, ByHalf(axis)(tile), atol=1e-6)
    assert engine.calls == 2 ** len(spatial)


def test_logits_are_the_mean_over_all_mirrorings_of_the_axes_of_the_plan():
    weights = np.random.default_rng(1).normal(size=(6, 8, 4, 4)).astype(np.float32)
    tile = np.random.default_rng(2).normal(size=(1, 6, 8, 4, 1)).astype(np.float32)
    found = mirrored(lambda tiles: tiles * weights, make_plan(axes=(1, 2), swap=()))(tile)
    flips = [(), (2,), (3,), (2, 3)]
    expected = np.mean([np.flip(np.flip(tile, some) * weights, some) for some in flips], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(st.permutations(range(6)), st.integers(0, 3))
def test_swapping_channels_twice_changes_nothing(values, pairs):
    swap = [(values[2 * n], values[2 * n + 1]) for n in range(min(pairs, 3))]
    order = channel_order([frozenset({n}) for n in range(6)], swap)
    assert [order[n] for n in order] == list(range(6))


def test_regions_become_the_regions_of_the_other_side():
    channels = [frozenset({1, 3}), frozenset({2, 4}), frozenset({1, 2, 3, 4})]
    assert channel_order(channels, [(1, 2), (3, 4)]) == [1, 0, 2]


@pytest.fixture
def make_segmenter(make_card):
    def make(engine, **plan):
        package = ModelPackage(None, "tiny", "1", make_plan(**plan), make_card(), "f" * 64, {}, {})
        return Segmenter(package, engine)

    return make


def make_volume(shape=(6, 8, 4)):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Volume(array, Geometry(shape, np.eye(4)), "MR")


def test_predict_mirrors_when_asked_and_says_so(make_segmenter):
    straight, asked = ByHalf(1), ByHalf(1)
    plain = make_segmenter(straight).predict(make_volume())
    result = make_segmenter(asked).predict(make_volume(), mirror=True)
    assert (straight.calls, asked.calls) == (1, 8)
    assert np.array_equal(plain.labels.array, result.labels.array)
    assert plain.findings == ()
    (finding,) = result.findings
    assert (finding.level, finding.code) == ("info", "mirrored")
    assert "mean of 8 mirrored ones (axes R A S)" in finding.words


def test_a_model_trained_without_mirrors_is_asked_once_and_it_is_said(make_segmenter):
    engine = ByHalf(1)
    result = make_segmenter(engine, axes=(), swap=()).predict(make_volume(), mirror=True)
    assert engine.calls == 1
    assert "without mirroring" in result.findings[0].words


def test_a_network_that_gives_nan_in_a_mirror_is_found_out(make_segmenter):
    class Broken(ByHalf):
        def __call__(self, tiles):
            return super().__call__(tiles) * (np.nan if self.calls == 3 else 1)

    with pytest.raises(EngineFailed) as failure:
        make_segmenter(Broken(1)).predict(make_volume(), mirror=True)
    assert failure.value.code == "logits-not-finite"
