"""What to train on a data set, why, and what it will cost: before anything starts."""

from medseg.planning.fingerprint import Fingerprint, fingerprint
from medseg.planning.planned import Planned, plan_training
from medseg.planning.propose import Given, Proposal, Request, propose

__all__ = [
    "Fingerprint",
    "Given",
    "Planned",
    "Proposal",
    "Request",
    "fingerprint",
    "plan_training",
    "propose",
]
