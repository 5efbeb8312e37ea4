"""A training from config to package, resumed exactly, refused where it cannot work."""

import csv

import keras
import numpy as np
import pytest
import yaml
from PIL import Image

from medseg.augmentation import recipe
from medseg.datasets.store import store_cases
from medseg.errors import EngineFailed, ModelRefused, PlanRefused
from medseg.models import ModelPackage
from medseg.training import load_config, train
from medseg.training.checkpoint import Done, load_checkpoint, save_checkpoint
from medseg.training.config import write_config
from medseg.training.epochs import read_epochs
from medseg.training.fit import fit
from medseg.training.opening import open_training
from medseg.training.runs import open_runs
from medseg.training.sampler import Patches
from tests.training.conftest import CONFIG


def weights(model):
    return {v.path: keras.ops.convert_to_numpy(v.value) for v in model.variables}


def test_a_training_ends_in_a_package_with_its_figures_on_the_card(config, tmp_path):
    package = train(load_config(config), tmp_path / "run")
    assert ModelPackage.open(tmp_path / "run" / "model").hash == package.hash
    result = package.card.results[0]
    assert "fold 0 of 3, 2 cases" in result.measured_on
    with (tmp_path / "run" / "validation.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    mean = np.mean([float(row["dice"]) for row in rows])
    assert result.figures["Dice, Lump"] == pytest.approx(mean, abs=1e-4)
    assert not (tmp_path / "run" / "prepared").exists()
    epochs = read_epochs(tmp_path / "run" / "metrics.csv")
    assert [one.epoch for one in epochs] == [1, 2]
    assert all(0 <= one.score <= 1 and one.patches_a_second > 0 for one in epochs)
    with Image.open(tmp_path / "run" / "progress.png") as picture:
        assert min(picture.size) > 500
    again = load_config(tmp_path / "run" / "config.yaml")
    assert again == load_config(config).model_copy(update={"dataset": again.dataset})
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    shown = yaml.safe_load(package.card.configuration)
    assert shown == {key: written[key] for key in written if key not in ("dataset", "card")}
    _, (configuration,) = open_runs([tmp_path / "run"])  # its model is that of its config
    assert len(configuration.held_out) == 2


def test_a_resumed_training_gives_the_weights_of_a_straight_one(config, tmp_path):
    straight, _ = fit(open_training(load_config(config)), tmp_path / "straight")
    training = open_training(load_config(config))
    stopped = _Stop("after the first epoch")
    with pytest.raises(_Stop):
        fit(training, tmp_path / "two", progress=_stop_at(4, stopped))
    resumed, minutes = fit(training, tmp_path / "two", resume=True)
    assert minutes > 0
    for path, array in weights(straight).items():
        np.testing.assert_array_equal(weights(resumed)[path], array, err_msg=path)
    of_both = [read_epochs(tmp_path / name / "metrics.csv") for name in ("straight", "two")]
    assert [one.epoch for one in of_both[1]] == [1, 2]
    # nan, the score of patches without a label, equals itself here
    assert repr([one.score for one in of_both[1]]) == repr([one.score for one in of_both[0]])


class _Stop(Exception):
    """Stands for a power cut."""


def _stop_at(step, stop):
    def progress(stage, done, total, note):
        if stage == "train" and done == step:
            raise stop

    return progress


def test_a_training_is_not_overwritten(config, tmp_path):
    training = open_training(load_config(config, ["epochs=1"]))
    fit(training, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(PlanRefused, match="run holds a training already") as refusal:
        fit(training, tmp_path / "run")
    assert refusal.value.code == "training-there"
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    again, _ = fit(training, tmp_path / "run", overwrite=True)
    assert all(np.isfinite(array).all() for array in weights(again).values())
    assert [one.epoch for one in read_epochs(tmp_path / "run" / "metrics.csv")] == [1]


def test_what_a_killed_process_left_half_written_is_removed(config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".0a1b2c3d.part.checkpoint.safetensors").write_bytes(b"half")
    fit(open_training(load_config(config, ["epochs=1"])), tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*part*"))


def test_a_checkpoint_of_another_training_is_refused(config, tmp_path):
    fit(open_training(load_config(config)), tmp_path / "run")
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    other = open_training(load_config(config, ["seed=1"]))
    with pytest.raises(ModelRefused, match="belongs to another training") as refusal:
        fit(other, tmp_path / "run", resume=True)
    assert "--overwrite" in refusal.value.do
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_a_checkpoint_without_the_state_of_this_optimizer_is_refused(tmp_path):
    layers = [keras.Input((1,)), keras.layers.Dense(1)]
    plain, adam = (keras.Sequential(layers) for _ in range(2))
    plain.compile(keras.optimizers.SGD())
    plain.optimizer.build(plain.trainable_variables)
    adam.compile(keras.optimizers.AdamW())
    save_checkpoint(tmp_path / "a.safetensors", plain, Done(1, 1.0), "same")
    assert load_checkpoint(tmp_path / "a.safetensors", plain, "same") == Done(1, 1.0)
    with pytest.raises(ModelRefused, match="another kind of training step"):
        load_checkpoint(tmp_path / "a.safetensors", adam, "same")


def test_a_folder_that_no_training_made_is_neither_used_nor_removed(config, tmp_path):
    mine = tmp_path / "run" / "prepared" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(PlanRefused, match="a folder prepared that no training has made"):
        train(load_config(config), tmp_path / "run")
    assert [path.name for path in tmp_path.joinpath("run").rglob("*")] == ["prepared", "mine.txt"]


def test_held_out_cases_of_which_none_can_be_used_are_not_scored(config, tmp_path):
    told = load_config(config, ["skip_refused=true", "epochs=1"])
    for name in open_training(told).fold.held_out:
        (config.parent / "data" / "imagesTr" / f"{name}.nii.gz").write_bytes(b"nothing")
    package = train(told, tmp_path / "run")
    assert package.card.results == ()


def test_no_case_to_train_on_is_refused(config, tmp_path):
    told = load_config(config, ["skip_refused=true"])
    for name in open_training(told).fold.train:
        (config.parent / "data" / "imagesTr" / f"{name}.nii.gz").write_bytes(b"nothing")
    with pytest.raises(PlanRefused, match="No case that can be used is left to train on"):
        fit(open_training(told), tmp_path / "run")


class _Spoil(keras.callbacks.Callback):
    """Makes the second epoch's loss NaN."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.model.trainable_variables[0].assign(self.model.trainable_variables[0] * np.nan)


def test_a_loss_that_runs_away_is_told_though_the_best_weights_are_sound(config, tmp_path):
    told = load_config(config, ["patience=5", "optimizer.average=0"])
    with pytest.raises(EngineFailed, match="The loss became NaN or infinite"):
        fit(open_training(told), tmp_path / "run", callbacks=[_Spoil()])


def test_a_loss_that_runs_away_ends_the_training_with_the_remedy(config, tmp_path):
    with pytest.raises(EngineFailed, match="The loss became NaN or infinite") as failure:
        train(load_config(config, ["optimizer.rate=1e38"]), tmp_path / "run")
    assert failure.value.code == "loss-diverged"
    assert "optimizer.rate" in failure.value.do
    assert not (tmp_path / "run" / "model").exists()


def test_the_policy_of_the_session_is_not_changed(config, tmp_path):
    fit(open_training(load_config(config, ["precision=bf16"])), tmp_path / "run")
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs: 2", r"tiny\.yaml:\d+: epochs: .*greater than 0"),
        ("features: [2, 4]", r"tiny\.yaml:\d+: plan\.patch: 4 is not a multiple"),
        ("precision: f32", r"tiny\.yaml:\d+: precision: .*'auto'"),
        ("name: tiny", r"name: .*pattern"),
        (
            "intended_use: Nothing.",
            r"tiny\.yaml:\d+: card\.intended_us: there is no such key; did you mean intended_use",
        ),
        ("folds: 3", r"There is no parameter of gamma 'power'. Did you mean 'powers'"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_key(config, text, words):
    wrong = {"epochs: 2": "epochs: 0", "features: [2, 4]": "features: [2, 4, 8, 16]",
             "precision: f32": "precision: int8", "name: tiny": "name: ../up",
             "folds: 3": "folds: 3\naugmentation: {recipe: light, gamma: {power: [1, 2]}}",
             "intended_use: Nothing.": "intended_use: N.\n  intended_us: x"}[text]  # fmt: skip
    config.write_text(CONFIG.replace(text, wrong, 1))
    with pytest.raises(PlanRefused, match=words):
        load_config(config)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("version=1 beta", "--set version: "),
        ('card.intended_use=""', r"--set card\.intended_use: "),
        ("plan.orientation=ras", "plan.orientation: 'ras' is no orientation code"),
        ("plan.orientation=RAR", "plan.orientation: 'RAR' is no orientation code"),
        ("plan.strides=[[1, 1], [2, 2]]", "plan.strides: a patch of 3 dimensions needs 3 numbers"),
        ("plan.patch=[1, 4]", "plan.patch: value 3 is missing"),
        ("plan.arguments={classes: 3}", "classes cannot stand here"),
        ("plan.encoder_weights=a.h5", "for the network backbone_unet alone"),
        ("plan.network=unett", "plan.network: there is no 'unett'; did you mean unet"),
        ("augmentation=lihgt", "augmentation: There is no recipe 'lihgt'. Did you mean 'light'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_data_are_read(config, told, words):
    with pytest.raises(PlanRefused, match=words):
        load_config(config, [told])


def test_a_fold_that_was_named_is_written_even_if_it_is_the_default(config, tmp_path):
    write_config(load_config(config, ["fold=0"]), tmp_path / "written.yaml")
    assert "fold" in load_config(tmp_path / "written.yaml").model_fields_set


def test_an_override_wins_and_its_error_names_the_option(config):
    assert load_config(config, ["optimizer.rate=1e-4"]).optimizer.rate == pytest.approx(1e-4)
    with pytest.raises(PlanRefused, match=r"--set optimizer\.rate: Input"):
        load_config(config, ["optimizer.rate=-1"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "a comes twice"),
        ("a: &x [1]\nb: *x", "aliases are not allowed"),
        ("a: [1", "no valid YAML"),
        ("", "is empty"),
        ("[1, 2]", "dictionary"),
        ("name: {{x}}", "a key is a plain word"),
        ("name: a\x07", "no valid YAML"),
    ],
)
def test_yaml_that_is_no_config_is_refused(config, text, words):
    config.write_text(text)
    with pytest.raises(PlanRefused, match=words):
        load_config(config)


def test_a_config_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PlanRefused, match=r"none\.yaml cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_labels_of_config_and_data_set_must_agree(config):
    labels = "labels: [{value: 1, name: Lump}]\nplan:"
    config.write_text(CONFIG.replace("plan:", labels, 1))
    with pytest.raises(PlanRefused, match=r"names label values \(1,\), Made up has \(5,\)"):
        open_training(load_config(config))


def test_sided_labels_are_swapped_in_training_or_the_axis_is_dropped(config):
    alone = open_training(load_config(config))
    assert (alone.plan.mirror_axes, alone.plan.swap, alone.findings) == ((0, 1, 2), (), ())
    sided = CONFIG.replace("plan:", "labels: [{value: 5, name: Left lump}]\nplan:", 1)
    config.write_text(sided)
    dropped = open_training(load_config(config))
    assert dropped.plan.mirror_axes == (1, 2)
    assert [finding.code for finding in dropped.findings] == ["mirror-axis-dropped"]
    assert open_training(load_config(config, ["pairs=none"])).plan.mirror_axes == (0, 1, 2)
    with pytest.raises(PlanRefused, match="9 is no label"):
        open_training(load_config(config, ["pairs=[[5, 9]]"]))
    # what was never mirrored in training is not in testing
    assert open_training(load_config(config, ["augmentation=none"])).plan.mirror_axes == ()


def test_a_training_with_named_steps_and_albumentations_learns(config, tmp_path):
    steps = "{gaussian_noise: {}, albumentations: [{Rotate: {p: 0.5}}]}"
    model, _ = fit(open_training(load_config(config, [f"augmentation={steps}"])), tmp_path / "run")
    assert all(np.isfinite(array).all() for array in weights(model).values())


def test_batches_depend_on_seed_epoch_and_number_alone(config, tmp_path):
    training = open_training(load_config(config))
    cases = store_cases(training.dataset.cases, training.plan, tmp_path / "store")

    def patches(epoch):
        return Patches(cases, recipe("default", (1, 1, 1), (4, 4, 4), (0,)), (4, 4, 4), batch=3,
                       steps=2, foreground=0.34, scales=[(1, 1, 1), (2, 2, 2)], seed=1,
                       first_epoch=epoch)  # fmt: skip

    walked = patches(0)
    walked.on_epoch_end()
    image, (fine, coarse) = walked[1]
    again, (same, _) = patches(1)[1]
    assert np.array_equal(image, again)
    assert np.array_equal(fine, same)
    assert image.shape == (3, 4, 4, 4, 1)
    assert coarse.shape == (3, 2, 2, 2, 1)
    assert np.array_equal(coarse, fine[:, 1::2, 1::2, 1::2])
    assert fine[-1].any()  # the last patch of a batch is centred on the label


def test_further_arguments_reach_the_network(config):
    told = ["plan.network=vnet", "plan.arguments={convolutions: [2, 1]}"]
    plan = open_training(load_config(config, told)).plan
    assert plan.network.arguments["convolutions"] == [2, 1]
    assert "encoder_weights" not in plan.network.arguments  # a path is nothing for a package


def test_paths_in_a_config_count_from_its_folder_and_are_written_in_full(config, tmp_path):
    told = ["plan.network=backbone_unet", "plan.encoder_weights=../weights.h5"]
    read = load_config(config, told)
    assert read.plan.encoder_weights == config.parent / "../weights.h5"
    write_config(read, tmp_path / "written.yaml")
    again = load_config(tmp_path / "written.yaml")
    assert again.plan.encoder_weights == (config.parent / "../weights.h5").resolve()
    assert open_training(again).identity == open_training(read).identity  # it can be resumed


@pytest.mark.parametrize(
    "told", ["plan.arguments={convolution: [2, 1]}", "loss={name: tversky, alpha_: 1}"]
)
def test_arguments_of_no_network_or_loss_are_refused_before_anything_is_written(
    config, tmp_path, told
):
    training = open_training(load_config(config, [told]))
    with pytest.raises(PlanRefused, match="cannot be built"):
        fit(training, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_cases_of_a_patient_are_held_out_together_where_their_names_tell(config):
    of_one = {"case_0", "case_1", "case_2", "case_3"}
    fold = open_training(load_config(config, ["patient_pattern='case_[45]|case'"])).fold
    assert of_one <= set(fold.train) or of_one <= set(fold.held_out)
    plain = open_training(load_config(config)).fold
    assert of_one & set(plain.train)
    assert of_one & set(plain.held_out)


def test_patches_around_labels_stay_within_a_case_that_is_larger(config, tmp_path):
    training = open_training(load_config(config))
    cases = store_cases(training.dataset.cases, training.plan, tmp_path / "store")
    patch = (5, 6, 7)  # of 6 x 7 x 8; labels lie at its edge
    patches = Patches(cases, recipe("none", (1, 1, 1), patch, ()), patch, batch=32, steps=1,
                      foreground=1.0, scales=[(1, 1, 1)], seed=0)  # fmt: skip
    image, truth = patches[0]
    assert (image != 0).all()  # outside a case it is 0
    assert all(one.any() for one in truth)
