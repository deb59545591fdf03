"""Curves per channel: sales against spend, and the decay of an exposure over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayes_mkt.dims import CHANNEL, LAG
from bayes_mkt.errors import SpecError
from bayes_mkt.report import style
from bayes_mkt.report.summary import (
    Floats,
    axis_label,
    check_draws,
    interval_bounds,
    percent,
    quantiles,
    remark,
    select_texts,
    units_of,
)

__all__ = ["panels_for", "plot_adstock", "plot_response_curves"]

MULTIPLIER = "multiplier"
COLUMNS = 3
BEYOND = (0, (4, 2))


def plot_response_curves(curves: xr.Dataset, *, interval: float = 0.9) -> Figure:
    """Draw incremental sales against spend for each channel, today's spend marked.

    Where the data have seen the spend the line is solid; beyond, where the curve is carried
    by its form and the prior, it is grey and dashed.

    Parameters
    ----------
    curves
        ``incremental_sales`` (``chain, draw, channel, multiplier``) and ``spend`` (``channel,
        multiplier``; for a channel without spend its exposure). The multiplier 1 is today's
        spend. Coordinates ``observed_min`` and ``observed_max`` (``channel``), in multiplier
        units, bound what the data have seen; a coordinate ``spend_units`` (``channel``)
        names the unit of each horizontal axis where it is not ``spend.attrs["units"]``.
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
    absent = [name for name in ("incremental_sales", "spend") if name not in curves.data_vars]
    if absent:
        raise SpecError(f"The response curves lack the variables {', '.join(map(repr, absent))}.")
    sales = check_draws(curves["incremental_sales"], (CHANNEL, MULTIPLIER))
    spend = curves["spend"].transpose(CHANNEL, MULTIPLIER)
    names = select_texts(curves, CHANNEL)
    low, high = interval_bounds(interval)
    figure, panels = panels_for(len(names))
    ranged = "observed_min" in curves.coords and "observed_max" in curves.coords
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        multipliers = np.asarray(curves[MULTIPLIER].values, dtype=np.float64)
        edges = (-np.inf, np.inf)
        if ranged:
            edges = (float(curves["observed_min"][i]), float(curves["observed_max"][i]))
        bands = quantiles(sales.isel({CHANNEL: i}), (low, 0.5, high))
        _draw_curve(axes, multipliers, np.asarray(spend[i].values, dtype=float), bands, edges)
        axes.set_title(style.plain(name, 26), loc="left", size=9, weight="bold", color=style.INK)
        axes.set_xlabel(_spend_label(curves, i), size=8.5, color=style.INK)
    style.title(figure, "Response curves by channel")
    figure.supylabel(style.plain(axis_label(sales, "incremental sales")), size=9, color=style.INK)
    handles = [
        Line2D([], [], color=style.LINE, linewidth=1.8, label="median, spend seen in the data"),
        Line2D(
            [],
            [],
            color=style.MUTED,
            linewidth=1.4,
            linestyle=BEYOND,
            label="median, outside that range",
        ),
        Patch(color=style.BAND, label=f"{percent(interval)} interval"),
        Line2D(
            [], [], color=style.INK, linewidth=0.8, marker="o", markersize=5, label="today's spend"
        ),
    ]
    scales = "Each channel has its own scales." if len(names) > 1 else ""
    handles = handles if ranged else [handles[0], *handles[2:]]
    style.key(figure, handles, remark(scales, curves))
    return figure


