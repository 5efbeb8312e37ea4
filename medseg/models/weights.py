"""Between a package's arrays and a Keras model; the only file of this room that loads Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from medseg.errors import ModelRefused
from medseg.models.arrays import check_finite, difference
from medseg.models.package import ModelPackage
from medseg.networks.loading import dtype_policy

if TYPE_CHECKING:
    import keras

Policy = Literal["float32", "mixed_bfloat16", "mixed_float16"]


def network_of(package: ModelPackage, *, policy: Policy = "float32") -> keras.Model:
    """Build a package's network from its plan and give it the package's weights.

    Nothing of the package is executed: the architecture comes from ``medseg.networks`` by its
    name in the plan, and ``keras.models.load_model`` is never called. Heads for deep
    supervision are left out.

    Parameters
    ----------
    package : ModelPackage
        Opened and thereby checked.
    policy : str
        Keras dtype policy of the layers; the global one stays as it is.

    Raises
    ------
    ModelRefused
        ``weights-differ``: the plan's network has other arrays. ``weights-not-finite``.
    PlanRefused
        ``network-unknown``, ``network-invalid``.
    """
    from medseg import networks

    plan = package.plan
    arguments = {
        **plan.network.arguments,
        "channels": len(plan.channels),
        "classes": plan.output_channels,
    }
    arguments.pop("deep_supervision", None)
    with dtype_policy(policy):
        model = networks.build(plan.network.name, **arguments)
    assign(model, package.weights())
    return model


def assign(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Give a model its weights, having checked all before the first is set.

    Raises
    ------
    ModelRefused
        ``weights-differ``: another set of names, or another shape. ``weights-not-finite``.
    """
    variables = {variable.path: variable for variable in model.weights}
    found = {path: tuple(array.shape) for path, array in weights.items()}
    wanted = {path: tuple(variable.shape) for path, variable in variables.items()}
    if found != wanted:
        raise ModelRefused("weights-differ", difference(found, wanted),
                           do="The package was made for another network")  # fmt: skip
    check_finite(weights)
    for path, variable in variables.items():
        variable.assign(weights[path])


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a model's weights by their path, float32, for :func:`write_package`.

    Of a network with deep supervision only what the first output needs, the finest head:
    that is the network of a prediction.
    """
    import keras

    if len(model.outputs) > 1:
        model = keras.Model(model.inputs, model.outputs[0])
    return {
        variable.path: np.asarray(keras.ops.convert_to_numpy(variable), np.float32)
        for variable in model.weights
    }
