"""A classifier from data to calibrated predictions, trained once for all tests here."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from medseg.batch import classify
from medseg.datasets.images import open_images
from medseg.errors import InputRefused, ModelRefused, OutputFailed, PlanRefused
from medseg.inference import Segmenter
from medseg.inference.classifier import Classifier
from medseg.models import ModelPackage
from medseg.reading.picture import volume_of_pixels
from medseg.training import load_config, train
from medseg.training.fit import fit
from medseg.training.judging import cross_measured, judge
from medseg.training.opening import open_training
from medseg.training.sampler import Images
from medseg.training.whole_images import dealt
from tests.cli.test_main import run
from tests.datasets.images_factory import make_arrays, make_pixels, make_rows, make_table

CONFIG = """
name: halves
task: classify
dataset: images.npz
classes: [left, right]
plan:
  orientation: SPL
  spacing: [1, 1, 1]
  patch: [1, 16, 16]
  channels: [{name: grey}]
  network: textbook_cnn
  features: [4, 8]
augmentation: none
batch: 8
epochs: 4
checkpoint_epochs: 1
optimizer: {name: adamw, rate: 1e-2}
precision: f32
card:
  intended_use: Nothing.
  modality: None
  training_data: [{name: Made up, licence: CC0-1.0, attribution: Nobody}]
"""


def write_config(folder, **changes):
    path = folder / "halves.yaml"
    text = CONFIG
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a training and its package."""
    folder = tmp_path_factory.mktemp("halves")
    make_arrays(folder / "images.npz", (48, 20, 12))
    return folder, train(load_config(write_config(folder)), folder / "run")


def test_a_training_ends_in_a_package_that_tells_left_from_right(trained):
    folder, package = trained
    assert package.plan.task == "classify"
    assert package.plan.classes == ("left", "right")
    of_val, of_test = package.card.results
    assert of_val.measured_on.startswith("val part of images, 20 cases")
    assert of_test.figures["AUC"] == 1.0
    assert of_test.figures["recognised, left"] == 1.0
    assert ModelPackage.open(package.path).calibration == package.calibration
    assert package.calibration.cases == 20
    assert not (folder / "run" / "prepared").exists()


def test_predictions_and_references_are_written_for_evaluation(trained):
    folder, _ = trained
    with (folder / "run" / "test" / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert float(rows[0]["left"]) + float(rows[0]["right"]) == pytest.approx(1, abs=1e-5)
    assert (folder / "run" / "validation" / "references.csv").read_text().startswith("case,label")


def test_a_segmentation_has_no_key_of_classification_in_its_plan(trained):
    from medseg.labels import Label, LabelSet
    from medseg.plan import Channel, Network, Plan

    plan = Plan(spacing=(1, 1, 1), channels=(Channel(name="CT"),), patch=(4, 4, 4),
                network=Network(name="unet"), labels=LabelSet((Label(1, "Liver"),)))  # fmt: skip
    assert not {"classes", "fit"} & set(plan.model_dump(mode="json"))
    assert {"classes", "fit"} <= set(trained[1].plan.model_dump(mode="json"))


def test_images_of_another_kind_are_out_of_domain(trained):
    _, package = trained
    classifier = Classifier.load(package.path, engine="keras")
    pixels, _ = make_pixels(40, seed=9)
    rng = np.random.default_rng(0)
    inside = [classifier.predict(volume_of_pixels(one, "a")).in_domain for one in pixels]
    strange = [classifier.predict(volume_of_pixels(rng.normal(size=(16, 16)) * 9 + 2000, "a"))
               for _ in range(5)]  # fmt: skip
    assert np.mean(inside) > 0.8
    assert not any(one.in_domain for one in strange)
    assert not any(one.sure for one in strange)
    assert strange[0].findings[-1].code == "out-of-domain"


def test_an_image_of_another_size_is_refused_with_both_sizes(trained):
    _, package = trained
    classifier = Classifier.load(package.path, engine="keras")
    with pytest.raises(InputRefused, match=r"1 x 20 x 16 voxels .* takes 1 x 16 x 16") as refusal:
        classifier.predict(volume_of_pixels(np.eye(20, 16), "a"))
    assert refusal.value.code == "size-differs"


def test_a_classifier_does_not_segment_and_a_segmenter_does_not_classify(trained):
    with pytest.raises(ModelRefused, match="classifies whole images"):
        Segmenter.load(trained[1].path)
    with pytest.raises(ModelRefused, match="it does not classify"):
        Classifier.load("phantom-tumor-ct")


def test_pictures_of_a_folder_are_classified_with_one_model(trained, tmp_path, capsys):
    _, package = trained
    pixels, labels = make_pixels(4, seed=3)
    (tmp_path / "in").mkdir()
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(tmp_path / "in" / f"p{number}.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    status, out, _ = run(capsys, "classify", tmp_path / "in", "-m", package.path, "-o",
                         tmp_path / "out", "--engine", "keras")  # fmt: skip
    assert status == 6
    assert "4 classified, 1 refused" in out
    for number, label in enumerate(labels):
        said = json.loads((tmp_path / "out" / f"p{number}" / "result.json").read_text())
        assert said["label"] == ("left", "right")[label]
        assert said["calibrated_on"].startswith("val part of images")
        assert said["coverage"] == 0.9
        assert said["label"] in said["prediction_set"] or not said["prediction_set"]
    assert not (tmp_path / "out" / "bad").exists()
    assert len((tmp_path / "out" / "predictions.csv").read_text().splitlines()) == 5


def test_arrays_are_classified_and_earlier_results_are_kept(trained, tmp_path):
    folder, package = trained
    options = {"model": package.path, "out": tmp_path / "out", "engine": "keras"}
    done = classify(folder / "images.npz", **options)
    assert (done.exit_status, done.count("done")) == (0, 80)
    again = classify(folder / "images.npz", **options)
    assert again.exit_status == 5
    assert again.outcomes[0].code == "output-exists"
    one = tmp_path / "test-00001.png"
    Image.fromarray(make_pixels(1)[0][0]).save(one)
    with pytest.raises(OutputFailed, match="results of test-00001 already"):
        classify(one, **options)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("none.png", 3, "no file or folder"), ("bad.png", 3, "damaged or cut off")],
)
def test_a_refusal_is_one_line_and_its_status(trained, tmp_path, capsys, name, status, words):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    got, out, err = run(capsys, "classify", tmp_path / name, "-m", trained[1].path, "-o",
                        tmp_path / "out", "--engine", "keras")  # fmt: skip
    assert (got, out) == (status, "")
    assert words in err
    assert err.count("\n") == 1


