"""Trainings that are killed by the system, in processes of their own."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

KILLS = 5
SETTINGS = ["--epochs", "40", "--deterministic", "--set", "steps=10", "--set", "validation_steps=1"]


def start(path, out, *more):
    command = [sys.executable, "-m", "medseg", "train", str(path), "-o", str(out), *SETTINGS, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def final_weights(out):
    return load_file(out / "model" / "weights.safetensors")


@pytest.mark.slow
def test_killed_in_five_random_places_a_training_ends_with_the_weights_of_a_straight_one(
    config,
    tmp_path,
):
    straight, again, killed = (tmp_path / name for name in ("straight", "again", "killed"))
    for out in (straight, again):
        process = start(config, out)
        assert process.wait(timeout=600) == 0, process.stdout.read()
    for name, array in final_weights(straight).items():
        np.testing.assert_array_equal(final_weights(again)[name], array, err_msg=name)

    rng, places = random.Random(1), []
    for kill in range(KILLS):
        process = start(config, killed, *(["--resume"] if kill else []))
        metrics, before = killed / "metrics.csv", len(places) and places[-1]
        while not (metrics.exists() and rows(metrics) > before):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.wait()
        places.append(rows(metrics))
    assert places[-1] < 40, "killed too late to tell"
    process = start(config, killed, "--resume")
    assert process.wait(timeout=600) == 0, process.stdout.read()
    for name, array in final_weights(straight).items():
        np.testing.assert_array_equal(final_weights(killed)[name], array, err_msg=name)


def rows(path):
    """Return how many epochs stand in a table that may be replaced at this moment."""
    return len(path.read_text().splitlines()) - 1
