"""What is chosen by held-out cases, and what is not."""

import json

import numpy as np
import pytest

from medseg.errors import InputRefused, ModelRefused, PlanRefused
from medseg.inference import Segmenter
from medseg.labels import Label, LabelSet
from medseg.models import LargestComponent, ModelPackage, write_package
from medseg.plan import Channel, Clip, Network, Plan
from medseg.training import held_out
from medseg.training.config import load_config
from medseg.training.find_best import find_best
from medseg.training.runs import open_runs
from tests.cli.conftest import medseg  # noqa: F401 - a fixture
from tests.datasets.test_dataset import make_msd, save
from tests.models.conftest import card, weights  # noqa: F401 - fixtures
from tests.training.test_train import CONFIG

CASES, FOLDS = 9, 3


class Noisy:
    """An engine that finds what is above 0, with noise of its own on every tile."""

    name, precision, device, versions = "noisy", "f32", "cpu", {"made up": "1"}

    def __init__(self, noise, seed):
        self.noise = noise
        self.rng = np.random.default_rng(seed)

    def __call__(self, tiles):
        lump = tiles + self.rng.normal(0, self.noise, tiles.shape)
        return np.concatenate([np.zeros_like(tiles), lump], axis=-1).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    """Write a data set whose images are 20 in the lump and 0 elsewhere."""
    make_msd(tmp_path / "data", cases=CASES)
    for n in range(CASES):
        truth = np.zeros((10, 10, 10), np.uint8)
        truth[2:6, 2:6, 2:6] = 5
        save(tmp_path / "data" / "labelsTr" / f"case_{n}.nii.gz", truth)
        save(tmp_path / "data" / "imagesTr" / f"case_{n}.nii.gz", truth.astype(np.float32) * 4)
    return tmp_path / "data"


def add_specks(data, cases):
    import nibabel

    for n in range(cases):
        path = data / "imagesTr" / f"case_{n}.nii.gz"
        array = nibabel.load(path).get_fdata(dtype=np.float32)
        array[9, 9, n] = 20
        save(path, array)


@pytest.fixture
def make_run(tmp_path, data, card, weights, monkeypatch):  # noqa: F811
    """Write the folder of a training; its network is a Noisy engine."""

    def load(path, **_):
        package = ModelPackage.open(path)
        noise, seed = map(float, package.version.split("-"))
        loads.append(package.hash)
        return Segmenter(package, Noisy(noise, int(seed)))

    loads = []
    monkeypatch.setattr(held_out.Segmenter, "load", load)

    def write(name, fold, noise=0.0, **changes):
        folder = tmp_path / "runs" / f"{name}-{fold}"
        folder.mkdir(parents=True)
        text = CONFIG.replace("dataset: data", f"dataset: {data}").replace("tiny", name)
        text = text.replace("epochs: 2", f"epochs: {len(name)}")  # what makes a configuration
        (folder / "config.yaml").write_text(f"{text}fold: {fold}\n")
        window = Clip(low=0, high=20, mean=10, deviation=10)
        plan = Plan(
            spacing=(1, 1, 1), channels=(Channel(name="MR", normalisation=window),),
            patch=(10, 10, 10), network=Network(name="unet"),
            labels=LabelSet((Label(5, "Lump"),)),
        )  # fmt: skip
        seed = sum(map(ord, name)) + (0 if fold == "all" else fold)
        moved = {path: array + seed for path, array in weights.items()}
        plain = card.model_copy(update={"configuration": ""})  # not that of another training
        told = {"name": name, "version": f"{noise}-{seed}", "plan": plan, "card": plain,
                "weights": moved}  # fmt: skip
        write_package(folder / "model", **{**told, **changes})
        return folder

    write.loads = loads
    return write


def runs_of(make_run, name, noise=0.0):
    return [make_run(name, fold, noise) for fold in range(FOLDS)]


