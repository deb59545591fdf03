"""How every figure looks: colours, line styles, hatches and labels.

Figures are made with `matplotlib.figure.Figure` itself, without pyplot, so that they can be
drawn in a notebook, a server or a thread alike. The colours are those of Okabe and Ito
(2008), told apart by readers with any common colour-vision deficiency; hatches, line styles
and markers carry the same information in greyscale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter, Locator, MaxNLocator

from bayes_mkt.report.formats import shorten, tick

__all__ = [
    "BAND",
    "BASELINE",
    "FAINT",
    "HATCHES",
    "INK",
    "LINE",
    "MUTED",
    "PALETTE",
    "TRUTH",
    "DateLabels",
    "date_axis",
    "grid_of_axes",
    "key",
    "new_figure",
    "note",
    "number_axis",
    "plain",
    "spread",
    "style_axes",
    "title",
]

INK: Final = "#1a1a1a"
MUTED: Final = "#595959"
FAINT: Final = "#d0d0d0"
LINE: Final = "#0072b2"
BAND: Final = "#9ecae8"
TRUTH: Final = "#d55e00"
BASELINE: Final = "#dcdcdc"
PALETTE: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
HATCHES: Final = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "||||", "++++")

# Matplotlib declares no types for these two.
DATE_OF: Final[Callable[[float], datetime]] = num2date
DATE_TICKS: Final[Callable[..., Locator]] = AutoDateLocator


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of the given size in inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    engine = figure.get_layout_engine()
    if engine is not None:
        pads: dict[str, Any] = {"w_pad": 0.08, "h_pad": 0.08, "wspace": 0.03, "hspace": 0.05}
        engine.set(**pads)
    return figure


def plain(text: str, width: int = 60) -> str:
    r"""Return data text on one line, shortened, with no character that starts mathematics.

    Examples
    --------
    >>> plain("price in $")
    'price in \\$'
    """
    return shorten(text, width).replace("$", r"\$")


def title(figure: Figure, text: str) -> None:
    """Write the title at the top left of a figure."""
    figure.suptitle(plain(text, 110), x=0.01, ha="left", size=12, weight="bold", color=INK)


def note(figure: Figure, text: str) -> None:
    """Write a remark below a figure, at the left."""
    if text:
        figure.supxlabel(text.replace("$", r"\$"), x=0.01, ha="left", size=8, color=MUTED)


def style_axes(axes: Axes, *, grid: Literal["x", "y"] = "y") -> None:
    """Leave the axes what carries information: two spines, a faint grid, dark text."""
    axes.set_facecolor("white")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.spines[["left", "bottom"]].set_linewidth(0.8)
    axes.tick_params(colors=INK, labelsize=8, width=0.8, length=3)
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis=grid, color="#e6e6e6", linewidth=0.7)


def number_axis(axes: Axes, which: str, bins: int = 5, *, integer: bool = False) -> None:
    """Label the x or y axis with short numbers such as 250k and 1.25M."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(bins, integer=integer, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(tick))


class DateLabels(Formatter):
    """Dates as months (days where ticks are close), the year below the first and each change."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return one date in full."""
        return DATE_OF(x).date().isoformat()

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the labels of all ticks together."""
        dates = [DATE_OF(value) for value in values]
        if all((date.month, date.day) == (1, 1) for date in dates):
            return [f"{date:%Y}" for date in dates]
        pattern = "%b" if all(date.day == 1 for date in dates) else "%d %b"
        labels, year = [], None
        for date in dates:
            below = "" if date.year == year else f"\n{date:%Y}"
            labels.append(f"{date:{pattern}}{below}")
            year = date.year
        return labels


def date_axis(axes: Axes, bins: int = 8) -> None:
    """Label the x axis with dates, the year only where it changes."""
    axes.xaxis.set_major_locator(DATE_TICKS(minticks=2, maxticks=bins))
    axes.xaxis.set_major_formatter(DateLabels())


def key(figure: Figure, handles: Sequence[Artist], remark: str = "") -> None:
    """Explain lines, bands and markers in one row below a figure, after a remark."""
    legend = figure.legend(
        handles=list(handles),
        loc="outside lower left",
        ncols=_columns([str(handle.get_label()) for handle in handles], figure.get_figwidth()),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=2.4,
        columnspacing=2.2,
        title=remark.replace("$", r"\$") or None,
        title_fontsize=8.5,
        alignment="left",
    )
    legend.get_title().set_color(MUTED)


def _columns(labels: Sequence[str], width: float) -> int:
    """Return in how many columns a key fits below a figure of that width in inches, at most 6.

    Letters of 8.5 points are 0.55 of that wide; a line or patch and the gaps take nine of them.
    """
    room = width * 72.0 / (8.5 * 0.55)
    for count in range(min(len(labels), 6), 1, -1):
        rows = math.ceil(len(labels) / count)
        columns = [labels[i : i + rows] for i in range(0, len(labels), rows)]
        if sum(max(map(len, column)) + 9 for column in columns) <= room:
            return count
    return 1


def grid_of_axes(
    figure: Figure, count: int, columns: int, *, sharex: bool = False, sharey: bool = False
) -> list[Axes]:
    """Return `count` axes laid out in rows of `columns`; unused places stay empty."""
    rows = math.ceil(count / columns)
    array = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False)
    flat: list[Axes] = list(array.ravel())
    for unused in flat[count:]:
        unused.remove()
    if sharex:
        for axes in flat[max(count - columns, 0) : count]:
            axes.xaxis.set_tick_params(labelbottom=True)
    return flat[:count]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ordered label positions as little as needed to stand `gap` apart in [low, high].

    Examples
    --------
    >>> spread([0.0, 0.1, 5.0], gap=1.0, low=0.0, high=10.0)
    [0.0, 1.0, 5.0]
    """
    placed = np.clip(np.asarray(positions, dtype=float), low, high)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    if len(placed) and placed[-1] > high:
        placed[-1] = high
        for i in range(len(placed) - 2, -1, -1):
            placed[i] = min(placed[i], placed[i + 1] - gap)
    return [float(value) for value in placed]
