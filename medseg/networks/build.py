"""The table of networks: a name and the function that builds it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medseg.errors import PlanRefused

if TYPE_CHECKING:
    import keras

NETWORKS = {
    "attention_unet": "medseg.networks.attention_unet:attention_unet",
    "backbone_unet": "medseg.networks.backbone_unet:backbone_unet",
    "nested_unet": "medseg.networks.nested_unet:nested_unet",
    "residual_classifier": "medseg.networks.residual_classifier:residual_classifier",
    "residual_unet": "medseg.networks.residual_unet:residual_unet",
    "textbook_cnn": "medseg.networks.textbook_cnn:textbook_cnn",
    "unet": "medseg.networks.unet:unet",
    "vnet": "medseg.networks.vnet:vnet",
}

CLASSIFIERS = ("residual_classifier", "textbook_cnn")  # of whole images; the others segment


def build(name: str, **arguments: Any) -> keras.Model:
    """Build a network by its name in ``NETWORKS``.

    Parameters
    ----------
    name : str
        Such as ``"unet"``.
    **arguments
        Plain keyword arguments of that network's function.

    Raises
    ------
    PlanRefused
        ``network-unknown``: no such name. ``network-invalid``: arguments do not fit.
    """
    if name not in NETWORKS:
        raise PlanRefused(
            "network-unknown", f"There is no network {name!r}", do=f"Use one of {sorted(NETWORKS)}"
        )
    module, function = NETWORKS[name].split(":")
    try:
        return getattr(import_module(module), function)(**arguments)
    except (TypeError, ValueError) as error:
        raise PlanRefused("network-invalid", f"{name} cannot be built: {error}") from error
