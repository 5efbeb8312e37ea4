"""Damaged files are read, or refused in one line; nothing else ever happens."""

from __future__ import annotations

import pytest

from tests.fuzz.good import GOOD
from tests.fuzz.run import examined, outcomes, summary


@pytest.mark.parametrize("name", GOOD)
def test_the_files_that_are_damaged_are_sound_before(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name]())
    result, problems = examined(tmp_path)
    assert result == ("colour" if name == "palette.dcm" else "read")
    assert problems == []


def check(count: int, seed: int) -> None:
    found = list(outcomes(count, seed))
    assert len(found) == count
    assert not [one for one in found if one.problem], summary(found)
    results = {one.result for one in found}
    assert {
        "read",
        "file-damaged",
        "file-truncated",
        "nifti-damaged",
        "geometry-missing",
    } <= results


def test_two_hundred_damaged_files():
    check(200, seed=3)


@pytest.mark.slow
def test_two_thousand_damaged_files():
    check(2000, seed=1)
