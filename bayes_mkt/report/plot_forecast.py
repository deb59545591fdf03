"""Sales so far, and sales ahead with their interval."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayes_mkt.dims import DATE, REGION
from bayes_mkt.report import style
from bayes_mkt.report.summary import (
    axis_label,
    check_draws,
    interval_bounds,
    percent,
    quantiles,
    remark,
)

__all__ = ["plot_forecast"]

BEFORE = 52


def plot_forecast(
    predicted: xr.DataArray, observed: xr.DataArray | None = None, *, interval: float = 0.9
) -> Figure:
    """Draw predicted sales of all regions together, after the sales that led up to them.

    Parameters
    ----------
    predicted
        Draws of sales, ``chain, draw, region, date`` or ``chain, draw, date``; regions are added
        up draw by draw.
    observed
        Sales by ``region, date``; the last 52 periods in which every region was seen are drawn.
    interval
        Probability inside the wide band; the narrow one holds half.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window.

    Raises
    ------
    SpecError
        If dimensions are missing.
    """
    total = predicted.sum(REGION, keep_attrs=True) if REGION in predicted.dims else predicted
    total = check_draws(total, (DATE,))
    low, high = interval_bounds(interval)
    curves = quantiles(total, (low, 0.25, 0.5, 0.75, high))
    figure = style.new_figure(10.0, 3.6)
    (axes,) = style.grid_of_axes(figure, 1, 1)
    style.style_axes(axes)
    dates = total[DATE].values
    key: list[Line2D | Patch] = []
    if observed is not None:
        past = observed.sum(REGION, skipna=False).isel({DATE: slice(-BEFORE, None)})
        axes.plot(
            past[DATE].values,
            np.asarray(past.values, dtype=float),
            color=style.INK,
            marker="o",
            markersize=2.2,
            linewidth=0.8,
        )
        key.append(Line2D([], [], color=style.INK, marker="o", markersize=3, label="observed"))
    axes.fill_between(dates, curves[0], curves[4], color=style.BAND, linewidth=0)
    axes.fill_between(dates, curves[1], curves[3], color=style.LINE, alpha=0.25, linewidth=0)
    axes.plot(dates, curves[2], color=style.LINE, linewidth=1.6)
    style.number_axis(axes, "y", bins=5)
    style.date_axis(axes, bins=8)
    style.title(figure, "Sales ahead, all regions together")
    figure.supylabel(style.plain(axis_label(total, "sales")), size=9, color=style.INK)
    key += [
        Line2D([], [], color=style.LINE, linewidth=1.6, label="predicted, median"),
        Patch(color=style.BAND, label=f"{percent(interval)} interval"),
    ]
    style.key(figure, key, remark("", total))
    return figure
