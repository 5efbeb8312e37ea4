"""Dice against numbers computed by hand."""

import math

import numpy as np
import pytest

from medseg.metrics import dice


def test_dice_of_overlapping_blocks_is_their_shared_part():
    truth, predicted = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    truth[:2], predicted[1:3] = True, True  # 32 voxels each, 16 shared
    assert dice(truth, predicted) == pytest.approx(0.5)


def test_dice_of_a_miss_is_zero_and_of_two_empty_masks_is_nan():
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert dice(full, empty) == dice(empty, full) == 0
    assert math.isnan(dice(empty, empty))


def test_dice_refuses_label_maps_and_other_grids():
    with pytest.raises(TypeError, match="must be bool"):
        dice(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(ValueError, match="different grids"):
        dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool))