def test_a_resumed_training_gives_the_weights_of_a_straight_one(trained, tmp_path):
    folder, _ = trained
    changes = ["plan.network=residual_classifier", "plan.arguments={dropout: 0.5, blocks: [1, 1]}"]
    config = load_config(folder / "halves.yaml", ["epochs=2", *changes])
    straight, _ = fit(open_training(config), tmp_path / "straight")

    def stop(stage, done, total, note):
        if stage == "train" and done == 8:  # in the second of two epochs of six steps
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(open_training(config), tmp_path / "two", progress=stop)
    resumed, _ = fit(open_training(config), tmp_path / "two", resume=True)
    for one, other in zip(straight.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))


def test_every_image_comes_once_before_any_comes_again(trained, tmp_path):
    from medseg.augmentation import recipe
    from medseg.datasets.image_store import store_images

    folder, package = trained
    cases = open_images(folder / "images.npz").part("train")
    stored = store_images(cases, package.plan, tmp_path)
    drawn = Images(stored, recipe("none", (1, 1, 1), (1, 16, 16), ()), batch=8, steps=6, seed=1)
    first = np.concatenate([drawn[n][0] for n in range(6)])
    assert len(np.unique(first.reshape(48, -1), axis=0)) == 48
    drawn.on_epoch_end()
    assert not np.array_equal(drawn[0][0], first[:8])
    assert drawn[0][0].shape == (8, 16, 16, 1)
    assert drawn[0][1].shape == (8, 1)


def test_a_disk_that_is_too_small_for_the_images_is_refused(trained, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OutputFailed, match="48 prepared images take"):
        fit(open_training(load_config(folder / "halves.yaml")), tmp_path / "run")


def test_groups_are_never_divided_and_every_fold_has_every_class(tmp_path):
    groups = [f"g{n // 4}" for n in range(40)]
    rows = [dict(row, label=("ill", "well")[(n // 4) % 2])
            for n, row in enumerate(make_rows(40, group=groups))]  # fmt: skip
    cases = open_images(make_table(tmp_path, rows)).cases
    folds = dealt(cases, 5, seed=1)
    assert set(folds) == set(groups)
    for number in range(5):
        labels = {case.label for case in cases if folds[case.group] == number}
        assert labels == {0, 1}


def test_a_fold_that_the_config_names_wins_over_the_data_sets_own_split(trained):
    folder, _ = trained
    own = open_training(load_config(folder / "halves.yaml"))
    told = open_training(load_config(folder / "halves.yaml", ["fold=1", "folds=4"]))
    assert len(own.fold.held_out) == 20
    assert len(told.fold.held_out) == 17
    again = open_training(load_config(folder / "halves.yaml", ["fold=1", "folds=4", "seed=7"]))
    assert again.fold == told.fold  # which is of split_seed
    assert not any(name.startswith("test") for name in (*told.fold.train, *told.fold.held_out))


def test_what_calibrates_does_not_judge_itself(trained):
    folder, package = trained
    held_out = judge(Classifier.load(package.path, engine="keras"),
                     open_images(folder / "images.npz").part("val"))  # fmt: skip
    figures = cross_measured(held_out, "val", seed=0).figures
    assert 0 <= figures["truth in its set"] <= 1
    assert figures["AUC"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("network: textbook_cnn", "network: unet"), "plan.network: to classify, it is one of"),
        (("task: classify", "task: segment"), "plan.network: to segment, it is one of"),
    ],
)
def test_network_and_task_must_fit(tmp_path, change, words):
    with pytest.raises(PlanRefused, match=words):
        load_config(write_config(tmp_path, change=change))


@pytest.mark.parametrize(
    ("fit", "size"), [("crop", (20, 12)), ("resize", (33, 40)), ("exact", (16, 16))]
)
def test_images_come_to_the_size_of_the_network_as_the_plan_says(trained, fit, size):
    from medseg.preparing.whole import prepare_whole

    plan = trained[1].plan.model_copy(update={"fit": fit})
    image = volume_of_pixels(np.random.default_rng(0).normal(size=size), "a")
    prepared = prepare_whole(image, plan)
    assert prepared.shape == (1, 16, 16, 1)
    if fit == "crop":
        assert not prepared[0, :, :2].any()
        assert prepared[0, :, 2:14].all()
