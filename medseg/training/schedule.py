"""Learning rates as a function of the step, and the optimizers that follow them."""

from __future__ import annotations

import keras

from medseg.training.config import TrainingConfig


def optimizer_of(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Return the optimizer of a config with its schedule.

    The rate depends on the step alone, so a resumed training goes on where it stopped.
    """
    settings = config.optimizer
    common = {
        "learning_rate": rate_of(config),
        "weight_decay": settings.weight_decay,
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.average > 0,
        "ema_momentum": settings.average or 0.99,
        "name": "optimizer",
    }
    if settings.name == "sgd":
        return keras.optimizers.SGD(momentum=settings.momentum, nesterov=True, **common)
    return keras.optimizers.AdamW(**common)


def rate_of(config: TrainingConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning-rate schedule of a config."""
    rate, schedule, total = config.optimizer.rate, config.schedule, config.total_steps
    if schedule.name == "polynomial":
        return keras.optimizers.schedules.PolynomialDecay(
            rate, total, end_learning_rate=0.0, power=schedule.power
        )
    warmup = min(schedule.warmup_steps, total - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else rate,
        total - warmup,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
