"""Training a network on a data set, from a checked config to a model package."""

from medseg.training.config import TrainingConfig, load_config
from medseg.training.train import train

__all__ = ["TrainingConfig", "load_config", "train"]
