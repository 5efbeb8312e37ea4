"""Optimizers, and the learning rate as a function of how much of a training is done."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import keras

from medseg.training.config import Schedule, TrainingConfig


def optimizer_of(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Return the optimizer of a config; :class:`Pace` sets its rate before each step."""
    settings = config.optimizer
    common: dict[str, Any] = {
        "learning_rate": settings.rate,
        "weight_decay": settings.weight_decay,
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.average > 0,
        "ema_momentum": settings.average or 0.99,
        "gradient_accumulation_steps": config.accumulate if config.accumulate > 1 else None,
        "name": "optimizer",
    }
    if settings.name == "sgd":
        return keras.optimizers.SGD(momentum=settings.momentum, nesterov=True, **common)
    return keras.optimizers.AdamW(**common)


def rate_at(schedule: Schedule, highest: float, share: float, step: int) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    schedule : Schedule
    highest : float
        At the start, after any warm-up.
    share : float
        Of the training that is done, 0 to 1: of its steps, or of its time budget.
    step : int
        Counted from 0; the rate rises linearly over the first ``warmup_steps``.

    Examples
    --------
    >>> rate_at(Schedule(name="cosine", warmup_steps=4), 0.1, share=1, step=500)
    0.0
    >>> rate_at(Schedule(warmup_steps=4), 0.1, share=0, step=0)
    0.025
    """
    left = min(max(1 - share, 0.0), 1.0)
    if schedule.name == "polynomial":
        falling = left**schedule.power
    else:
        falling = (1 - math.cos(math.pi * left)) / 2
    rising = min(1.0, (step + 1) / schedule.warmup_steps) if schedule.warmup_steps else 1.0
    return highest * falling * rising


@dataclass(slots=True)
class Clock:
    """Minutes of fitting, those of earlier sessions included."""

    before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def minutes(self) -> float:
        """Minutes so far."""
        return self.before + (time.monotonic() - self.started) / 60


class Pace(keras.callbacks.Callback):
    """Set the learning rate before each step, and end a training whose time is over.

    Without a time budget the rate depends on the number of the step alone, so that a resumed
    training goes on where it stopped.
    """

    def __init__(self, config: TrainingConfig, clock: Clock) -> None:
        super().__init__()
        self.config = config
        self.clock = clock
        self.first = 0  # step of the epoch that runs

    @property
    def share(self) -> float:
        """How much of the time budget is gone."""
        return self.clock.minutes / self.config.time_budget if self.config.time_budget else 0.0

    def on_epoch_begin(self, epoch, logs=None) -> None:
        """Count the steps before this epoch."""
        self.first = epoch * self.config.steps

    def on_train_batch_begin(self, batch, logs=None) -> None:
        """Set the rate."""
        step = self.first + batch
        share = self.share if self.config.time_budget else step / self.config.total_steps
        optimizer = self.config.optimizer
        self.model.optimizer.learning_rate = rate_at(
            self.config.schedule, optimizer.rate, share, step
        )

    def on_train_batch_end(self, batch, logs=None) -> None:
        """End when the time is over."""
        if self.share >= 1:
            self.model.stop_training = True
