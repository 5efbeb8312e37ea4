"""Regions and voxels that nobody labelled, from the data set to the mask."""

import csv

import numpy as np
import pytest

from medseg.augmentation import recipe
from medseg.datasets.statistics import foreground_window
from medseg.datasets.store import store_cases
from medseg.errors import InputRefused
from medseg.inference import Segmenter
from medseg.reading import read
from medseg.training import load_config, train
from medseg.training.metrics import Dice
from medseg.training.opening import open_training
from medseg.training.sampler import Patches, truth_table
from medseg.training.validate import dice_of
from tests.datasets.test_dataset import make_msd, save
from tests.training.test_train import CONFIG

REGIONS = """
labels:
  - {value: 1, name: Rim}
  - {value: 2, name: Core}
  - {value: 7, name: Whole, region: [1, 2]}
  - {value: 8, name: Inner, region: [2]}
ignore: 9
"""
SHAPE = (12, 12, 12)


def truth_of(number):
    truth = np.zeros(SHAPE, np.uint8)
    truth[2:9, 2:9, 2:9] = 1
    truth[4:7, 4:7, 4:7] = 2
    truth[:, :, 10:] = 9  # nobody looked there
    truth[0, 0, number] = 9
    return truth


@pytest.fixture
def config(tmp_path):
    """Write a data set of a lump in a lump, brighter inside, and a config of regions for it."""
    labels = {"0": "background", "1": "Rim", "2": "Core", "9": "unseen"}
    make_msd(tmp_path / "data", cases=4, labels=labels)
    for n in range(4):
        truth = truth_of(n)
        image = np.where(truth == 9, 0, truth).astype(np.float32) * 2
        save(tmp_path / "data" / "labelsTr" / f"case_{n}.nii.gz", truth)
        save(tmp_path / "data" / "imagesTr" / f"case_{n}.nii.gz", image)
    text = CONFIG.replace("folds: 3", "folds: 2").replace("mirror", "x") + REGIONS
    text = text.replace("features: [2, 4]", "features: [4, 8]\n  outputs: regions")
    text = text.replace("epochs: 2", "epochs: 4").replace("steps: 3", "steps: 25")
    text = text.replace("patch: [4, 4, 4]", "patch: [8, 8, 8]").replace("rate: 1e-2", "rate: 3e-2")
    path = tmp_path / "regions.yaml"
    path.write_text(text)
    return path


@pytest.mark.slow
def test_a_network_learns_regions_and_paints_them(config, tmp_path):
    package = train(load_config(config), tmp_path / "run")
    assert package.plan.outputs == "regions"
    assert package.card.results[0].figures["Dice, Whole"] > 0.8
    assert package.card.results[0].figures["Dice, Inner"] > 0.8
    with (tmp_path / "run" / "validation.csv").open() as stream:
        assert {row["label"] for row in csv.DictReader(stream)} == {"Whole", "Inner"}
    segmenter = Segmenter.load(package.path, engine="keras", device="cpu")
    volume = read(tmp_path / "data" / "imagesTr" / "case_0.nii.gz")
    result = segmenter.predict(volume, probabilities=True)
    whole, inner = (result.probabilities[..., n] > 0.5 for n in (0, 1))
    assert np.array_equal(result.labels.array, np.select([inner, whole], [2, 1], 0))
    assert result.labels.volumes_ml()["Whole"] > 0


