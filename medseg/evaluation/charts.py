"""Charts of a report as SVG that follows the page's colours, drawn without a display."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's text colour, light or dark
BLUE, ORANGE, GREY = "#3b8fc4", "#d07a1f", "#8a8f98"  # readable on white and on black
COLOURS = (BLUE, ORANGE, "#3f9b6b", "#b45fa6", "#8c7a2e", "#c2504f")  # told apart in grey by DASHES
DASHES = ("-", "--", ":")
LEGEND = 12  # classes up to which each is named in a chart
POINTS = 60  # cases up to which each is a dot beside its box; beyond, only the outliers are
PANELS, COLUMNS = 24, 3  # of the volume charts

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "font.size": 9.0,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GREY,
    "grid.alpha": 0.35,
}  # fmt: skip


def boxes(
    names: Sequence[str], values: Sequence[np.ndarray], unit: str, top: float | None = None
) -> str:
    """Draw the spread of one score, a box a label: quartiles, median, mean as a diamond.

    Whiskers reach to the last case within 1.5 box lengths (Tukey). Few cases are drawn as
    dots too. Values that are not finite are left out.
    """
    with _style():
        figure, (axes,) = _figure(7.4, 0.75 + 0.34 * len(names))
        finite = [one[np.isfinite(one)] for one in values]
        few = max(map(len, finite), default=0) <= POINTS
        places = np.arange(len(names), 0, -1)
        axes.boxplot(
            finite, positions=places, orientation="horizontal",
            widths=0.55, showmeans=True, showfliers=not few, patch_artist=True,
            boxprops={"facecolor": BLUE + "40", "edgecolor": BLUE},
            whiskerprops={"color": BLUE}, capprops={"color": BLUE},
            medianprops={"color": ORANGE, "linewidth": 2},
            meanprops={"marker": "D", "markersize": 4, "markerfacecolor": INK,
                       "markeredgecolor": INK},
            flierprops={"marker": "o", "markersize": 3, "markeredgecolor": GREY},
        )  # fmt: skip
        if few:
            rng = np.random.default_rng(0)  # only moves the dots apart
            for place, one in zip(places, finite, strict=True):
                across = place + rng.uniform(-0.2, 0.2, len(one))
                axes.plot(one, across, "o", color=GREY, markersize=2.5, alpha=0.7)
        axes.set_yticks(places, [_short(name) for name in names])
        axes.set_ylim(0.4, len(names) + 0.6)
        axes.set_xlim(left=0, right=top)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        return _svg(figure, salt=unit)


def volumes(
    names: Sequence[str], reference: Sequence[np.ndarray], predicted: Sequence[np.ndarray]
) -> str:
    """Draw a Bland-Altman chart a label: difference over mean of both volumes, in ml.

    Lines are the mean difference and 1.96 standard deviations about it (Bland and Altman,
    Lancet 1986).
    """
    count = min(len(names), PANELS)
    rows = -(-count // COLUMNS)
    with _style():
        figure, axes = _figure(9.6, 2.5 * rows, rows=rows, columns=min(count, COLUMNS))
        for panel, name, one, other in zip(axes, names, reference, predicted, strict=False):
            _volume_panel(panel, _short(name), one, other)
        for panel in axes[count:]:
            panel.set_axis_off()
        figure.supxlabel("mean of both volumes in ml", fontsize=9)
        figure.supylabel("prediction − reference in ml", fontsize=9)
        return _svg(figure, salt="ml")


def _volume_panel(axes: Axes, name: str, reference: np.ndarray, predicted: np.ndarray) -> None:
    gap = predicted - reference
    axes.plot((predicted + reference) / 2, gap, "o", color=BLUE, markersize=3, alpha=0.7)
    axes.axhline(0, color=GREY, linewidth=0.8)
    if len(gap) > 1:
        bias, spread = float(gap.mean()), 1.96 * float(gap.std(ddof=1))
        axes.axhline(bias, color=ORANGE, linewidth=1.4)
        for edge in (bias - spread, bias + spread):
            axes.axhline(edge, color=ORANGE, linewidth=1, linestyle="--")
        lowest, highest = min(gap.min(), bias - spread, 0), max(gap.max(), bias + spread, 0)
        room = 0.08 * max(highest - lowest, 1e-9)
        axes.set_ylim(lowest - room, highest + room)
        name += f"\nbias {bias:+.3g}, limits {bias - spread:+.3g} to {bias + spread:+.3g}"
    axes.set_title(name, fontsize=8)
    axes.grid()


def reliability(confidence: np.ndarray, accuracy: np.ndarray, weight: np.ndarray) -> str:
    """Draw how often a network is right over how sure it is; the dots' size is the share.

    Parameters
    ----------
    confidence, accuracy, weight : (bins,) array
        Mean probability, share that is right, and number of voxels or cases of each bin; nan
        where a bin is empty.
    """
    with _style():
        figure, (axes,) = _figure(4.6, 4.2)
        held = weight > 0
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        axes.plot(confidence[held], accuracy[held], color=BLUE, linewidth=1.2)
        size = 8 + 120 * weight[held] / max(float(weight.max()), 1.0)
        axes.scatter(confidence[held], accuracy[held], s=size, color=BLUE, alpha=0.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share that is right")
        axes.grid()
        return _svg(figure, salt="reliability")


def free_response(false_positives: np.ndarray, sensitivity: np.ndarray) -> str:
    """Draw the share of lesions found over the false positives a scan, in steps."""
    with _style():
        figure, (axes,) = _figure(4.6, 4.2)
        axes.step(np.append(0, false_positives), np.append(0, sensitivity), where="post",
                  color=BLUE)  # fmt: skip
        axes.set(ylim=(0, 1), xlabel="false positives a scan", ylabel="lesions found")
        axes.set_xlim(left=0)
        axes.grid()
        return _svg(figure, salt="froc")


def curves(
    names: Sequence[str],
    across: Sequence[np.ndarray],
    up: Sequence[np.ndarray],
    titles: tuple[str, str],
    chance: Sequence[tuple[float, float]],
) -> str:
    """Draw a curve a class in the unit square, as steps' corners joined.

    Parameters
    ----------
    names : sequence of str
        With what stands beside them in the legend.
    across, up : sequence of (T,) array
        The points of each curve.
    titles : (str, str)
        Of both axes.
    chance : sequence of points
        Ends of the line that a score without information gives; empty for none.
    """
    with _style():
        figure, (axes,) = _figure(5.2, 4.6)
        if chance:
            axes.plot(*zip(*chance, strict=True), color=GREY, linestyle="--", linewidth=1)
        for number, (name, one, other) in enumerate(zip(names, across, up, strict=True)):
            colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % 3]
            axes.plot(one, other, color=colour, linestyle=dash, linewidth=1.6, label=_short(name))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=titles[0], ylabel=titles[1])
        axes.grid()
        if len(names) <= LEGEND:
            axes.legend(loc="best", fontsize=8, framealpha=0, edgecolor="none")
        return _svg(figure, salt=titles[1])


def confusion(names: Sequence[str], counts: np.ndarray) -> str:
    """Draw how many cases of each true class (rows) were called what; shade is the row's share."""
    from matplotlib.colors import LinearSegmentedColormap

    shade = LinearSegmentedColormap.from_list("", [BLUE + "00", BLUE + "cc"])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.9 + 0.62 * len(names)
    with _style():
        figure, (axes,) = _figure(min(side + 0.8, 9.6), min(side, 8.8))
        axes.pcolormesh(share, cmap=shade, vmin=0, vmax=1, edgecolors=GREY + "40", linewidth=0.6)
        axes.invert_yaxis()
        places = np.arange(len(names)) + 0.5
        axes.set_xticks(places, [_short(name, 16) for name in names],
                        rotation=0 if len(names) < 5 else 45)  # fmt: skip
        axes.set_yticks(places, [_short(name, 16) for name in names])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if len(names) <= LEGEND:
            for row, column in np.ndindex(counts.shape):
                words = f"{counts[row, column]}\n{share[row, column]:.0%}"
                axes.text(column + 0.5, row + 0.5, words, ha="center", va="center", fontsize=8)
        axes.set(xlabel="called", ylabel="true class")
        return _svg(figure, salt="confusion")


