"""A reader's judgement of results: the page to judge them on, and what follows from it."""

from medseg.review.applying import Applied, apply
from medseg.review.decisions import Decision, Decisions
from medseg.review.worksheet import Worksheet, worksheet

__all__ = ["Applied", "Decision", "Decisions", "Worksheet", "apply", "worksheet"]
