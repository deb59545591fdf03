"""What a channel returns at each average frequency."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayes_mkt.dims import CHANNEL
from bayes_mkt.errors import SpecError
from bayes_mkt.report import style
from bayes_mkt.report.formats import number
from bayes_mkt.report.plot_curves import BEYOND, panels_for
from bayes_mkt.report.summary import (
    axis_label,
    check_draws,
    interval_bounds,
    over_draws,
    percent,
    quantiles,
    remark,
    select_texts,
)
from bayes_mkt.report.views import Row, TableView

__all__ = ["frequency_view", "plot_frequency"]

FREQUENCY = "frequency"
LONG = 12.0


def plot_frequency(found: xr.Dataset, *, interval: float = 0.9) -> Figure:
    """Draw ROI (incremental sales, without spend) against average frequency, by channel.

    Parameters
    ----------
    found
        What `bayes_mkt.optimal_frequency` returns.
    interval
        Probability inside the equal-tailed band. Default 0.9.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; show it or call ``savefig``.

    Raises
    ------
    SpecError
        If a variable or dimension is missing.
    """
    needs = ("roi", "incremental_sales", "optimal_frequency", "observed_min", "observed_max")
    absent = [name for name in needs if name not in found.data_vars]
    if absent:
        raise SpecError(f"The frequencies lack the variables {', '.join(map(repr, absent))}.")
    names = select_texts(found, CHANNEL)
    low, high = interval_bounds(interval)
    grid = np.asarray(found[FREQUENCY].values, dtype=np.float64)
    figure, panels = panels_for(len(names))
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        draws = _value(found, i)
        band = quantiles(draws, (low, high))
        mean = over_draws(draws).mean(axis=0)
        seen = (grid >= float(found["observed_min"][i])) & (grid <= float(found["observed_max"][i]))
        style.style_axes(axes)
        axes.fill_between(grid, band[0], band[1], color="#e3e3e3", linewidth=0)
        axes.plot(grid, mean, color=style.MUTED, linewidth=1.4, linestyle=BEYOND)
        axes.fill_between(grid, band[0], band[1], where=seen, color=style.BAND, linewidth=0)
        axes.plot(grid[seen], mean[seen], color=style.LINE, linewidth=1.8)
        axes.axvline(float(found["optimal_frequency"][i]), color=style.INK, linewidth=1.0)
        axes.set_ylim(bottom=0.0)
        _frequency_axis(axes, grid)
        style.number_axis(axes, "y", bins=5)
        axes.set_title(style.plain(name, 26), loc="left", size=9, weight="bold", color=style.INK)
        axes.set_xlabel("Average frequency", size=8.5, color=style.INK)
        axes.set_ylabel(style.plain(axis_label(draws, "ROI"), 40), size=8.5, color=style.INK)
    style.title(figure, "What each frequency returns, for the same impressions")
    handles = [
        Line2D([], [], color=style.LINE, linewidth=1.8, label="mean, frequency seen in the data"),
        Line2D([], [], color=style.MUTED, linewidth=1.4, linestyle=BEYOND, label="mean, outside"),
        Patch(color=style.BAND, label=f"{percent(interval)} interval"),
        Line2D([], [], color=style.INK, linewidth=1.0, label="highest mean"),
    ]
    style.key(figure, handles, remark("", found))
    return figure


def _frequency_axis(axes: Axes, grid: np.ndarray) -> None:
    """Label frequencies; on a log scale where the few that matter would be crowded at the left."""
    if grid[-1] < LONG * grid[0]:
        style.number_axis(axes, "x", bins=6)
        return
    axes.set_xscale("log")
    marks = [m * 10.0**k for k in range(-1, 6) for m in (1, 2, 5)]
    shown = [mark for mark in marks if grid[0] <= mark <= grid[-1]]
    axes.set_xticks(shown, [f"{mark:g}" for mark in shown])
    axes.set_xticks([], minor=True)


def frequency_view(found: xr.Dataset, interval: float) -> TableView:
    """Return the best frequency of each channel, how sure that is, and what it brings."""
    low, high = interval_bounds(interval)
    rows = []
    for i, name in enumerate(select_texts(found, CHANNEL)):
        own = found.isel({CHANNEL: i})
        best, now, gain = (
            quantiles(own[key], (low, 0.5, high)) for key in ("best", "roi_now", "gain")
        )
        top, least = float(own["optimal_frequency"]), float(own["feasible"])
        at = number(top, 1)
        if bool(own["edge"]):
            at += ", an end of the grid"
        if top < least:
            at += ", more people than there are"
        rows.append(
            Row(
                (name,),
                (
                    at,
                    f"{number(best[0], 1)} to {number(best[2], 1)}",
                    number(now[1], 2),
                    f"{number(gain[1], 2)} ({number(gain[0], 2)} to {number(gain[2], 2)})",
                    number(least, 1),
                ),
            )
        )
    columns = (
        "Best frequency",
        f"Best in {percent(interval)} of draws",
        "ROI now",
        "Gain in ROI",
        "Feasible from",
    )
    return TableView("Frequency by channel", ("Channel",), columns, tuple(rows))


def _value(found: xr.Dataset, channel: int) -> xr.DataArray:
    """Return draws (chain, draw, frequency) of ROI, or of sales where there is no spend."""
    roi = found["roi"].isel({CHANNEL: channel})
    known = bool(np.isfinite(roi).all())
    draws = roi if known else found["incremental_sales"].isel({CHANNEL: channel})
    return check_draws(draws, (FREQUENCY,))
