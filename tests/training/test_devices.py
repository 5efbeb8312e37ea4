"""Several devices at once, tested on one CPU that TensorFlow counts as two."""

import subprocess
import sys

import pytest

from medseg.errors import PlanRefused
from medseg.training.devices import check_batch

PROGRAM = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
from medseg import networks
from medseg.losses import loss
from medseg.training.devices import shared_among

rng = np.random.default_rng(0)
image = rng.normal(size=(8, 8, 8, 1)).astype("float32")
truth = rng.integers(0, 2, (8, 8, 8, 1)).astype("int32")
trained = []
for devices in ([], ["CPU:0", "CPU:1"]):
    keras.utils.set_random_seed(1)
    with shared_among(devices):
        model = networks.build("unet", channels=1, classes=2, features=[2, 4],
                               kernels=[[3, 3]] * 2, strides=[[1, 1], [2, 2]])
        model.compile(keras.optimizers.SGD(0.1), loss=loss("dice_cross_entropy"))
    replicas = getattr(model.distribute_strategy, "num_replicas_in_sync", 1)
    assert replicas == max(1, len(devices))
    model.fit(image, truth, batch_size=4, epochs=2, shuffle=False, verbose=0)
    trained.append([keras.ops.convert_to_numpy(v) for v in model.trainable_variables])
print(max(float(np.abs(a - b).max()) for a, b in zip(*trained)))
"""


def test_two_devices_learn_what_one_would():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-5


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    check_batch(4, 2)
    check_batch(3, 1)
    check_batch(3, 0)
    with pytest.raises(PlanRefused, match="A batch of 3 cannot be shared among 2 GPUs") as refusal:
        check_batch(3, 2)
    assert refusal.value.code == "batch-uneven"
