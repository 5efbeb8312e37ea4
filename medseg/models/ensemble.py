"""One package of several: the networks whose predictions are averaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from medseg.errors import ModelRefused
from medseg.models.card import Card, Measurement
from medseg.models.container import RECORD
from medseg.models.package import ModelPackage, write_package
from medseg.models.postprocessing import Evidence, Step
from medseg.models.shipped import find
from medseg.plan import Plan

T = TypeVar("T")

UNMEASURED = (
    "An ensemble: its networks were measured one by one, each on cases that others of them may "
    "have learned from. The average itself was not measured on unseen cases."
)


def member(place: str | Path) -> ModelPackage:
    """Open a package by name or place, or the ``model`` in the folder of a training.

    Raises
    ------
    ModelRefused
        As :func:`medseg.models.find`.
    """
    of_run = Path(place) / "model"
    return find(of_run if (of_run / RECORD).is_file() else place)


def ensembled(
    members: Sequence[ModelPackage],
    out: str | Path,
    *,
    name: str = "",
    version: str = "1",
    card: Card | None = None,
    postprocessing: Sequence[Step] | None = None,
    evidence: Sequence[Evidence] = (),
) -> ModelPackage:
    """Write one package with the networks of several and return it.

    Folds of one configuration, or other configurations for the same labels and channels.
    Networks that work on one grid have their logits averaged there; between grids,
    probabilities are averaged on the scan. Every network counts the same.

    Parameters
    ----------
    members : sequence of ModelPackage
        Those that are ensembles give all their networks.
    out : str or Path
        Folder or zip, as for :func:`medseg.models.write_package`.
    name, version : str
        The name of the first member when left out.
    card : Card, optional
        Made from the members' cards when left out: their data and limits together, and what
        each was measured at alone.
    postprocessing : sequence of Step, optional
        Those of the members when left out, where they are the same in all; otherwise none.
    evidence : sequence of Evidence

    Raises
    ------
    ModelRefused
        ``ensemble-empty``; ``ensemble-repeated``: a network comes twice;
        ``package-invalid``: labels or channels differ; and as ``write_package``.
    """
    if not members:
        raise ModelRefused("ensemble-empty", "An ensemble needs one package at least")
    networks = [network for one in members for network in one.networks]
    _check_each_once(networks)
    first = networks[0]
    steps = members[0].postprocessing
    if postprocessing is None:
        same = all(one.postprocessing == steps for one in members)
        postprocessing = steps if same else ()
    return write_package(
        out,
        name=name or first.name,
        version=version,
        plan=first.plan,
        card=card or card_of(members),
        weights=first.weights(),
        others=_loaded(networks[1:]),
        postprocessing=postprocessing,
        evidence=evidence,
    )


def _loaded(networks: Sequence[ModelPackage]) -> Iterator[tuple[Plan, Mapping[str, np.ndarray]]]:
    for network in networks:
        yield network.plan, network.weights()


def _check_each_once(networks: Sequence[ModelPackage]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, network in enumerate(networks, 1):
        earlier = seen.setdefault((network.plan.hash, network.weights_hash), number)
        if earlier != number:
            raise ModelRefused(
                "ensemble-repeated",
                f"Networks {earlier} and {number} of {len(networks)} have the same weights",
                do="Give each package once",
            )


def card_of(members: Sequence[ModelPackage], results: Sequence[Measurement] = ()) -> Card:
    """Return the card of an ensemble, with results of its own where there are some."""
    cards = [one.card for one in members]
    alone = [
        result.model_copy(update={"measured_on": f"{one.name}, part {number} of {len(members)} "
                                                 f"alone: {result.measured_on}"})
        for number, one in enumerate(members, 1) for result in one.card.results
    ]  # fmt: skip
    minutes = [card.minutes for card in cards if card.minutes is not None]
    said = {
        "training_data": _each_once(data for card in cards for data in card.training_data),
        "results": (*results, *alone),
        "limits": (*_each_once(limit for card in cards for limit in card.limits),
                   *(() if results or len(members) == 1 else (UNMEASURED,))),
        "configuration": "\n---\n".join(_each_once(card.configuration.strip() for card in cards)),
        "minutes": sum(minutes) if minutes else None,
        "fold": cards[0].fold if len(cards) == 1 else None,
    }  # fmt: skip
    return cards[0].model_copy(update=said)


def _each_once(things: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(things))
