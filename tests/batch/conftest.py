"""A model that needs no framework: what is brighter than 100 is a lesion."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from medseg.inference import Segmenter
from medseg.labels import Code, Label, LabelSet
from medseg.models import Card, Dataset, ModelPackage, write_package
from medseg.plan import Channel, Clip, Network, Plan

LESION = Label(
    7,
    "Lesion",
    Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    Code("52988006", "SCT", "Lesion"),
)


@dataclass
class Threshold:
    """An engine whose second class wins where the input is above zero."""

    name: str = "threshold"
    precision: str = "f32"
    device: str = "cpu"
    versions: dict = field(default_factory=dict)

    def __call__(self, tiles):
        return np.concatenate([np.zeros_like(tiles), tiles], axis=-1)


@pytest.fixture(scope="session")
def bright_model(tmp_path_factory):
    """A package for MR whose plan centres the values on 100."""
    plan = Plan(
        spacing=(1, 1, 1),
        channels=(
            Channel(
                name="T1",
                modality="MR",
                normalisation=Clip(low=0, high=1000, mean=100, deviation=1),
            ),
        ),
        patch=(8, 8, 8),
        network=Network(name="unet"),
        labels=LabelSet((LESION,)),
    )
    card = Card(
        intended_use="Marks what is bright, for tests.",
        modality="MR",
        training_data=(Dataset(name="None", licence="CC0-1.0", attribution="Nobody"),),
    )
    path = tmp_path_factory.mktemp("models") / "bright"
    write_package(path, name="bright", version="1", plan=plan, card=card,
                  weights={"none": np.zeros(1, np.float32)})  # fmt: skip
    return path


@pytest.fixture
def threshold_engine(monkeypatch):
    """Make every Segmenter compute with the threshold; return how often a model was loaded."""
    loads = []

    def load(name, **options):
        loads.append(options)
        return Segmenter(ModelPackage.open(name), Threshold())

    monkeypatch.setattr(Segmenter, "load", load)
    return loads
