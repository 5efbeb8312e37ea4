import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import EngineFailed
from medseg.inference import gaussian_weights, memory_needed, predict, tile_starts

shapes = st.tuples(*[st.integers(1, 23)] * 3)
patches = st.tuples(st.integers(1, 9), st.integers(2, 9), st.integers(2, 9))


def one_hot(tiles):
    """Stand in for a network that knows the answer: the image holds it."""
    return np.eye(4, dtype=np.float32)[tiles[..., 0].astype(int)]


@settings(deadline=None)
@given(shapes, patches, st.sampled_from([0.25, 0.5, 1.0]))
def test_tiles_cover_every_voxel_and_stay_inside(shape, patch, step):
    seen = np.zeros(shape, bool)
    for start in tile_starts(shape, patch, step):
        ends = [s + min(p, n) for s, p, n in zip(start, patch, shape, strict=True)]
        assert all(end <= n for end, n in zip(ends, shape, strict=True))
        seen[tuple(slice(s, e) for s, e in zip(start, ends, strict=True))] = True
    assert seen.all()


@pytest.mark.parametrize(
    ("size", "side", "starts"),
    [
        # nnU-Net 2.8.1, compute_steps_for_sliding_window((size,), (side,), 0.5)
        (110, 64, [0, 23, 46]),
        (64, 64, [0]),
        (65, 64, [0, 1]),
        (200, 128, [0, 36, 72]),
        (131, 64, [0, 22, 45, 67]),
        (30, 64, [0]),
    ],
)
def test_starts_are_those_of_nnunet(size, side, starts):
    assert [start[2] for start in tile_starts((1, 1, size), (1, 1, side))] == starts


def test_each_slice_is_one_tile_of_a_2d_network():
    assert len(tile_starts((7, 16, 16), (1, 16, 16))) == 7


def test_weights_are_a_gaussian_of_an_eighth_of_the_side():
    weights = gaussian_weights((1, 9, 17))
    assert weights.dtype == np.float32
    assert weights.max() == weights[0, 4, 8] == 1
    # one deviation, 17 / 8 voxels, from the centre: two whole voxels are a little less
    assert weights[0, 4, 10] == pytest.approx(math.exp(-0.5 * (2 * 8 / 17) ** 2))
    np.testing.assert_array_equal(weights, weights[:, ::-1, ::-1])
    assert weights.min() > 0


@settings(deadline=None)
@given(shapes, patches)
def test_a_constant_network_gives_a_constant_image(shape, patch):
    # Fails when weights are not divided out or a voxel is counted twice.
    logits = predict(
        lambda tiles: np.broadcast_to(np.float32([-7, 0, 3.5]), (*tiles.shape[:-1], 3)),
        np.ones((*shape, 1), np.float32),
        patch,
    )
    assert logits.shape == (3, *shape)
    assert logits.dtype == np.float32
    for value, plane in zip([-7, 0, 3.5], logits, strict=True):
        np.testing.assert_allclose(plane, value, rtol=1e-5)


@settings(deadline=None)
@given(shapes, patches, st.integers(0, 2**32 - 1))
def test_a_network_that_knows_the_labels_gives_them_back(shape, patch, seed):
    # Fails when a tile lands in another place than it was cut from.
    labels = np.random.default_rng(seed).integers(0, 4, shape)
    logits = predict(one_hot, labels[..., np.newaxis].astype(np.float32), patch)
    np.testing.assert_array_equal(logits.argmax(axis=0), labels)


def test_a_network_sees_tiles_of_its_patch_only_and_every_channel():
    seen = []

    def engine(tiles):
        seen.append((tiles.shape, tiles.dtype, tiles.flags.c_contiguous))
        return tiles

    image = np.random.default_rng(0).normal(size=(5, 20, 9, 2)).astype(np.float32)
    logits = predict(engine, image, (8, 8, 8))
    assert set(seen) == {((1, 8, 8, 8, 2), np.dtype(np.float32), True)}
    np.testing.assert_allclose(np.moveaxis(logits, 0, -1), image, atol=1e-5)


