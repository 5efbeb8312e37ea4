"""A tiny training: six cases of a lump, two epochs of three steps."""

import pytest

from tests.datasets.test_dataset import make_msd

CONFIG = """
name: tiny
dataset: data
folds: 3
plan:
  spacing: [1, 1, 1]
  patch: [4, 4, 4]
  channels: [{name: MR}]
  features: [2, 4]
epochs: 2
steps: 3
checkpoint_epochs: 1
optimizer: {name: adamw, rate: 1e-2, average: 0.5}
precision: f32
card:
  intended_use: Nothing.
  modality: MR
  training_data: [{name: Made up, licence: CC0-1.0, attribution: Nobody}]
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "data").mkdir()
    make_msd(tmp_path / "data", cases=6)
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path
