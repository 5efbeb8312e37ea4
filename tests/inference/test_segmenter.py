import dataclasses
import json

import numpy as np
import pytest

from medseg.errors import EngineFailed, InputRefused
from medseg.findings import Finding
from medseg.geometry import Geometry
from medseg.inference import Segmenter, segmenter
from medseg.metrics.lesion import lesions_of
from medseg.models import LargestComponent, MinimumVolume, ModelPackage, ensembled
from medseg.volume import Volume


class Thresholds:
    """An engine that finds class 1 above 0 and class 2 above 1 of a normalised image."""

    name, precision, device, versions = "thresholds", "f32", "cpu", {"made up": "1"}

    def __call__(self, tiles):
        return np.concatenate([0 * tiles, 10 * tiles, 20 * tiles - 10], axis=-1)


@pytest.fixture
def make_segmenter(make_plan, make_card):
    def make(engine=None, card=None, findings=(), **plan):
        package = ModelPackage(
            None, "tiny", "1", make_plan(**plan), card or make_card(), "f" * 64, {}, {}
        )
        return Segmenter(package, engine or Thresholds(), findings)

    return make


def make_volume(shape=(20, 30, 24), spacing=(1, 1, 1), modality="MR", channels=None, **more):
    rng = np.random.default_rng(0)
    array = rng.normal(size=shape if channels is None else (*shape, channels))
    return Volume(array.astype(np.float32), Geometry(shape, np.diag([*spacing, 1.0])), modality,
                  **more)  # fmt: skip


def codes(result):
    return [finding.code for finding in result.findings]


def test_the_mask_lies_on_the_scan_and_holds_the_labels_values(make_segmenter):
    volume = make_volume()
    result = make_segmenter().predict(volume)
    assert result.volume is volume
    assert result.labels.geometry is volume.geometry
    score = (volume.array - volume.array.mean()) / volume.array.std()
    expected = np.select([score > 1, score > 0], [4, 1], 0)
    assert (result.labels.array == expected).mean() > 0.9999  # rounding at the two borders
    assert [label.name for label in result.labels.labels] == ["Anterior", "Posterior"]
    assert result.labels.array.dtype == np.uint8
    assert result.findings == ()
    assert result.probabilities is None


def test_a_flipped_and_permuted_scan_gives_the_same_mask(make_segmenter):
    # Fails when the mask is left in the network's orientation.
    volume = make_volume()
    straight = make_segmenter().predict(volume).labels.array
    affine = volume.geometry.affine[:, [2, 0, 1, 3]] * [-1, 1, 1, 1]
    turned = volume.moved(
        volume.array.transpose(2, 0, 1)[::-1].copy(), Geometry((24, 20, 30), affine)
    )
    back = make_segmenter().predict(turned).labels.array
    np.testing.assert_array_equal(back[::-1].transpose(1, 2, 0), straight)


def test_a_label_above_255_fits(make_segmenter, make_plan):
    from medseg.labels import Label, LabelSet

    labels = LabelSet((Label(1, "Anterior"), Label(300, "Posterior")))
    array = make_segmenter(labels=labels).predict(make_volume()).labels.array
    assert array.dtype == np.uint16
    assert set(np.unique(array)) == {0, 1, 300}


def test_probabilities_are_on_the_scan_and_agree_with_the_mask(make_segmenter):
    volume = make_volume(spacing=(1.5, 1, 2))
    result = make_segmenter().predict(volume, probabilities=True)
    assert result.probabilities.shape == (*volume.array.shape, 3)
    np.testing.assert_allclose(result.probabilities.sum(axis=-1), 1, rtol=1e-5)
    best = np.array([0, 1, 4])[result.probabilities.argmax(axis=-1)]
    assert (best == result.labels.array).mean() > 0.9999


def test_a_result_says_how_to_compute_it_again(make_segmenter, make_plan):
    result = make_segmenter().predict(make_volume())
    assert result.provenance["model"] == {"name": "tiny", "version": "1", "hash": "f" * 64}
    assert result.provenance["plan"] == make_plan().hash
    assert {"medseg", "numpy", "made up"} == result.provenance["versions"].keys()
    assert json.loads(json.dumps(result.provenance)) == result.provenance
    assert result.timings.keys() == {"prepare", "predict", "restore"}
    assert min(result.timings.values()) > 0


