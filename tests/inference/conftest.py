import numpy as np
import pytest

from medseg.labels import Label, LabelSet
from medseg.models import Card, Dataset, write_package
from medseg.plan import Channel, Network, Plan


@pytest.fixture(scope="session")
def make_plan():
    def make(patch=(16, 24, 16), spacing=(1, 1, 1), **changes):
        axes = 2 if patch[0] == 1 else 3
        arguments = {
            "features": [4, 8, 8],
            "kernels": [[3] * axes] * 3,
            "strides": [[1] * axes, [2] * axes, [2] * axes],
        }
        said = {
            "orientation": "RAS",
            "spacing": spacing,
            "channels": (Channel(name="T1", modality="MR"),),
            "patch": patch,
            "network": Network(name="unet", arguments=arguments),
            "labels": LabelSet((Label(1, "Anterior"), Label(4, "Posterior"))),
        }
        return Plan(**{**said, **changes})

    return make


@pytest.fixture(scope="session")
def make_card():
    def make(**changes):
        data = Dataset(name="Made up", licence="CC0-1.0", attribution="Nobody")
        said = {"intended_use": "For tests.", "modality": "MR", "training_data": (data,)}
        return Card(**{**said, **changes})

    return make


@pytest.fixture(scope="session")
def make_package(tmp_path_factory, make_plan, make_card):
    """Write a package of random weights and a real network."""

    def make(**changes):
        from medseg import networks
        from medseg.models.weights import weights_of

        plan = make_plan(**changes)
        model = networks.build("unet", channels=1, classes=3, **plan.network.arguments)
        rng = np.random.default_rng(0)  # shifts and scales too, which start as zeros and ones
        weights = {p: a + rng.normal(0, 0.1, a.shape) for p, a in weights_of(model).items()}
        folder = tmp_path_factory.mktemp("package") / "tiny"
        return write_package(
            folder, name="tiny", version="1", plan=plan, card=make_card(), weights=weights
        )

    return make


@pytest.fixture(scope="session")
def package(make_package):
    return make_package()


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def warm(package, cache):
    """Have the package's graph in ``cache``; return the engine."""
    from medseg.inference.engines import choose

    return choose(package, engine="openvino", cache=cache)[0]