def test_a_2d_network_gets_slices_without_the_third_axis():
    seen = set()
    predict(lambda t: seen.add(t.shape) or t, np.zeros((3, 10, 6, 1), np.float32), (1, 8, 8))
    assert seen == {(1, 8, 8, 1)}


def test_padding_is_zero_on_both_sides():
    seen = []
    predict(lambda t: seen.append(t.copy()) or t, np.ones((2, 4, 1, 1), np.float32), (4, 4, 4))
    assert len(seen) == 1
    np.testing.assert_array_equal(np.flatnonzero(seen[0][0, :, 0, 1, 0]), [1, 2])
    assert seen[0].sum() == 2 * 4 * 1


def test_the_middle_of_a_tile_counts_more_than_its_border():
    # Two tiles of 8 over 12 voxels say 0 and 1: voxel 4 is the border of the second.
    answers = iter([0.0, 1.0])
    logits = predict(
        lambda t: np.full(t.shape, next(answers), np.float32), np.zeros((8, 8, 12, 1)), (8, 8, 8)
    )
    row = logits[0, 4, 4]
    assert row[4] < 0.1 < 0.9 < row[7]
    np.testing.assert_allclose(row[5] + row[6], 1, rtol=1e-5)


def test_progress_counts_every_tile():
    counted = []
    predict(lambda t: t, np.zeros((8, 8, 20, 1), np.float32), (8, 8, 8),
            progress=lambda done, total: counted.append((done, total)))  # fmt: skip
    assert counted == [(n, 4) for n in range(1, 5)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_no_number_fails(bad):
    with pytest.raises(EngineFailed) as failure:
        predict(lambda t: t + bad, np.zeros((8, 8, 9, 1), np.float32), (8, 8, 8))
    assert failure.value.code == "logits-not-finite"
    assert "f32" in failure.value.do


def test_logits_of_another_grid_fail():
    with pytest.raises(EngineFailed) as failure:
        predict(lambda t: t[:, ::2], np.zeros((8, 8, 8, 1), np.float32), (8, 8, 8))
    assert failure.value.code == "logits-shape"


def test_memory_is_within_what_was_said():
    import tracemalloc

    image, patch = np.zeros((40, 60, 50, 1), np.float32), (16, 16, 16)
    logits = np.zeros((1, 16, 16, 16, 5), np.float32)
    tracemalloc.start()
    predict(lambda _: logits, image, patch)
    peak = tracemalloc.get_traced_memory()[1] + image.nbytes
    tracemalloc.stop()
    said = memory_needed(image.shape[:3], patch, channels=1, classes=5)
    assert 0.9 * said < peak <= said


@pytest.mark.parametrize("shape", [(4, 5, 6), (9, 12, 10)])
def test_several_networks_give_their_mean(shape):
    array = np.random.default_rng(0).normal(size=(*shape, 1)).astype(np.float32)
    counted = []
    engines = (lambda tiles, n=n: np.concatenate([tiles, n * tiles], -1) for n in (1, 2, 6))
    found = predict(engines, array, (4, 6, 6), progress=lambda *told: counted.append(told))
    np.testing.assert_allclose(found[0], array[..., 0], atol=1e-5)
    np.testing.assert_allclose(found[1], 3 * array[..., 0], atol=1e-5)
    assert counted == 3 * [(n, len(counted) // 3) for n in range(1, len(counted) // 3 + 1)]


def test_networks_of_different_outputs_are_no_ensemble():
    engines = [lambda tiles: tiles, lambda tiles: np.concatenate([tiles, tiles], axis=-1)]
    with pytest.raises(EngineFailed, match="gave 2 classes, the first 1"):
        predict(engines, np.zeros((4, 4, 4, 1), np.float32), (4, 4, 4))