def plot_adstock(weights: xr.DataArray, *, interval: float = 0.9) -> Figure:
    """Draw the weight that an exposure keeps at each lag, by channel, with its interval.

    Parameters
    ----------
    weights
        Draws, ``chain, draw, channel, lag``. ``weights["lag"].attrs["units"]`` names the
        period (default "periods").
    interval
        Probability inside the equal-tailed band. Default 0.9.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; show it or call ``savefig``.

    Raises
    ------
    SpecError
        If a dimension is missing.
    """
    weights = check_draws(weights, (CHANNEL, LAG))
    low, high = interval_bounds(interval)
    lags = np.asarray(weights[LAG].values, dtype=float)
    names = select_texts(weights, CHANNEL)
    figure, panels = panels_for(len(names), sharey=True, height=1.9)
    period = str(weights[LAG].attrs.get("units", "periods"))
    for i, (axes, name) in enumerate(zip(panels, names, strict=True)):
        curve = quantiles(weights.isel({CHANNEL: i}), (low, 0.5, high))
        style.style_axes(axes)
        axes.vlines(lags, curve[0], curve[2], color=style.BAND, linewidth=7)
        axes.plot(lags, curve[1], color=style.LINE, linewidth=1.2, marker="o", markersize=4)
        style.number_axis(axes, "x", bins=9, integer=True)
        style.number_axis(axes, "y", bins=4)
        axes.set_title(style.plain(name, 26), loc="left", size=9, weight="bold", color=style.INK)
        axes.set_xlabel(style.plain(f"Lag ({period})"), size=8.5, color=style.INK)
    # Only now: a limit set between the panels would keep the shared axis from those that follow.
    panels[0].set_ylim(bottom=0.0)
    style.title(figure, "Adstock: how the effect of an exposure decays")
    figure.supylabel(style.plain(axis_label(weights, "weight")), size=9, color=style.INK)
    handles = [
        Line2D([], [], color=style.LINE, linewidth=1.6, marker="o", markersize=3.5, label="median"),
        Patch(color=style.BAND, label=f"{percent(interval)} interval"),
    ]
    style.key(figure, handles, remark("", weights))
    return figure


def panels_for(
    count: int, *, sharey: bool = False, height: float = 2.3
) -> tuple[Figure, list[Axes]]:
    """Return a figure with one panel for each channel."""
    columns = min(count, 2 if count == 4 else COLUMNS)
    rows = -(-count // columns)
    width = {1: 6.0, 2: 8.5}.get(columns, 10.0)
    figure = style.new_figure(width, 1.2 + max(height * rows, 2.6))
    return figure, style.grid_of_axes(figure, count, columns, sharey=sharey)


def _spend_label(curves: xr.Dataset, channel: int) -> str:
    units = units_of(curves["spend"])
    if "spend_units" in curves.coords:
        units = str(curves["spend_units"].values[channel])
    return style.plain(f"Spend ({units})" if units else "Spend", 40)


def _between(
    grid: Floats, values: Floats, low: float, high: float
) -> tuple[npt.NDArray[np.float64], ...]:
    """Return `values` (rows) on the part of `grid` in [low, high], its ends interpolated."""
    low, high = max(low, float(grid[0])), min(high, float(grid[-1]))
    if low >= high:
        return tuple(np.empty(0) for _ in values)
    points = np.unique(np.concatenate([[low], grid[(grid > low) & (grid < high)], [high]]))
    return tuple(np.interp(points, grid, row) for row in values)


def _draw_curve(
    axes: Axes,
    multipliers: Floats,
    spend: Floats,
    bands: Floats,
    edges: tuple[float, float],
) -> None:
    style.style_axes(axes)
    rows = np.vstack([spend, bands])
    low, high = edges
    for start, stop, seen in ((-np.inf, low, False), (low, high, True), (high, np.inf, False)):
        x, bottom, middle, top = _between(multipliers, rows, start, stop)
        if not x.size:
            continue
        colour = style.BAND if seen else "#e3e3e3"
        axes.fill_between(x, bottom, top, color=colour, linewidth=0)
        axes.plot(
            x,
            middle,
            color=style.LINE if seen else style.MUTED,
            linewidth=1.8 if seen else 1.4,
            linestyle="-" if seen else BEYOND,
        )
    if multipliers[0] <= 1.0 <= multipliers[-1]:
        today, _, reached, _ = (float(np.interp(1.0, multipliers, row)) for row in rows)
        axes.vlines(today, 0.0, reached, color=style.INK, linewidth=0.8)
        axes.plot(today, reached, "o", color=style.INK, markersize=5, zorder=4)
    axes.margins(x=0.02)
    style.number_axis(axes, "x", bins=5)
    style.number_axis(axes, "y", bins=5)
