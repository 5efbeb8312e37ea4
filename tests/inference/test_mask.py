"""From logits on one grid or several to a mask."""

import numpy as np
import pytest

from medseg.geometry import Geometry, axes_towards, rescaled
from medseg.inference import mask as module
from medseg.inference.mask import Predicted, joined, mask_of, probabilities_of
from medseg.labels import Label, LabelSet
from medseg.plan import Channel, Network, Plan
from medseg.preparing import restore_probabilities

SCAN = Geometry((11, 10, 9), np.diag([1.0, -1.0, 2.0, 1.0]))
TUMOUR = LabelSet((Label(1, "Oedema"), Label(2, "Core"), Label(4, "Enhancing"),
                   Label(11, "Whole", region=(1, 2, 4)), Label(12, "Inner", region=(2, 4)),
                   Label(13, "Bright", region=(4,))))  # fmt: skip


def make_plan(outputs="classes"):
    return Plan(spacing=(1, 1, 1), channels=(Channel(name="MR"),), patch=(4, 4, 4),
                network=Network(name="unet"), labels=TUMOUR, outputs=outputs)  # fmt: skip


def make_predicted(spacing, orientation="RAS", channels=4, seed=0, networks=1):
    grid = rescaled(axes_towards(SCAN, orientation).of_geometry(SCAN), spacing)
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(channels, *grid.shape)).astype(np.float32)
    return Predicted(logits, grid, networks)


def test_logits_of_one_grid_are_averaged_by_the_number_of_networks():
    one, other = make_predicted((1, 1, 2), seed=1, networks=3), make_predicted((1, 1, 2), seed=2)
    expected = (3 * one.logits + other.logits) / 4
    (both,) = joined([one, other])
    np.testing.assert_allclose(both.logits, expected, atol=1e-6)
    assert both.networks == 4


@pytest.mark.parametrize("outputs", ["classes", "regions"])
@pytest.mark.parametrize("slab", [1, 1 << 23])
def test_grids_are_averaged_as_probabilities_on_the_scan(monkeypatch, outputs, slab):
    # Fails when grids are weighted alike, or a slab lies where another one belongs.
    monkeypatch.setattr(module, "SLAB", slab)
    plan = make_plan(outputs)
    pair = joined([
        make_predicted((1.5, 1, 3), channels=plan.output_channels, seed=1, networks=2),
        make_predicted((2, 2, 2), "SAR", channels=plan.output_channels, seed=2),
    ])  # fmt: skip
    one, other = (restore_probabilities(p.logits, p.geometry, SCAN, outputs) for p in pair)
    mean = (2 * one + other) / 3
    np.testing.assert_allclose(probabilities_of(pair, SCAN, plan), mean, atol=1e-5)
    if outputs == "classes":
        expected = np.array([0, 1, 2, 4])[mean.argmax(axis=-1)]
    else:
        expected = np.select([mean[..., n] > 0.5 for n in (2, 1, 0)], [4, 2, 1], 0)
    assert (mask_of(pair, SCAN, plan) == expected).mean() > 0.999


def test_regions_of_one_grid_are_painted_in_order():
    plan = make_plan("regions")
    logits = np.full((3, *SCAN.shape), -1, np.float32)
    logits[0, 2:8], logits[1, 4:8], logits[2, 6:10] = 1, 1, 1
    found = mask_of([Predicted(logits, SCAN)], SCAN, plan)[:, 5, 5]
    assert found.tolist() == [0, 0, 1, 1, 2, 2, 4, 4, 4, 4, 0]
