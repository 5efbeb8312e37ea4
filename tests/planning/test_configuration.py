"""Patch, batch and topology: nnU-Net's to the letter, and what must hold for every budget."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import PlanRefused
from medseg.planning.budget import PRESETS, Bytes, Elements
from medseg.planning.configuration import Task, configured, low_resolution
from medseg.planning.memory import feature_map_elements
from medseg.planning.topology import topology_of

# nnU-Net 2.8.1 (0e495086): what its planners give for seven tasks of the Medical Segmentation
# Decathlon, from an independent re-implementation whose estimates equal the peer's own
# compute_conv_feature_map_size. Median shapes and spacings as given, axes z, y, x.
# name: spacing, median shape, cases, channels, labels with background
TASKS = {
    "Hippocampus": ((1, 1, 1), (36, 50, 35), 260, 1, 3),
    "Heart": ((1.37, 1.25, 1.25), (115, 320, 232), 20, 1, 2),
    "Liver": ((1, 0.7676, 0.7676), (482, 512, 512), 131, 1, 3),
    "Prostate": ((3.6, 0.625, 0.625), (20, 320, 319), 32, 2, 3),
    "BraTS": ((1, 1, 1), (138, 169, 138), 484, 4, 4),
    "Spleen": ((1.6, 0.7929, 0.7929), (187, 512, 512), 41, 1, 2),
    "Pancreas": ((2.5, 0.8027, 0.8027), (96, 512, 512), 281, 1, 3),
}
# (patch, batch, stages) of the plain network in 3-D and in 2-D
PLAIN = {
    "Hippocampus": (((40, 56, 40), 9, 4), ((56, 40), 366, 4)),
    "Heart": (((80, 192, 160), 2, 6), ((320, 256), 40, 7)),
    "Liver": (((128, 128, 128), 2, 6), ((512, 512), 12, 8)),
    "Prostate": (((20, 320, 256), 2, 7), ((320, 320), 32, 7)),
    "BraTS": (((128, 128, 128), 2, 6), ((192, 160), 105, 6)),
    "Spleen": (((64, 192, 160), 2, 6), ((512, 512), 12, 8)),
    "Pancreas": (((40, 224, 224), 2, 6), ((512, 512), 12, 8)),
}
# (patch, batch) of the residual encoders in 3-D
RESIDUAL = {
    "resenc-m": {
        "Hippocampus": ((40, 56, 40), 58), "Heart": ((80, 192, 160), 2),
        "Liver": ((128, 128, 128), 2), "Prostate": ((20, 256, 256), 2),
        "BraTS": ((128, 128, 128), 2), "Spleen": ((64, 160, 160), 2),
        "Pancreas": ((40, 224, 192), 2),
    },
    "resenc-l": {
        "Hippocampus": ((40, 56, 40), 178), "Heart": ((112, 288, 224), 2),
        "Liver": ((192, 192, 192), 2), "Prostate": ((20, 320, 320), 5),
        "BraTS": ((160, 192, 160), 3), "Spleen": ((80, 256, 256), 2),
        "Pancreas": ((56, 320, 256), 2),
    },
    "resenc-xl": {
        "Hippocampus": ((40, 56, 40), 183), "Prostate": ((20, 320, 320), 8),
        "Spleen": ((112, 320, 256), 2), "Pancreas": ((64, 384, 384), 2),
    },
}  # fmt: skip


def as_nnunet(task, preset="plain"):
    spacing, shape, cases, channels, classes = TASKS[task]
    preset = PRESETS[preset]
    return (
        spacing,
        shape,
        Task(channels, classes, cases, preset.kind),
        Elements(preset, preset.vram_gb),
    )


@pytest.mark.parametrize("name", TASKS)
def test_the_plain_plan_is_nnunets(name):
    spacing, shape, task, budget = as_nnunet(name)
    volume = configured(spacing, shape, task, budget)
    plane = configured(spacing[1:], shape[1:], task, budget, voxels=task.cases * math.prod(shape))
    assert tuple((one.patch, one.batch, one.network.topology.stages)
                 for one in (volume, plane)) == PLAIN[name]  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "name"), [(preset, name) for preset, rows in RESIDUAL.items() for name in rows]
)
def test_the_residual_plans_are_nnunets(preset, name):
    found = configured(*as_nnunet(name, preset))
    assert (found.patch, found.batch) == RESIDUAL[preset][name]


def test_kernels_and_strides_of_thick_slices_are_nnunets():
    prostate = configured(*as_nnunet("Prostate")).network.topology
    assert prostate.kernels == ((1, 3, 3),) * 2 + ((3, 3, 3),) * 5
    spleen = configured(*as_nnunet("Spleen")).network.topology
    assert spleen.strides[1] == (1, 2, 2)


def test_the_estimate_of_hippocampus_is_nnunets():
    found = configured(*as_nnunet("Hippocampus"))
    assert feature_map_elements(found.network, found.patch) == 19_174_400


def test_a_low_resolution_is_proposed_where_a_patch_shows_too_little():
    spacing, shape, task, budget = as_nnunet("Liver")
    full = configured(spacing, shape, task, budget)
    low = low_resolution(full, task, budget)
    assert low.patch == (128, 128, 128)
    assert low.share >= 0.25 > full.share
    spacing, shape, task, budget = as_nnunet("Prostate")
    assert low_resolution(configured(spacing, shape, task, budget), task, budget) is None


spacings = st.tuples(*[st.floats(0.2, 8)] * 3)
shapes = st.tuples(*[st.integers(1, 700)] * 3)
networks = st.sampled_from(["unet", "residual_unet"])


def budgets(gigabytes, exact):
    preset = PRESETS["plain"]
    return Elements(preset, gigabytes) if exact else Bytes(gigabytes * 1e9, "f16")


@settings(max_examples=60, deadline=None)
@given(spacings, shapes, networks, st.floats(1, 40), st.floats(1, 4), st.booleans())
def test_more_memory_never_gives_a_smaller_patch(spacing, shape, kind, gigabytes, more, exact):
    task = Task(2, 4, 30, kind)
    try:
        less = configured(spacing, shape, task, budgets(gigabytes, exact))
    except PlanRefused as refusal:
        if refusal.code == "memory-short":
            return
        raise
    found = configured(spacing, shape, task, budgets(gigabytes * more, exact))
    assert math.prod(found.patch) >= math.prod(less.patch)
    assert found.patch != less.patch or found.batch >= less.batch


@settings(max_examples=60, deadline=None)
@given(spacings, shapes, networks)
def test_every_plan_fits_its_budget_and_can_be_built(spacing, shape, kind):
    budget = Bytes(6e9, "f16")
    found = configured(spacing, shape, Task(1, 3, 10, kind), budget)
    topology = found.network.topology
    assert topology.padded(found.patch) == found.patch
    assert len(topology.kernels) == len(topology.strides) == len(found.network.features)
    assert budget.fits(found.network, found.patch)
    assert topology.stages > 1
    # a patch is never larger than the case and what the strides need beyond it
    assert all(p < max(n, 12) + d for p, n, d in zip(found.patch, found.shape, topology.divisors,
                                            strict=True))  # fmt: skip


@settings(deadline=None)
@given(spacings, shapes)
def test_no_axis_is_halved_below_four_voxels(spacing, patch):
    topology = topology_of(spacing, patch)
    for size, divisor in zip(patch, topology.divisors, strict=True):
        assert divisor == 1 or size / divisor > 2  # four, before rounding at each halving
    assert topology.kernels[-1] == (3, 3, 3)


def test_a_patch_that_was_given_stays_and_shapes_the_network():
    found = configured((1, 1, 1), (200, 200, 200), Task(1, 2, 10), Bytes(1e9, "f16"),
                       patch=(96, 96, 96))  # fmt: skip
    assert found.patch == (96, 96, 96)
    assert found.network.topology.divisors == (16, 16, 16)


def test_a_patch_that_cannot_be_halved_is_refused_with_one_that_can():
    with pytest.raises(PlanRefused, match=r"unevenly\. Take 112 x 112 x 112"):
        configured((1, 1, 1), (200, 200, 200), Task(1, 2, 10), Bytes(1e9, "f16"),
                   patch=(100, 100, 100))  # fmt: skip


def test_features_that_were_given_set_the_depth():
    found = configured((1, 1, 1), (64, 64, 64), Task(1, 2, 10), Bytes(4e9, "f16"),
                       features=(8, 16, 32))  # fmt: skip
    assert found.network.topology.stages == 3
    with pytest.raises(PlanRefused) as refusal:  # a smaller patch could not be so deep
        configured((1, 1, 1), (64, 64, 64), Task(1, 2, 10), Bytes(1e6, "f16"), features=(8,) * 5)
    assert refusal.value.code == "memory-short"
    with pytest.raises(PlanRefused, match=r"5 stages, plan\.features names 7"):
        configured((1, 1, 1), (64, 64, 64), Task(1, 2, 10), Bytes(4e9, "f16"), features=(4,) * 7)


def test_a_tiny_case_gets_a_network_all_the_same():
    found = configured((1, 1, 1), (3, 5, 4), Task(1, 2, 10), Bytes(4e9, "f16"))
    assert (found.patch, found.network.topology.stages) == ((8, 8, 8), 2)


def test_too_little_memory_is_refused_with_a_remedy():
    with pytest.raises(PlanRefused) as refusal:
        configured((1, 1, 1), (64, 64, 64), Task(1, 2, 10), Bytes(1e6, "f16"))
    assert refusal.value.code == "memory-short"
    assert "fewer features" in refusal.value.do
