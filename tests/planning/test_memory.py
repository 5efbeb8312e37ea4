"""What a network costs, against what Keras counts and what nnU-Net says."""

import math

import pytest

from medseg.networks import build
from medseg.planning.memory import Architecture, feature_map_elements, step_memory
from medseg.planning.speed import arguments_of
from medseg.planning.topology import Topology, topology_of


def architecture(kind, spacing, patch, *, features=None, channels=1, classes=3):
    topology = topology_of(spacing, patch)
    features = features or tuple(min(32 * 2**n, 320) for n in range(topology.stages))
    return Architecture(kind, topology, features, channels, classes)


@pytest.mark.parametrize("kind", ["unet", "residual_unet"])
def test_parameters_are_those_that_keras_counts(kind):
    for spacing, patch in (((3, 1, 1), (8, 32, 32)), ((1, 1), (64, 48))):
        features = tuple(4 * n for n in range(1, topology_of(spacing, patch).stages + 1))
        planned = architecture(kind, spacing, patch, features=features, channels=2)
        assert build(kind, **arguments_of(planned)).count_params() == planned.parameters


@pytest.mark.parametrize(
    ("kind", "spacing", "patch", "channels", "classes", "millions"),
    [  # nnU-Net 2.8's own counts for tasks of the Decathlon
        ("unet", (1, 1, 1), (40, 56, 40), 1, 3, 5.6),
        ("unet", (3.6, 0.625, 0.625), (20, 320, 256), 2, 3, 44.6),
        ("unet", (2.5, 0.8027, 0.8027), (40, 224, 224), 1, 3, 30.7),
        ("unet", (1.6, 0.7929, 0.7929), (64, 192, 160), 1, 2, 31.1),
        ("residual_unet", (1, 1, 1), (40, 56, 40), 1, 3, 25.9),
        ("residual_unet", (3.6, 0.625, 0.625), (20, 256, 256), 2, 3, 140.4),
        ("residual_unet", (2.5, 0.8027, 0.8027), (40, 224, 192), 1, 3, 101.9),
        ("residual_unet", (1.6, 0.7929, 0.7929), (64, 160, 160), 1, 2, 102.3),
    ],
)
def test_parameters_are_nnunets(kind, spacing, patch, channels, classes, millions):
    found = architecture(kind, spacing, patch, channels=channels, classes=classes)
    assert round(found.parameters / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("patch", "features", "elements"),
    [  # check values that nnU-Net's source gives for its residual network, side heads included
        ((128, 128, 128), (32, 64, 128, 256, 320, 320), 558_319_104),
        ((512, 512), (32, 64, 128, 256, 512, 512, 512), 129_793_792),
    ],
)
def test_feature_maps_are_counted_as_nnunet_counts_them(patch, features, elements):
    rank, stages = len(patch), len(features)
    topology = Topology(((3,) * rank,) * stages, ((1,) * rank, *((2,) * rank,) * (stages - 1)))
    network = Architecture("residual_unet", topology, features, 1, 3)
    every_head = sum(one.outputs * one.size for one in network.layers(patch, stages - 1))
    assert every_head == elements
    assert feature_map_elements(network, patch) < elements


def test_multiplications_are_those_that_were_counted_for_a_known_network():
    # 118.1 GFLOP, two a multiply-add, for one 64^3 patch of PlainConvUNet with five stages
    topology = Topology(((3, 3, 3),) * 5, ((1, 1, 1), *((2, 2, 2),) * 4))
    network = Architecture("unet", topology, (32, 64, 128, 256, 320), 1, 2)
    assert 2 * network.multiplications((64, 64, 64)) == pytest.approx(118.1e9, rel=1e-3)


def test_memory_grows_with_patch_batch_and_precision():
    network = architecture("unet", (1, 1, 1), (64, 64, 64))
    base = step_memory(network, (64, 64, 64), 2, precision="bf16").total
    assert step_memory(network, (64, 64, 96), 2, precision="bf16").total > base
    assert step_memory(network, (64, 64, 64), 3, precision="bf16").total > base
    assert step_memory(network, (64, 64, 64), 2, precision="f32").total > base
    assert step_memory(network, (64, 64, 64), 2, precision="bf16", optimizer="adamw").total > base


def test_activations_of_one_stage_can_be_counted_by_hand():
    # Two stages of 2 and 4 features on 8^3, float32, one channel, two classes. Kept: 16 bytes of
    # each normed output (encoder 2 x 2, decoder 2 x 2 features on 512 voxels; 2 x 4 on 64), the
    # padded input of the strided convolution, the joined features, six copies of the logits.
    topology = Topology(((3, 3, 3),) * 2, ((1, 1, 1), (2, 2, 2)))
    network = Architecture("unet", topology, (2, 4), 1, 2)
    normed = 16 * (8 * 512 + 8 * 64)
    expected = normed + 4 * 2 * 10**3 + 4 * 4 * 512 + 4 * 6 * 2 * 512
    assert step_memory(network, (8, 8, 8), 1).activations == expected
    assert math.prod(topology.divisors) == 8
