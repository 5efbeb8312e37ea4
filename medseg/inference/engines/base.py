"""What an engine is: tiles in, logits out."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

EngineName = Literal["auto", "keras", "openvino"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["f32", "bf16"]


class Engine(Protocol):
    """A network that is ready to compute.

    Attributes
    ----------
    name : str
        As in the table of engines.
    precision : str
        Of convolutions: ``"f32"`` or ``"bf16"``; what goes in and comes out is float32.
    device : str
        ``"cpu"`` or ``"gpu"``.
    versions : dict
        Of the libraries that compute, by their name.
    """

    name: str
    precision: str
    device: str
    versions: dict[str, str]

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Return logits ``(B, *spatial, classes)`` of tiles ``(B, *spatial, C)``, float32."""
        ...