def test_truth_of_patches_is_a_channel_a_region_and_minus_one_where_nobody_labelled(
    config, tmp_path
):
    training = open_training(load_config(config))
    plan = training.plan
    assert training.dataset.ignore == 9
    assert [label.name for label in plan.labels.plain] == ["Rim", "Core"]
    assert plan.network.arguments["classes"] == 2
    cases = store_cases(training.dataset.cases, plan, tmp_path / "store", ignore=9)
    patches = Patches(cases, recipe("none", (1, 1, 1), SHAPE, ()), SHAPE, batch=4, steps=1,
                      foreground=0.5, scales=[(1, 1, 1), (2, 2, 2)], seed=0,
                      table=truth_table(cases[0].classes.dtype, plan))  # fmt: skip
    _, (fine, coarse) = patches[0]
    assert fine.shape == (4, *SHAPE, 2)
    assert coarse.shape == (4, 6, 6, 6, 2)
    assert np.array_equal(coarse, fine[:, 1::2, 1::2, 1::2])
    assert set(np.unique(fine)) == {-1, 0, 1}
    assert np.array_equal(fine[..., 0] == -1, fine[..., 1] == -1)
    assert (fine[..., 0] >= fine[..., 1]).all()  # the inner region lies in the whole


def test_patches_are_centred_on_labelled_voxels(config, tmp_path):
    training = open_training(load_config(config))
    cases = store_cases(training.dataset.cases, training.plan, tmp_path / "store", ignore=9)
    for case, number in zip(cases, range(4), strict=True):
        assert set(case.foreground) == {1, 2}
        labelled = truth_of(number)[tuple(case.labelled.T)]
        assert set(labelled.tolist()) == {0, 1, 2}
    patches = Patches(cases, recipe("none", (1, 1, 1), (1, 1, 1), ()), (1, 1, 1), batch=64,
                      steps=1, foreground=0, scales=[(1, 1)], seed=0)  # fmt: skip
    _, truth = patches[0]
    assert (truth >= 0).all()  # fails when centres are drawn anywhere: a sixth is unlabelled


def test_all_cases_labelled_everywhere_draw_as_before(tmp_path):
    make_msd(tmp_path, cases=1)
    (tmp_path / "c.yaml").write_text(CONFIG.replace("dataset: data", f"dataset: {tmp_path}")
                                     .replace("fold", "fold: all\nfold", 1))  # fmt: skip
    training = open_training(load_config(tmp_path / "c.yaml"))
    (case,) = store_cases(training.dataset.cases, training.plan, tmp_path / "store")
    assert case.labelled is None


def test_unlabelled_voxels_are_in_no_statistics_and_no_score(config):
    training = open_training(load_config(config))
    window = foreground_window(training.dataset.cases, training.plan.labels, 0, 0, ignore=9)
    assert window.low == 2  # with the unlabelled ones it were 0
    truth, found = truth_of(0), np.where(truth_of(0) == 9, 1, truth_of(0))
    labels = training.plan.labels.regions
    assert dice_of(truth, found, labels, ignore=9) == {"Whole": 1, "Inner": 1}
    assert dice_of(truth, found, labels)["Whole"] < 1


def test_regions_that_cannot_be_painted_are_refused_before_anything_is_computed(config):
    text = config.read_text().replace("region: [2]", "region: [1, 2]")
    config.write_text(text)
    with pytest.raises(InputRefused, match="Inner has the values 1, 2 for itself"):
        open_training(load_config(config))


@pytest.mark.parametrize("regions", [False, True])
def test_metrics_leave_unlabelled_voxels_out(regions):
    rng = np.random.default_rng(0)
    if regions:
        truth = rng.integers(0, 2, (2, 5, 6, 2))
        logits = rng.normal(size=(2, 5, 6, 2)).astype(np.float32)
        found, true = logits > 0, truth == 1
    else:
        truth = rng.integers(0, 3, (2, 5, 6, 1))
        logits = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
        found = np.stack([logits.argmax(axis=-1) == n for n in (1, 2)], axis=-1)
        true = truth == [1, 2]
    truth[:, 3:] = -1
    shared = (found & true)[:, :3].sum(axis=(1, 2))
    both = found[:, :3].sum(axis=(1, 2)) + true[:, :3].sum(axis=(1, 2))
    metric = Dice(3)
    metric.update_state(truth, logits)
    assert float(metric.result()) == pytest.approx(np.mean(2 * shared / both), abs=1e-6)