def test_findings_of_reading_and_loading_come_along(make_segmenter):
    read, load = Finding("info", "odd", "Odd"), Finding("info", "slow", "Slow")
    result = make_segmenter(findings=(load,)).predict(make_volume(findings=(read,)))
    assert result.findings == (read, load)


def test_progress_is_told(make_segmenter):
    counted = []
    make_segmenter().predict(make_volume(), progress=lambda *done: counted.append(done))
    assert counted[-1][0] == counted[-1][1] > 1


def test_another_modality_is_told_loudly(make_segmenter):
    result = make_segmenter().predict(make_volume(modality="CT"))
    (finding,) = result.findings
    assert (finding.level, finding.code) == ("warning", "modality-differs")
    assert finding.words == (
        "THE MASK IS MOST LIKELY WRONG: this scan is CT, the model was trained on MR"
    )


def test_another_modality_is_refused_if_strict(make_segmenter):
    with pytest.raises(InputRefused) as refusal:
        make_segmenter().predict(make_volume(modality="CT"), strict_modality=True)
    assert refusal.value.code == "modality-differs"
    assert "this scan is CT" in refusal.value.found


def test_an_unknown_modality_is_an_information(make_segmenter):
    result = make_segmenter().predict(make_volume(modality=""), strict_modality=True)
    (finding,) = result.findings
    assert (finding.level, finding.code) == ("info", "modality-unknown")


def test_another_number_of_channels_is_refused(make_segmenter):
    with pytest.raises(InputRefused) as refusal:
        make_segmenter().predict(make_volume(channels=2))
    assert refusal.value.code == "channels-differ"
    assert "2 channels, the model wants 1" in refusal.value.found
    assert "T1" in refusal.value.do


@pytest.mark.parametrize(
    ("spacing", "told"), [((1, 1, 2.9), False), ((1, 1, 3.1), True), ((0.3, 1, 1), True)]
)
def test_a_spacing_beyond_a_factor_of_three_is_told(make_segmenter, spacing, told):
    result = make_segmenter().predict(make_volume(spacing=spacing))
    assert ("spacing-unusual" in codes(result)) == told


def test_spacing_is_compared_along_the_axes_of_the_plan(make_segmenter):
    thick = make_segmenter(orientation="SAR", spacing=(5, 1, 1))
    assert codes(thick.predict(make_volume(spacing=(1, 1, 5)))) == []
    assert codes(thick.predict(make_volume(spacing=(5, 1, 1)))) == ["spacing-unusual"]


def test_a_scan_far_larger_than_those_of_training_is_told(make_segmenter, make_card):
    card = make_card(training_extent_mm=(20, 30, 7.9))  # the scan covers 20 x 30 x 24
    (finding,) = make_segmenter(card=card).predict(make_volume()).findings
    assert (finding.level, finding.code) == ("warning", "field-of-view-differs")
    assert "20 x 30 x 24 mm" in finding.words
    assert codes(make_segmenter(card=make_card(training_extent_mm=(7, 10, 8))).predict(
        make_volume())) == []  # fmt: skip


def test_too_little_memory_is_refused_with_numbers(make_segmenter, monkeypatch):
    monkeypatch.setattr(segmenter, "available_memory", lambda: 100_000)
    with pytest.raises(InputRefused) as refusal:
        make_segmenter().predict(make_volume())
    assert refusal.value.code == "memory-short"
    assert "GB are free" in refusal.value.found


def test_memory_is_not_asked_where_the_system_does_not_say(make_segmenter, monkeypatch):
    monkeypatch.setattr(segmenter, "available_memory", lambda: None)
    assert make_segmenter().predict(make_volume()).findings == ()


def test_another_number_of_classes_fails(make_segmenter):
    with pytest.raises(EngineFailed) as failure:
        make_segmenter(engine=Identity()).predict(make_volume())
    assert failure.value.code == "classes-differ"


class Shifted(Thresholds):
    """An engine whose thresholds lie elsewhere."""

    def __init__(self, shift):
        self.shift = shift

    def __call__(self, tiles):
        return super().__call__(tiles - self.shift)


def make_ensemble(make_segmenter, shifts, plans=None, **package):
    """Return a segmenter of one network a shift, and the networks whose engine was loaded."""
    one = make_segmenter(engine=Shifted(shifts[0]), **(plans[0] if plans else {}))
    others = []
    for number in range(1, len(shifts)):
        plan = make_segmenter(**plans[number]).package.plan if plans else one.package.plan
        others.append(dataclasses.replace(one.package, plan=plan, hash=f"{number}"))
    loaded = []

    def load(network):
        loaded.append(network.hash)
        return Shifted(shifts[int(network.hash)])

    whole = dataclasses.replace(one.package, others=tuple(others), **package)
    return dataclasses.replace(one, package=whole, load_engine=load), loaded