def differences(
    names: Sequence[str], means: np.ndarray, low: np.ndarray, high: np.ndarray, unit: str
) -> str:
    """Draw the mean difference of two models with its interval, a line a label."""
    with _style():
        figure, (axes,) = _figure(7.4, 0.8 + 0.3 * len(names))
        places = np.arange(len(names), 0, -1)
        axes.hlines(places, low, high, color=BLUE, linewidth=2)
        axes.plot(means, places, "D", color=BLUE, markersize=5)
        axes.axvline(0, color=ORANGE, linewidth=1)
        axes.set_yticks(places, [_short(name) for name in names])
        axes.set_ylim(0.4, len(names) + 0.6)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        return _svg(figure, salt=unit)


@contextmanager
def _style(**more: Any) -> Iterator[None]:
    from matplotlib import rc_context

    settings: Any = {**_STYLE, **more}
    with rc_context(settings):
        yield


def _figure(
    width: float, height: float, *, rows: int = 1, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """Return a figure of inches that belongs to nobody: pyplot would keep it alive."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.patch.set_alpha(0)
    return figure, list(grid.flat)


def _svg(figure: Figure, salt: str) -> str:
    """Return the bare ``<svg>`` element; equal charts give equal text."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    stream = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _style(**{"svg.hashsalt": salt}):
        figure.set_canvas(FigureCanvasSVG(figure))
        figure.savefig(stream, format="svg", metadata=metadata)
    drawn = stream.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)


def _short(text: str, most: int = 34) -> str:
    text = text.replace("$", r"\$")  # a dollar would start a formula
    return text if len(text) <= most else text[: most - 1] + "…"
