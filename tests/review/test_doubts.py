"""Which masks stand out, why, and in which order."""

import numpy as np
import pytest

from medseg.findings import Finding
from medseg.review.doubts import Measures, doubts_of, order
from medseg.review.measuring import _largest, _slice_axis, measured
from medseg.review.results import results_of


@pytest.fixture
def doubts(make_results):
    """Return a function from cases to the kinds of doubt about each, by name."""

    def doubts(cases, measures=None):
        found = results_of(make_results(cases)).cases
        measures = measures or [Measures()] * len(found)
        told = doubts_of(found, measures)
        return {case.name: [one.kind for one in mine]
                for case, mine in zip(found, told, strict=True)}  # fmt: skip

    return doubts


USUAL = {f"usual {n}": {} for n in range(9)}


def test_nothing_stands_out_among_equals(doubts):
    assert set(map(tuple, doubts(USUAL).values())) == {()}


def test_an_empty_mask_does_whatever_the_others_are(doubts):
    told = doubts({"empty": {"liver": slice(0)}, "full": {}})
    assert told == {"empty": ["empty"], "full": []}


@pytest.mark.parametrize("liver", [slice(1, 7), slice(3, 4)])
def test_a_volume_far_from_the_others_does(doubts, liver):
    told = doubts({**USUAL, "odd": {"liver": liver}})
    assert told.pop("odd") == ["volume"]
    assert set(map(tuple, told.values())) == {()}


def test_volumes_are_not_compared_in_small_runs_or_with_another_model(doubts):
    few = {name: {} for name in list(USUAL)[:7]}
    assert doubts({**few, "odd": {"liver": slice(1, 7)}})["odd"] == []


def test_volumes_are_not_compared_with_those_of_another_model(doubts):
    assert doubts({**USUAL, "odd": {"liver": slice(1, 7), "model": "other"}})["odd"] == []


def test_a_label_that_only_this_case_lacks_does(make_results):
    cases = results_of(make_results({**USUAL, "without": {}})).cases
    last = cases[-1].record
    lacking = last.model_copy(update={"volumes_ml": {**last.volumes_ml, "Lesion": 0.0}})
    cases = (*cases[:-1], type(cases[-1])(cases[-1].folder, lacking))
    told = doubts_of(cases, [Measures()] * len(cases))
    assert [one.words for one in told[-1]] == ["Lesion is absent; 9 of 9 other cases have it"]
    assert not any(told[:-1])


def test_warnings_do_and_notes_do_not(doubts):
    findings = (Finding("warning", "one-slice", "One slice"), Finding("info", "lossy", "Lossy"),
                Finding("warning", "modality-differs", "MOST LIKELY WRONG"))  # fmt: skip
    assert doubts({"a": {"findings": findings}}) == {"a": ["modality-differs", "one-slice"]}


def test_low_confidence_does(make_results):
    # p = 0.5 in every voxel of the mask and 0 outside: 2 * 0.5 n / (0.5 n + n) = 2/3
    results = results_of(make_results({"sure": {"share": 0.9}, "unsure": {"share": 0.5}}))
    measures = [measured(case) for case in results.cases]
    assert measures[1].confidence == pytest.approx({"Liver": 2 / 3, "Lesion": 2 / 3})
    told = doubts_of(results.cases, measures)
    assert told[0] == []
    assert [one.words for one in told[1]] == [
        "Liver: confidence only 0.67",
        "Lesion: confidence only 0.67",
    ]


def test_a_mask_at_the_border_does(doubts):
    told = doubts({"a": {}, "b": {}}, [Measures(), Measures(touching=("Liver",))])
    assert told == {"a": [], "b": ["border"]}


def test_the_most_doubtful_comes_first_then_the_least_sure_then_by_name(make_results):
    warning = Finding("warning", "one-slice", "One slice")
    cases = results_of(make_results({
        "d": {}, "c": {"share": 0.95}, "b": {"share": 0.85}, "e": {"findings": (warning,)}, "a": {},
        "z": {"liver": slice(0)}, "y": {"findings": (warning, warning)},
    })).cases  # fmt: skip
    measures = [measured(case) for case in cases]
    ordered = [cases[n].name for n in order(doubts_of(cases, measures), measures, cases)]
    assert ordered == ["z", "y", "e", "b", "c", "a", "d"]


def test_the_border_and_the_diameters_are_measured_on_the_mask(make_results):
    inside, edge = results_of(make_results({"a": {}, "b": {"liver": slice(0, 6)}})).cases
    assert measured(inside).touching == ()
    assert measured(edge).touching == ("Liver",)
    long, short = measured(inside).diameters_mm["Lesion"]
    assert (long, short) == pytest.approx((1, 1))


def test_diameters_are_those_of_the_largest_part():
    mask = np.zeros((20, 20, 5), bool)
    mask[1:6, 2, 2] = mask[18, 18, 2] = True
    assert np.flatnonzero(_largest(mask).any(axis=(1, 2))).tolist() == [1, 2, 3, 4, 5]


def test_diameters_lie_in_the_plane_of_the_slices():
    assert _slice_axis((1.0, 1.0, 1.0)) == 2
    assert _slice_axis((5.0, 1.0, 1.0)) == 0
    assert _slice_axis((1.0, 1.0, 5.0)) == 2