def test_folds_give_the_mask_of_their_mean_logits(make_segmenter):
    volume = make_volume(spacing=(1.5, 1, 2))
    ensemble, loaded = make_ensemble(make_segmenter, [0.0, 0.6, 0.9])
    counted = []
    found = ensemble.predict(volume, progress=lambda *told: counted.append(told))
    single = make_segmenter(engine=Shifted(0.5)).predict(volume)
    assert (found.labels.array == single.labels.array).mean() > 0.999
    assert loaded == ["1", "2"]
    assert counted == [(n, len(counted)) for n in range(1, len(counted) + 1)]
    assert len(found.provenance["networks"]) == 3


def test_configurations_are_averaged_on_the_scan(make_segmenter):
    volume = make_volume()
    plans = [{"spacing": (1, 1, 1)}, {"spacing": (2, 2, 2), "orientation": "SAR"}]
    ensemble, _ = make_ensemble(make_segmenter, [0.0, 0.0], plans)
    found = ensemble.predict(volume, probabilities=True)
    alone = [make_segmenter(**plan).predict(volume, probabilities=True) for plan in plans]
    mean = (alone[0].probabilities + alone[1].probabilities) / 2
    np.testing.assert_allclose(found.probabilities, mean, atol=1e-5)
    expected = np.array([0, 1, 4])[mean.argmax(axis=-1)]
    assert (found.labels.array == expected).mean() > 0.9999


def test_steps_of_post_processing_are_taken_told_and_can_be_left_out(make_segmenter):
    volume = make_volume()
    steps = (LargestComponent(label=4), MinimumVolume(ml=0.002))
    ensemble, _ = make_ensemble(make_segmenter, [0.0], postprocessing=steps)
    found, plain = ensemble.predict(volume), ensemble.predict(volume, postprocess=False)
    assert lesions_of(plain.labels.array == 4).array.max() > 1
    assert lesions_of(found.labels.array == 4).array.max() == 1
    assert {"postprocessed"} == set(codes(found))
    assert plain.findings == ()
    assert [one["kind"] for one in found.provenance["postprocessing"]] == [
        "largest_component", "minimum_volume",
    ]  # fmt: skip
    assert plain.provenance["postprocessing"] == []
    assert "postprocess" in found.timings
    assert json.loads(json.dumps(found.provenance)) == found.provenance


def test_an_ensemble_of_packages_segments_from_end_to_end(make_package, cache, tmp_path):
    first, other = make_package(), make_package(patch=(8, 16, 16), spacing=(2, 1.5, 1))
    ensembled([first, other], tmp_path / "both.zip")
    loaded = Segmenter.load(tmp_path / "both.zip", engine="keras", device="cpu")
    volume = make_volume(spacing=(1.3, 0.9, 1))
    found = loaded.predict(volume, probabilities=True)
    alone = [
        Segmenter.load(one.path, engine="keras", device="cpu")
        .predict(volume, probabilities=True).probabilities
        for one in (first, other)
    ]  # fmt: skip
    np.testing.assert_allclose(found.probabilities, np.mean(alone, axis=0), atol=1e-4)


class Identity(Thresholds):
    def __call__(self, tiles):
        return tiles


@pytest.mark.parametrize("engine", ["keras", "openvino"])
def test_a_package_segments_from_end_to_end(package, cache, engine):
    loaded = Segmenter.load(package.path, engine=engine, device="cpu", cache=cache)
    result = loaded.predict(make_volume(spacing=(1.3, 0.9, 1)))
    assert set(np.unique(result.labels.array)) <= {0, 1, 4}
    assert result.provenance["engine"] == engine
    assert engine in result.provenance["versions"]


def test_both_engines_give_one_mask(package, cache):
    masks = [
        Segmenter.load(package.path, engine=engine, device="cpu", cache=cache)
        .predict(make_volume(spacing=(1.3, 0.9, 1)))
        .labels.array
        for engine in ("keras", "openvino")
    ]
    assert (masks[0] == masks[1]).mean() > 0.9999


def test_a_segmenter_is_a_value(make_segmenter):
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_segmenter().engine = None
