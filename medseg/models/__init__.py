"""Model packages: a plan, weights and a card in one folder or zip, checked before use."""

from medseg.models.calibration import Calibration, Domain, domain_of
from medseg.models.card import Card, Dataset, Measurement, as_markdown, brief
from medseg.models.ensemble import ensembled, member
from medseg.models.listing import Entry, listed
from medseg.models.package import ModelPackage, write_package
from medseg.models.postprocessing import Evidence, FillHoles, LargestComponent, MinimumVolume, Step
from medseg.models.shipped import find, shipped

__all__ = [
    "Calibration",
    "Card",
    "Dataset",
    "Domain",
    "Entry",
    "Evidence",
    "FillHoles",
    "LargestComponent",
    "Measurement",
    "MinimumVolume",
    "ModelPackage",
    "Step",
    "as_markdown",
    "brief",
    "domain_of",
    "ensembled",
    "find",
    "listed",
    "member",
    "shipped",
    "write_package",
]
