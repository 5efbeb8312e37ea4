import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medseg.evaluation.statistics import (
    bands,
    holm,
    mean_intervals,
    paired,
    ranking,
    signed_rank,
    summaries,
    summary,
)


@pytest.mark.parametrize("cases", [8, 40, 200])
def test_the_interval_of_a_mean_is_scipys_bca(cases):
    values = np.random.default_rng(cases).beta(8, 2, cases)
    low, high = mean_intervals(values[:, None], np.arange(cases))
    theirs = stats.bootstrap((values,), np.mean, n_resamples=99_999, method="BCa",
                             rng=np.random.default_rng(1)).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert low[0] == pytest.approx(theirs.low, abs=0.03 * width)
    assert high[0] == pytest.approx(theirs.high, abs=0.03 * width)


def test_patients_are_resampled_not_their_scans():
    # ten scans of each of six patients, all of a patient alike: six numbers, not sixty
    of_patient = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    values, whose = np.repeat(of_patient, 10), [f"p{n}" for n in range(6) for _ in range(10)]
    together, apart = summary(values, whose), summary(values)
    alone = summary(of_patient)
    assert (together.cases, together.patients) == (60, 6)
    assert together.low == pytest.approx(alone.low, abs=0.01)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_a_patient_with_more_scans_weighs_more():
    found = summary(np.array([1.0, 1.0, 1.0, 0.0]), ["a", "a", "a", "b"])
    assert found.mean == 0.75


def test_nan_is_not_counted_and_the_number_is_told():
    found = summary(np.array([0.2, np.nan, 0.4, 0.9]))
    assert (found.cases, found.mean, found.median) == (3, pytest.approx(0.5), 0.4)
    assert summary(np.array([np.nan, np.nan])).cases == 0


def test_equal_values_have_an_interval_of_no_width():
    found = summary(np.full(5, 0.7))
    assert (found.low, found.high) == (0.7, 0.7)


def test_one_patient_or_an_infinite_distance_has_no_interval():
    one = summary(np.array([0.5, 0.6]), ["a", "a"])
    assert np.isnan(one.low)
    endless = summary(np.array([1.0, np.inf, 2.0]))
    assert endless.mean == np.inf
    assert np.isnan(endless.high)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_an_interval_holds_between_the_extremes(values):
    low, high = mean_intervals(np.array(values)[:, None], np.arange(len(values)), resamples=499)
    assert min(values) - 1e-9 <= low[0] <= high[0] <= max(values) + 1e-9


def test_scores_that_count_in_different_cases_are_summarised_apart():
    scores = {"a": np.array([1.0, 2.0, np.nan]), "b": np.array([np.nan, 2.0, 4.0])}
    found = summaries(scores)
    assert found["a"] == summary(scores["a"])
    assert found["b"] == summary(scores["b"])


def test_the_paired_test_is_scipys_with_pratts_zeros():
    rng = np.random.default_rng(3)
    gain = np.round(rng.normal(0.05, 0.1, 25), 1)  # with zeros and ties
    assert (gain == 0).any()
    theirs = stats.wilcoxon(gain, zero_method="pratt").pvalue
    found = paired(np.zeros(25), gain)
    assert found.p == pytest.approx(theirs)
    assert (found.wins, found.ties, found.losses) == (
        (gain > 0).sum(), (gain == 0).sum(), (gain < 0).sum(),
    )  # fmt: skip
    assert found.difference == pytest.approx(gain.mean())
    assert found.low < found.difference < found.high


def test_less_is_better_for_distances():
    found = paired(np.array([5.0, 4.0]), np.array([1.0, 6.0]), higher_is_better=False)
    assert (found.wins, found.losses, found.difference) == (1, 1, -1.0)


def test_models_that_never_differ_are_not_told_apart():
    assert signed_rank(np.zeros(9)) == 1.0
    assert paired(np.ones(4), np.ones(4)).p == 1.0


def test_a_patients_scans_are_one_pair_to_the_test():
    first, second = np.zeros(12), np.repeat([0.1, 0.2, 0.3], 4)
    found = paired(first, second, [f"p{n // 4}" for n in range(12)])
    assert found.patients == 3
    assert found.p == pytest.approx(stats.wilcoxon([0.1, 0.2, 0.3]).pvalue)


def test_two_infinite_distances_are_equal():
    found = paired(np.array([np.inf, 1.0, 2.0]), np.array([np.inf, 2.0, 3.0]))
    assert found.ties == 1
    assert found.difference == pytest.approx(2 / 3)


def test_holm_by_hand():
    # smallest times 4, then 3, 2, 1, never falling: 0.004, 0.03, 0.06 (0.05 raised), 0.06
    assert holm([0.05, 0.001, 0.03, 0.01]) == pytest.approx([0.06, 0.004, 0.06, 0.03])
    assert np.isnan(holm([float("nan"), 0.2])[0])
    assert holm([float("nan"), 0.2])[1] == 0.2


def test_the_two_ways_of_ranking_can_disagree():
    # the first model is best in most cases and fails badly in one
    scores = np.array([[0.9, 0.8], [0.9, 0.8], [0.9, 0.8], [0.0, 0.8]])
    found = ranking(scores)
    assert [rank.of_mean for rank in found.ranks] == [2, 1]
    assert [rank.of_ranks for rank in found.ranks] == [1, 2]
    assert [rank.mean_rank for rank in found.ranks] == [1.25, 1.75]
    assert found.tau == pytest.approx(-1)


def test_equal_models_share_their_place():
    found = ranking(np.array([[0.5, 0.5, 0.1], [0.7, 0.7, 0.1]]))
    assert [rank.of_mean for rank in found.ranks] == [1.5, 1.5, 3]


def test_distances_rank_the_other_way_and_a_clear_order_is_sure():
    found = ranking(np.array([[1.0, 9.0], [2.0, 8.0], [1.0, 7.0]]), higher_is_better=False)
    assert [(rank.of_mean, rank.low, rank.high) for rank in found.ranks] == [(1, 1, 1), (2, 2, 2)]


def test_many_numbers_become_quarters_and_words_stay():
    ages = [str(age) for age in range(20, 60)]
    groups = bands([*ages, ""])
    assert sorted(set(groups)) == ["20 to 29", "30 to 39", "40 to 49", "50 to 59", "not given"]
    assert bands(["A", "B", "A"]) == ["A", "B", "A"]
