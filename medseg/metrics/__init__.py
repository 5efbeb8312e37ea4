"""Numbers that compare masks: arrays in, numbers out."""

from medseg.metrics.overlap import dice

__all__ = ["dice"]
