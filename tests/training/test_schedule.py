"""Rates by share of a training, trainings that end by the clock or for want of progress."""

import math

import keras
import pytest

from medseg.errors import PlanRefused
from medseg.training.config import Schedule, load_config, minutes_of
from medseg.training.epochs import Epoch, read_epochs, smoothed, write_epochs
from medseg.training.fit import fit
from medseg.training.journal import Journal
from medseg.training.opening import open_training
from medseg.training.patience import Patience
from medseg.training.schedule import Clock, Pace, rate_at


def test_rates_fall_to_zero_as_their_papers_say():
    polynomial, cosine = Schedule(), Schedule(name="cosine")
    assert rate_at(polynomial, 0.01, 0, 0) == 0.01
    assert rate_at(polynomial, 0.01, 0.5, 9) == pytest.approx(0.01 * 0.5**0.9)
    assert rate_at(cosine, 0.01, 0.25, 9) == pytest.approx(0.01 * (1 + math.cos(math.pi / 4)) / 2)
    for schedule in (polynomial, cosine):
        assert rate_at(schedule, 0.01, 1, 99) == 0
        assert rate_at(schedule, 0.01, 1.2, 99) == 0  # a budget that is overdrawn


def test_a_warm_up_rises_by_steps_and_never_starts_at_zero():
    warm = Schedule(warmup_steps=4)
    rates = [rate_at(warm, 1.0, 0, step) for step in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize(
    ("told", "minutes"),
    [("30m", 30), ("1h30m", 90), ("90s", 1.5), ("0.5h", 30), (20, 20), ("45", 45)],
)
def test_spans_of_time_are_read_as_people_write_them(told, minutes):
    assert minutes_of(told) == pytest.approx(minutes)


@pytest.mark.parametrize("told", ["30 minutes", "m", "", "-5m", "0m", "1h 30", "5d"])
def test_what_is_no_span_of_time_is_refused(told):
    with pytest.raises(ValueError, match=r"no span of time|no time at all"):
        minutes_of(told)


def test_with_a_time_budget_the_rate_follows_the_clock_and_its_end_stops(config, tmp_path):
    told = load_config(config, ["time_budget=2h", "optimizer.name=sgd", "optimizer.rate=0.01"])
    clock = Clock()
    pace, model = Pace(told, clock), keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.5))
    pace.set_model(model)
    pace.on_epoch_begin(0)
    clock.before = 60
    pace.on_train_batch_begin(0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01 * 0.5**0.9, rel=1e-3)
    pace.on_train_batch_end(0)
    assert not model.stop_training
    clock.before = 121
    pace.on_train_batch_end(1)
    assert model.stop_training


def test_a_training_ends_when_its_time_is_over_and_is_not_prolonged(config, tmp_path):
    told = load_config(config, ["time_budget=3s", "epochs=1"])
    _, minutes = fit(open_training(told), tmp_path / "run")
    assert minutes >= 3 / 60
    epochs = read_epochs(tmp_path / "run" / "metrics.csv")
    assert len(epochs) >= 1
    _, same = fit(open_training(told), tmp_path / "run", resume=True)
    assert same == pytest.approx(minutes, abs=0.05)
    assert len(read_epochs(tmp_path / "run" / "metrics.csv")) == len(epochs)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["time_budget=1m", "deterministic=true"], "deterministic: it excludes time_budget"),
        (["patience=3", "fold=all"], "patience: it needs held-out patches"),
        (["patience=3", "validation_steps=0"], "patience: it needs held-out patches"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config, overrides, words):
    with pytest.raises(PlanRefused, match=words):
        load_config(config, overrides)


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_patience_ends_a_training_and_gives_back_the_best_weights(tmp_path, average):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = keras.optimizers.SGD(0.0, use_ema=average > 0, ema_momentum=average or 0.99)
    model.compile(optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    journal = Journal(tmp_path, 1, Clock())
    patience = Patience(2, journal, tmp_path / "best.safetensors")
    patience.set_model(model)
    held = optimizer._model_variables_moving_average if average else model.trainable_variables
    for epoch, score in enumerate([0.2, 0.6, 0.1, 0.6]):
        assert not model.stop_training
        held[0].assign([[float(epoch)]])
        journal.epochs.append(Epoch(epoch + 1, 0, 1, smoothed_score=score))
        patience.on_epoch_end(epoch)
    assert model.stop_training  # the fourth only equals the second
    patience.on_train_end()
    assert float(model.trainable_variables[0][0, 0]) == 1.0  # of the second epoch


def test_patience_counts_from_the_resume_where_the_best_weights_are_not_there(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    model.compile(keras.optimizers.SGD(0.0), loss="mse")
    model.optimizer.build(model.trainable_variables)
    journal = Journal(tmp_path, 1, Clock())
    journal.epochs = [Epoch(n + 1, 0, 1, smoothed_score=0.9) for n in range(5)]
    patience = Patience(2, journal, tmp_path / "best.safetensors")
    patience.set_model(model)
    patience.on_train_begin()
    mean = model.get_layer(index=0).moving_mean
    for epoch, score in ((5, 0.5), (6, 0.4), (7, 0.3)):
        assert not model.stop_training
        mean.assign([float(epoch)])
        journal.epochs.append(Epoch(epoch + 1, 0, 1, smoothed_score=score))
        patience.on_epoch_end(epoch)
    assert model.stop_training
    patience.on_train_end()
    assert float(mean.value[0]) == 5.0  # statistics of normalisation come back as well


def test_the_moving_average_skips_what_was_not_measured():
    assert smoothed(0.5, math.nan) == 0.5
    assert smoothed(0.5, 1.0) == pytest.approx(0.55)


def test_epochs_survive_the_table(tmp_path):
    epochs = [Epoch(1, 0.5, 1.25, rate=1e-3), Epoch(2, 1.0, 0.75, 0.8, 0.5, 0.5, 9e-4, 3.2)]
    write_epochs(tmp_path / "metrics.csv", epochs)
    assert repr(read_epochs(tmp_path / "metrics.csv")) == repr(epochs)
