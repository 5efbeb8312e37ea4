"""Keras metrics against the scores of whole cases."""

import keras
import numpy as np
import pytest

from medseg import metrics
from medseg.training.metrics import Dice, IoU, Precision, Sensitivity

SCORES = [
    (Dice, metrics.dice),
    (IoU, metrics.iou),
    (Sensitivity, metrics.sensitivity),
    (Precision, metrics.precision),
]


def batches():
    """Three batches of two cases with 4 classes; the third class is often absent."""
    rng = np.random.default_rng(4)
    for highest in (3, 4, 3):
        logits = rng.normal(size=(2, 4, 5, 6, 4)).astype(np.float32)
        logits[..., 3] += highest - 4
        yield rng.integers(0, highest, (2, 4, 5, 6, 1)), logits


def by_class(score):
    """The mean of each class over all cases that count."""
    cases = [(t[..., 0], p.argmax(axis=-1)) for ys in batches() for t, p in zip(*ys, strict=True)]
    return [
        np.nanmean([score(truth == c, found == c) for truth, found in cases]) for c in (1, 2, 3)
    ]


@pytest.mark.parametrize(("kind", "score"), SCORES)
def test_a_metric_is_the_mean_of_the_scores_of_cases(kind, score):
    mean, last = kind(4), kind(4, only=3)
    for truth, logits in batches():
        mean.update_state(truth, logits)
        last.update_state(truth, logits)
    assert float(mean.result()) == pytest.approx(np.mean(by_class(score)), abs=1e-6)
    assert float(last.result()) == pytest.approx(by_class(score)[2], abs=1e-6)


def test_what_never_occurs_does_not_count():
    metric, truth = Dice(3), np.array([[[1], [1], [0]]])
    metric.update_state(truth, keras.ops.one_hot(truth[..., 0], 3))
    assert float(metric.result()) == 1  # class 2 is nowhere
    metric.reset_state()
    assert np.isnan(float(metric.result()))


def test_a_weight_counts_a_sample_as_that_many():
    metric = Dice(2)
    truth, found = np.array([[[1], [1]], [[1], [1]]]), np.array([[1, 1], [0, 0]])
    metric.update_state(truth, keras.ops.one_hot(found, 2), sample_weight=np.array([3.0, 1.0]))
    assert float(metric.result()) == pytest.approx(0.75)


def test_metrics_compile_and_are_built_again_from_their_config():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1)])
    model.compile(loss="mse", metrics=[Dice(3), IoU(3, only=1, name="iou_liver")])
    truth = np.random.default_rng(0).integers(0, 3, (2, 4, 4, 1))
    found = model.evaluate(np.ones((2, 4, 4, 1)), truth, verbose=0, return_dict=True)
    assert 0 <= found["dice"] <= 1
    assert 0 <= found["iou_liver"] <= 1
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(Dice(3, only=2))
    )
    assert (again.classes, again.only, again.name) == (3, 2, "dice")


def test_a_class_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="only=3"):
        Dice(3, only=3)