def test_a_step_that_surely_helps_is_taken_and_its_evidence_kept(make_run, data, tmp_path):
    add_specks(data, CASES)
    best = find_best(runs_of(make_run, "lump"), tmp_path / "best")
    assert best.package.postprocessing == (LargestComponent(label=5),)
    opened = ModelPackage.open(tmp_path / "best")
    assert len(opened.networks) == FOLDS
    base, largest, *others = opened.evidence
    assert (base.candidate, base.chosen, base.cases) == ("lump", True, CASES)
    assert base.figures["Dice, Lump"] == pytest.approx(128 / 129)
    assert (largest.candidate, largest.chosen) == ("keep the largest component of Lump", True)
    assert largest.figures["Dice, Lump"] == 1
    assert largest.gain == pytest.approx(1 / 129, abs=1e-6)
    assert largest.low > 0
    assert not any(one.chosen for one in others)
    assert opened.card.results[0].figures["Dice, Lump"] == 1
    assert opened.card.results[0].intervals["Dice, Lump"] == (1, 1)
    assert f"{CASES} cases" in opened.card.results[0].measured_on


def test_a_right_nothing_is_not_in_the_figures_of_the_card(make_run, data, tmp_path):
    add_specks(data, CASES)
    for n in range(4):  # without a lump
        empty = np.zeros((10, 10, 10), np.float32)
        save(data / "labelsTr" / f"case_{n}.nii.gz", empty.astype(np.uint8))
        empty[9, 9, n] = 20
        save(data / "imagesTr" / f"case_{n}.nii.gz", empty)
    for n in range(4, CASES):  # a layer too much is found
        image = np.zeros((10, 10, 10), np.float32)
        image[2:7, 2:6, 2:6] = 20
        save(data / "imagesTr" / f"case_{n}.nii.gz", image)
    best = find_best(runs_of(make_run, "lump"), tmp_path / "best")
    assert best.package.postprocessing
    assert best.package.card.results[0].figures["Dice, Lump"] == pytest.approx(128 / 144)


def test_a_step_that_helps_two_of_nine_is_not(make_run, data, tmp_path):
    # a resampling draws none of the two in (7/9)^9 = 10 % of times
    add_specks(data, 2)
    best = find_best(runs_of(make_run, "lump"), tmp_path / "best")
    assert best.package.postprocessing == ()
    assert best.evidence[1].gain > 0


def test_of_two_configurations_the_better_is_taken_or_their_pair_where_surely_better(
    make_run, tmp_path
):
    runs = [*runs_of(make_run, "clear", 0.3), *runs_of(make_run, "blurred", 3.0)]
    best = find_best(runs, tmp_path / "best")
    assert [one.candidate for one in best.evidence if one.chosen][:1] == ["clear"]
    assert len(best.package.networks) == FOLDS
    runs = [*runs_of(make_run, "one", 0.9), *runs_of(make_run, "other", 0.9)]
    best = find_best(runs, tmp_path / "pair.zip", name="pair")
    pair = next(one for one in best.evidence if one.candidate == "one + other")
    assert pair.chosen
    assert pair.low > 0
    assert len(best.package.networks) == 2 * FOLDS
    assert ModelPackage.open(tmp_path / "pair.zip").name == "pair"


def test_masks_are_kept_for_the_next_call(make_run, tmp_path):
    runs = runs_of(make_run, "lump", 0.5)
    first = find_best(runs, tmp_path / "best")
    assert len(make_run.loads) == FOLDS
    damaged = next((tmp_path / "best.held-out").rglob("case_0.npz"))
    damaged.write_bytes(b"PK\x03\x04 no more")
    again = find_best(runs, tmp_path / "best")
    assert len(make_run.loads) == FOLDS + 1
    assert again.package.evidence[0].candidate == first.package.evidence[0].candidate


def test_a_case_that_trainings_could_skip_is_left_out(make_run, data, tmp_path):
    (data / "imagesTr" / "case_0.nii.gz").write_bytes(b"nothing")
    runs = runs_of(make_run, "lump")
    with pytest.raises(InputRefused, match="case_0"):
        find_best(runs, tmp_path / "best")
    for run in runs:
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(f"{text}skip_refused: true\n")
    best = find_best(runs, tmp_path / "best")
    assert (best.cases, best.left_out) == (CASES - 1, 1)


def test_the_name_of_a_case_does_not_lead_out_of_the_folder_of_masks(make_run, tmp_path):
    _, (configuration,) = open_runs([make_run("one", 0)])
    place = held_out._place(tmp_path / "masks", "../../out", configuration.runs)
    assert place.resolve().parent.parent == tmp_path / "masks"


