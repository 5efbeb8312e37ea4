"""From a fingerprint to a training: grids, kinds of data, machines, reasons, a valid config."""

import math

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import PlanRefused
from medseg.planning import Given, Request, propose
from medseg.planning.cost import Training, cost_of
from medseg.planning.describe import as_config, as_yaml
from medseg.planning.propose import grid_of, target_spacing
from medseg.planning.speed import Speed, probe_patch
from medseg.settings import checked
from medseg.training import TrainingConfig
from tests.planning.factory import make_fingerprint

# two CPU cores: 0.55 s for 59 billion multiply-adds in OpenVINO, 1.4 s a step in Keras
TWO_CORES = Speed(predicting=107e9, training=60e9)


def configured(measured, request=None, speed=None):
    request = request or Request()
    proposal = propose(measured, request, speed)
    config, choices = as_config(proposal, measured, speed)
    return proposal, checked({"dataset": "x", **config}, TrainingConfig, "plan"), choices


def test_thick_slices_take_the_tenth_percentile_across_and_the_median_in_plane():
    spacings = np.array([[z, 0.7, 0.7] for z in (2.5, 3.0, 5.0, 5.0, 6.0)])
    spacing, why = target_spacing(spacings, np.array([[20, 512, 512]] * 5))
    np.testing.assert_allclose(spacing, (2.7, 0.7, 0.7))
    assert "10th percentile" in why


def test_thick_slices_never_become_finer_than_the_plane():
    spacings = np.array([[z, 1.5, 1.5] for z in (1.0, 1.0, 5.0, 6.0, 6.0)])
    spacing, _ = target_spacing(spacings, np.array([[20, 512, 512]] * 5))
    np.testing.assert_allclose(spacing, (1.50001, 1.5, 1.5))


@pytest.mark.parametrize(
    ("spacings", "shape"), [((5, 1, 1), (200, 256, 256)), ((2.9, 1, 1), (20, 256, 256))]
)
def test_long_or_slightly_coarse_axes_take_the_median(spacings, shape):
    spacing, _ = target_spacing(np.array([spacings] * 3), np.array([shape] * 3))
    np.testing.assert_allclose(spacing, spacings)


def test_the_coarsest_axis_comes_first_whatever_it_is():
    sagittal = grid_of(make_fingerprint((256, 256, 20), (1.0, 1.0, 4.0)), Given())
    assert (sagittal.orientation, sagittal.spacing) == ("RSA", (4, 1, 1))
    assert sagittal.shape == (20, 256, 256)


def test_single_slices_get_a_two_dimensional_network():
    measured = make_fingerprint((1, 300, 200), cases=4, spacings=[(9, 1, 1), (5, 1, 1), (1, 1, 1)])
    proposal, config, _ = configured(measured)
    assert proposal.which == "2d"
    assert config.plan.patch[0] == 1
    assert config.plan.spacing[0] == 9  # so that every slice stays one slice
    assert list(proposal.configurations) == ["2d"]
    with pytest.raises(PlanRefused, match="does not allow 3d_fullres"):
        propose(measured, Request(which="3d_fullres"))


@pytest.mark.parametrize("preset", ["plain", "resenc-m"])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((48, 96, 80), (1, 1, 1)), ((3, 5, 4), (1, 1, 1)), ((20, 400, 400), (5.3, 0.61, 0.63)),
     ((1, 64, 64), (1, 1, 1)), ((600, 512, 512), (0.5, 0.5, 0.5)), ((40, 40, 2), (1, 1, 9))],
)  # fmt: skip
def test_every_plan_is_a_config_that_training_accepts(shape, spacing, preset):
    measured = make_fingerprint(shape, spacing)
    for nnunet in (True, False):
        _, config, choices = configured(measured, Request(preset=preset, nnunet=nnunet))
        assert config.plan.network == ("unet" if preset == "plain" else "residual_unet")
        assert all(choice.why for choice in choices)


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(*[st.integers(1, 500)] * 3),
    st.lists(st.tuples(*[st.floats(0.3, 9)] * 3), min_size=2, max_size=5),
    st.sampled_from([None, 1.0, 30.0]),
)
def test_a_plan_for_a_cpu_keeps_its_time(shape, spacings, seconds):
    measured = make_fingerprint(shape, spacings=spacings)
    request = Request(device="cpu", memory_gb=12, precision="bf16", seconds_per_scan=seconds)
    try:
        proposal, config, _ = configured(measured, request, TWO_CORES)
    except PlanRefused as refusal:
        if refusal.code == "time-short" and seconds is not None:
            return
        raise
    chosen = proposal.chosen
    taken = TWO_CORES.scan_seconds(chosen.network, chosen.patch, proposal.scan_shape)
    assert seconds is None or taken <= seconds
    step = TWO_CORES.step_seconds(chosen.network, chosen.patch, config.batch)
    assert step * config.total_steps <= request.hours * 3600 or config.epochs == 1


