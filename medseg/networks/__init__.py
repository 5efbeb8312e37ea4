"""Networks as ordinary functional Keras models, built by name and plain keyword arguments."""

from medseg.networks.build import NETWORKS, build

__all__ = ["NETWORKS", "build"]
