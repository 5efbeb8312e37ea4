"""From a scan to the network's grid and back: one path for training and prediction."""

from medseg.preparing.prepare import network_grid, prepare, prepare_labels
from medseg.preparing.restore import moved, restore, restore_probabilities

__all__ = ["moved", "network_grid", "prepare", "prepare_labels", "restore", "restore_probabilities"]