def test_more_seconds_a_scan_never_give_a_slimmer_network():
    measured = make_fingerprint((300, 400, 400))
    widths = []
    for seconds in (20, 60, 200, 600):
        request = Request(device="cpu", memory_gb=12, seconds_per_scan=seconds, hours=100)
        widths.append(propose(measured, request, TWO_CORES).chosen.network.features[0])
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_too_few_seconds_are_refused_with_what_it_would_take():
    request = Request(device="cpu", memory_gb=12, seconds_per_scan=0.001)
    with pytest.raises(PlanRefused, match=r"would take \d+ s, 0.001 s are allowed"):
        propose(make_fingerprint((300, 400, 400)), request, TWO_CORES)


def test_what_was_set_stays():
    chosen = Given(spacing=(2, 2, 2), patch=(32, 32, 32), features=(8, 16, 32), batch=5,
                   orientation="RAS")  # fmt: skip
    _, config, choices = configured(make_fingerprint(), Request(given=chosen))
    assert config.plan.spacing == (2, 2, 2)
    assert config.plan.patch == (32, 32, 32)
    assert config.plan.features == (8, 16, 32)
    assert (config.plan.orientation, config.batch) == ("RAS", 5)
    assert sum(choice.why == "as you set it" for choice in choices) == 5


def test_a_flat_patch_makes_a_two_dimensional_network():
    proposal, config, _ = configured(make_fingerprint(), Request(given=Given(patch=(1, 64, 64))))
    assert (proposal.which, config.plan.patch) == ("2d", (1, 64, 64))


def test_an_impossible_orientation_is_refused():
    with pytest.raises(PlanRefused, match="'RRS' is no orientation code"):
        propose(make_fingerprint(), Request(given=Given(orientation="RRS")))


@pytest.mark.parametrize(
    ("labels", "nnunet", "mirrored"),
    [
        (("Tumour",), False, "SAR"),
        (("Left kidney", "Right kidney"), False, "SAR"),
        (("Left kidney", "Left adrenal"), False, "SA"),
        (("hippocampus_anterior", "hippocampus_posterior"), False, "SR"),
        (("Left kidney", "Right kidney"), True, "SAR"),
    ],
)
def test_axes_whose_ends_labels_tell_apart_are_not_mirrored_unless_they_are_pairs(
    labels, nnunet, mirrored
):
    _, config, _ = configured(make_fingerprint(labels=labels), Request(nnunet=nnunet))
    orientation = config.plan.orientation
    assert "".join(orientation[axis] for axis in config.plan.mirror_axes) == mirrored


def test_ct_is_clipped_by_any_of_its_names_and_others_are_not():
    measured = make_fingerprint(channels=("ct_venous", "CT ", "T1", "contact"))
    _, config, _ = configured(measured)
    assert [one.normalisation for one in config.plan.channels] == [
        "clip", "clip", "zscore", "zscore",
    ]  # fmt: skip
    assert [one.modality for one in config.plan.channels] == ["CT", "CT", "MR", ""]


@pytest.mark.parametrize(("patients", "fold", "folds"), [(1, "all", 2), (3, 0, 3), (None, 0, 5)])
def test_folds_are_of_patients_and_one_patient_has_none(patients, fold, folds):
    measured = make_fingerprint().model_copy(update={"patients": patients})
    _, config, _ = configured(measured)
    assert (config.fold, config.folds) == (fold, folds)


def test_the_yaml_says_the_same_and_why():
    measured = make_fingerprint()
    proposal = propose(measured, Request())
    config, choices = as_config(proposal, measured)
    text = as_yaml(config, choices, "Planned.\nTwice.")
    assert yaml.safe_load(text) == config
    assert text.startswith("# Planned.\n# Twice.\nname: made-up\n")
    assert "spacing: [1.0, 1.0, 1.0] # the median of all cases" in text


def test_costs_are_those_that_can_be_counted_by_hand():
    measured = make_fingerprint((10, 20, 40), (2, 1, 1), cases=10, channels=("T1", "T2"))
    proposal = propose(measured, Request())
    training = Training(proposal.chosen.network, "SAR", (1, 1, 1), (16, 16, 32), 2, 7200)
    cost = cost_of(training, measured, device="gpu", precision="f16", optimizer="sgd",
                   speed=TWO_CORES)  # fmt: skip
    store = 10 * (20 * 20 * 40) * (2 * 2 + 1)
    assert cost.disk_gb == pytest.approx((store + 12 * cost.parameters) / 1e9)
    work = 3 * 2 * training.network.multiplications((16, 16, 32))
    assert cost.step_seconds == pytest.approx(work / 60e9)
    assert cost.hours == pytest.approx(cost.step_seconds * 2)


def test_memory_of_a_step_is_ram_only_where_there_is_no_card():
    measured = make_fingerprint((200, 200, 200))
    network = propose(measured, Request()).chosen.network
    training = Training(network, "SAR", (1, 1, 1), (64, 64, 64), 2, 1)
    common = {"precision": "f32", "optimizer": "sgd"}
    gpu, cpu = (cost_of(training, measured, device=one, **common) for one in ("gpu", "cpu"))
    assert gpu.step_gb == cpu.step_gb > 1
    assert gpu.ram_gb < cpu.ram_gb
    assert gpu.hours is None


def test_a_large_patch_is_cut_before_it_is_timed():
    network = propose(make_fingerprint((300, 300, 300)), Request(memory_gb=40)).chosen.network
    patch = probe_patch(network, (128, 128, 128))
    assert network.topology.padded(patch) == patch
    assert math.prod(patch) < 128**3