def test_only_cases_that_all_held_out_are_compared(make_run, tmp_path):
    runs = [make_run("one", 0), make_run("one", 1), make_run("other", 1)]
    best = find_best(runs, tmp_path / "best")
    assert (best.cases, best.left_out) == (3, 3)
    with pytest.raises(PlanRefused, match="No case was held out by every") as refusal:
        find_best([runs[0], runs[2]], tmp_path / "best")
    assert refusal.value.code == "cases-not-shared"


def test_runs_that_cannot_be_compared_are_refused(make_run, tmp_path, card, weights):  # noqa: F811
    one = make_run("one", 0)
    with pytest.raises(PlanRefused, match=r"has the folds \[0, 0\]"):
        open_runs([one, one])
    with pytest.raises(PlanRefused, match="Run 2 held no case out"):
        open_runs([one, make_run("one", "all")])
    with pytest.raises(PlanRefused, match=r"holds no config\.yaml"):
        open_runs([tmp_path])
    earlier = card.model_copy(update={"configuration": "{name: one, fold: 2}"})
    with pytest.raises(PlanRefused, match="of an earlier training there"):
        open_runs([one, make_run("one", 1, card=earlier)])
    plan = ModelPackage.open(one / "model").plan
    (one.parent / "one-1").rename(one.parent / "earlier")
    other = plan.model_copy(update={"labels": LabelSet((Label(5, "Bump"),))})
    with pytest.raises(PlanRefused, match="Run 2 is for other labels"):
        open_runs([one, make_run("one", 1, plan=other)])
    pair = make_run("pair", 1, others=[(plan, weights)])
    with pytest.raises(ModelRefused, match="run 2 is an ensemble"):
        open_runs([one, pair])


def test_configurations_of_one_name_are_told_apart(make_run):
    runs = [make_run("one", fold) for fold in range(3)]
    gamma = "recipe: light, gamma: {probability: 0.25}, spatial: {degrees: 9, scales: [0.9, 1.1]}"
    for run, augmentation in zip(runs, (f"{{{gamma}}}", "{recipe: light}", "none"), strict=True):
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(f"{text}augmentation: {augmentation}\n")
    changed = (runs[1] / "config.yaml").read_text().replace("epochs: 3", "epochs: 4")
    (runs[1] / "config.yaml").write_text(changed)
    assert load_config(runs[1] / "config.yaml").epochs == 4
    _, configurations = open_runs(runs)
    assert [one.name for one in configurations] == ["one", "one (2)", "one (3)"]
    left_out = {"augmentation.gamma left out", "augmentation.spatial left out"}
    assert [set(one.changes) for one in configurations] == [
        set(), {*left_out, "epochs 4"}, {"augmentation none"}]  # fmt: skip
    _, configurations = open_runs(runs[::-1])
    assert configurations[2].changes == ("augmentation",)


def test_the_command_shows_every_candidate_and_what_was_taken(
    make_run, data, tmp_path, medseg  # noqa: F811
):  # fmt: skip
    add_specks(data, CASES)
    runs = runs_of(make_run, "lump")
    status, out, _ = medseg("find-best", *runs, "-o", tmp_path / "best")
    assert status == 0
    assert "keep the largest component of Lump" in " ".join(out.split())
    assert "3 networks, 1 step of post-processing" in " ".join(out.split())
    status, out, _ = medseg("find-best", *runs, "-o", tmp_path / "best", "--json")
    told = json.loads(out)
    assert (told["cases"], told["networks"]) == (CASES, FOLDS)
    assert [one["chosen"] for one in told["evidence"]][:2] == [True, True]


def test_the_command_says_what_sets_configurations_apart(make_run, tmp_path, medseg):  # noqa: F811
    status, out, _ = medseg("find-best", make_run("lump", 0), make_run("other", 0), "-o",
                            tmp_path / "best")  # fmt: skip
    assert status == 0
    assert "other: epochs 5" in out


def test_the_command_packs_an_ensemble(make_run, tmp_path, medseg):  # noqa: F811
    runs = runs_of(make_run, "lump")
    status, out, _ = medseg("ensemble", *runs, "-o", tmp_path / "all", "--json")
    assert (status, json.loads(out)["networks"]) == (0, FOLDS)
    status, out, _ = medseg("ensemble", *runs, "-o", tmp_path / "all", "--name", "all-folds")
    assert "all-folds 1: 3 networks" in out
    status, out, _ = medseg("models", tmp_path / "all")
    assert "part 2 of 3 alone" in " ".join(out.split())
