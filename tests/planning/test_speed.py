"""A machine is timed with the very step and engine that training and segmenting use."""

import pytest

from medseg.planning.memory import Architecture
from medseg.planning.speed import Speed, measure
from medseg.planning.topology import Topology

TINY = Architecture("unet", Topology(((3, 3, 3),) * 2, ((1, 1, 1), (2, 2, 2))), (2, 4), 1, 2)


def test_a_tiny_network_is_timed_both_ways():
    speed = measure(TINY, (8, 8, 8), 2, device="cpu", precision="f32")
    assert speed.predicting > 0
    assert speed.training > 0


def test_seconds_follow_from_multiplications_and_tiles():
    speed, work = Speed(predicting=1e6, training=3e6), TINY.multiplications((8, 8, 8))
    assert speed.step_seconds(TINY, (8, 8, 8), 2) == pytest.approx(2 * work / 1e6)
    # 16 voxels and tiles of 8 that overlap by half: three along each axis
    assert speed.scan_seconds(TINY, (8, 8, 8), (16, 16, 16)) == pytest.approx(27 * work / 1e6)
    assert speed.scan_seconds(TINY, (8, 8, 8), (5, 8, 3)) == pytest.approx(work / 1e6)
