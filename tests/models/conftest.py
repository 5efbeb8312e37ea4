import numpy as np
import pytest

from medseg.labels import Label, LabelSet
from medseg.models import Card, Dataset, Measurement, write_package
from medseg.plan import Channel, Network, Plan

ARGUMENTS = {
    "features": [2, 4],
    "kernels": [[3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [2, 2, 2]],
}


@pytest.fixture(scope="session")
def plan():
    return Plan(
        spacing=(1, 1, 1),
        channels=(Channel(name="T1", modality="MR"),),
        patch=(8, 8, 8),
        network=Network(name="unet", arguments=ARGUMENTS),
        labels=LabelSet((Label(1, "Anterior"), Label(4, "Posterior"))),
    )


@pytest.fixture(scope="session")
def card():
    return Card(
        intended_use="Outlines nothing, for tests.",
        modality="MR",
        training_data=(Dataset(name="Made up", licence="CC0-1.0", attribution="Nobody", cases=3),),
        results=(
            Measurement(
                measured_on="fold 0, 2 cases",
                figures={"Dice, Anterior": 0.8765},
                intervals={"Dice, Anterior": (0.80111, 0.91234)},
            ),
        ),
        limits=("Fails on everything.",),
        configuration="epochs: 3",
        minutes=12.0,
        fold=0,
        training_extent_mm=(40, 50, 40),
    )


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {
        "stem/kernel": rng.normal(size=(3, 3, 3, 1, 2)).astype(np.float32),
        "stem/bias": np.zeros(2, np.float32),
    }


@pytest.fixture
def packed(tmp_path, plan, card, weights):
    """Write a package ``tmp_path / place``, a folder or by its suffix a zip."""

    def write(place="tiny", /, **changes):
        said = {"name": "tiny", "version": "1.0", "plan": plan, "card": card, "weights": weights}
        return write_package(tmp_path / place, **{**said, **changes})

    return write
