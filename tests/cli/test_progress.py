"""The lines of progress that a log gets."""

import time

import pytest

from medseg.cli.progress import LINE_SECONDS, Report


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves by hand."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_time_left_is_by_the_pace_of_the_stage_since_it_was_first_heard_of(clock, capsys):
    report = Report()
    report.show("Preparing", 1, 2)
    clock[0] += 3600  # an hour of preparing says nothing of training
    report.show("Training", 1200, 2400, "s, step 100")  # resumed half way
    clock[0] += 60
    report.show("Training", 1260, 2400, "s, step 105")
    assert capsys.readouterr().err.splitlines() == [
        "Training 1200/2400 s, step 100",
        "Training 1260/2400 s, step 105, about 19 min left",
    ]


def test_lines_are_far_between_and_need_no_note(clock, capsys):
    report = Report()
    for second in range(int(3 * LINE_SECONDS)):
        report.show("Scanning", second, 3600)
        clock[0] += 1
    assert capsys.readouterr().err.splitlines() == [
        "Scanning 30/3600, about 60 min left",
        "Scanning 60/3600, about 59 min left",
    ]
