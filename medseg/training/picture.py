"""A training as a picture: losses, pseudo-Dice, learning rate and speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from medseg.training.epochs import Epoch

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"  # Okabe and Ito, 2008


def draw(epochs: Sequence[Epoch], path: Path) -> None:
    """Draw the epochs of a training as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 8), dpi=110, layout="constrained")
    losses, scores, pace = figure.subplots(
        3, sharex=True, gridspec_kw={"height_ratios": [3, 3, 1.6]}
    )
    number = np.array([one.epoch for one in epochs])
    marker = "o" if len(epochs) < 3 else None  # a line of one point is invisible

    def line(axes: Axes, field: str, label: str, colour: str, alpha: float = 1.0) -> None:
        values = np.array([getattr(one, field) for one in epochs])
        if np.isfinite(values).any():
            axes.plot(number, values, color=colour, label=label, marker=marker, alpha=alpha)

    line(losses, "loss", "trained on", BLUE)
    line(losses, "validation_loss", "held out", ORANGE)
    losses.set_ylabel("loss")
    line(scores, "score", "each epoch", GREEN, alpha=0.35)
    line(scores, "smoothed_score", "moving average", GREEN)
    scores.set_ylabel("Dice of held-out patches,\naccuracy of held-out images")
    scores.set_ylim(0, 1)
    line(pace, "rate", "learning rate", GREY)
    pace.set_ylabel("learning rate")
    pace.set_xlabel(f"epoch  ({epochs[-1].minutes:.0f} minutes so far)")
    pace.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    speed = pace.twinx()
    line(speed, "patches_a_second", "patches/s", BLUE, alpha=0.6)
    speed.set_ylabel("patches/s", color=BLUE)
    speed.set_ylim(bottom=0)
    pace.set_ylim(bottom=0)
    pace.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (losses, scores, pace):
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines and axes is not pace:
            axes.legend(frameon=False, loc="best")
    if not scores.lines:
        scores.text(0.5, 0.5, "nothing is held out", ha="center", transform=scores.transAxes)
    with whole_file(path) as aside:
        FigureCanvasAgg(figure).print_png(str(aside))
