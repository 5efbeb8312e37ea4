"""Every backend of Keras computes the same networks and losses."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def computed(backend, folder):
    path = folder / f"{backend}.npz"
    done = subprocess.run(
        [sys.executable, "-m", "tests.networks.logits_of_backend", str(path)],
        cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.load(path)


@pytest.mark.peer
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_it_computes_what_tensorflow_does(backend, tmp_path):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    expected, found = (computed(name, tmp_path) for name in ("tensorflow", backend))
    assert set(expected) == set(found)
    for name in expected:
        size = np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4 * max(1, size),
                                   err_msg=name)  # fmt: skip
