"""A whole plan: the data set measured, the machine measured, a config proposed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from medseg.datasets import Dataset
from medseg.planning.configuration import Configuration
from medseg.planning.describe import Choice, as_config
from medseg.planning.fingerprint import Fingerprint, fingerprint
from medseg.planning.propose import Proposal, Request, propose
from medseg.planning.speed import Speed, measure

ROUNDS = 4  # of measuring a network and proposing anew; two are usual

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is known before a training starts.

    Attributes
    ----------
    measured : Fingerprint
    proposal : Proposal
    speed : Speed or None
        Of the machine with the proposed network; None where it has no such device.
    config : dict
        A training config without its ``dataset``.
    choices : tuple of Choice
    """

    measured: Fingerprint
    proposal: Proposal
    speed: Speed | None
    config: dict[str, Any]
    choices: tuple[Choice, ...]


def plan_training(
    dataset: Dataset,
    request: Request,
    *,
    measurable: bool = True,
    progress: Progress = lambda stage, done, total: None,
) -> Planned:
    """Measure a data set and this machine, and propose a training.

    Parameters
    ----------
    dataset : Dataset
    request : Request
    measurable : bool
        Whether this machine has the device that the plan is for; always so for a CPU.
    progress : callable
        Called with a stage (``"measure cases"``, ``"measure speed"``), what is done of it and
        the total.

    Raises
    ------
    InputRefused
        ``dataset-unreadable``.
    PlanRefused
        As :func:`medseg.planning.propose`.
    """
    measured = fingerprint(dataset, lambda done, total: progress("measure cases", done, total))
    speed = None
    if measurable or request.device == "cpu":
        proposal, speed = _measured(measured, request, progress)
    else:
        proposal = propose(measured, request)
    config, choices = as_config(proposal, measured, speed)
    return Planned(measured, proposal, speed, config, choices)


def _measured(
    measured: Fingerprint, request: Request, progress: Progress
) -> tuple[Proposal, Speed]:
    """Propose for the speed of the network that was proposed before, until they agree."""
    # what a machine of any speed could do is tried first
    speed, tried = Speed(predicting=math.inf, training=math.inf), None
    for number in range(ROUNDS):
        progress("measure speed", number, ROUNDS)
        proposal = propose(measured, request, speed)
        chosen: Configuration = proposal.chosen
        if chosen == tried:
            break
        tried = chosen
        speed = measure(
            chosen.network, chosen.patch, chosen.batch, device=request.device,
            precision=request.precision, optimizer=request.optimizer,
        )  # fmt: skip
    progress("measure speed", ROUNDS, ROUNDS)
    return proposal, speed
