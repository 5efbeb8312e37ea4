"""From a scan to a mask on its own grid."""

from medseg.inference.segmenter import Segmenter
from medseg.inference.tiles import gaussian_weights, memory_needed, predict, tile_starts

__all__ = ["Segmenter", "gaussian_weights", "memory_needed", "predict", "tile_starts"]
