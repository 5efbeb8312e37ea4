"""What is said of held-out cases: means over the cases that hold a label, patients resampled."""

import math

import numpy as np
import pytest

from medseg.training.validate import Score, measurement


def scores(table, labels=("A", "B")):
    return [Score(f"case {row}", label, value) for row, values in enumerate(table)
            for label, value in zip(labels, values, strict=True)]  # fmt: skip


def test_a_label_counts_in_the_cases_that_hold_it():
    found = measurement("made up", scores([(0.5, 0.9), (0.7, math.nan), (0.9, 0.7)]), {})
    assert found.figures == pytest.approx(
        {"Dice, A": 0.7, "Dice, B": 0.8, "Dice, mean of labels": 0.75}
    )
    assert set(found.intervals) == {"Dice, A", "Dice, B"}  # of their mean, nothing simple holds


def test_the_interval_of_many_cases_is_that_of_their_mean():
    values = np.random.default_rng(0).normal(0.8, 0.05, 100)
    found = measurement("made up", scores(values[:, None], ("A",)), {})
    low, high = found.intervals["Dice, A"]
    half = 1.96 * values.std() / 10  # of a normal mean
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=2e-3)
    assert found.intervals["Dice, mean of labels"] == (low, high)


def test_cases_of_one_patient_are_resampled_together():
    table = [(value,) for value in np.random.default_rng(0).normal(0.8, 0.05, 40)]
    alone = measurement("made up", scores(table, ("A",)), {})
    pairs = measurement("made up", scores([*table, *table], ("A",)),
                        {f"case {n}": f"patient {n % 40}" for n in range(80)})  # fmt: skip
    assert pairs.intervals["Dice, A"] == pytest.approx(alone.intervals["Dice, A"], abs=2e-3)


def test_one_patient_has_no_interval_and_empty_masks_have_no_figures():
    assert measurement("made up", scores([(0.5, 0.9)]), {}).intervals == {}
    assert measurement("made up", scores([(math.nan, math.nan)]), {}) is None
