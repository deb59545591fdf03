"""Forest figures: median and intervals per label, with truth and prior where known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayes_mkt.dims import CHANNEL, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.report import style
from bayes_mkt.report.formats import common_decimals, probability, short
from bayes_mkt.report.summary import (
    Floats,
    axis_label,
    check_draws,
    interval_bounds,
    over_draws,
    percent,
    remark,
    spread_of,
)

__all__ = ["plot_forest", "plot_roi"]

MAX_ROWS: Final = 40


def plot_roi(
    roi: xr.DataArray,
    *,
    truth: Mapping[str, float] | None = None,
    prior: xr.DataArray | None = None,
    interval: float = 0.9,
    reference: float | None = 1.0,
) -> Figure:
    """Draw return on investment per channel, with the line at 1 where a channel pays back.

    Parameters
    ----------
    roi
        Draws, ``chain, draw, channel`` and any further dimensions; one row per combination.
    truth
        Known return of each channel (simulated data), drawn as diamonds. Optional.
    prior
        Draws of the prior, ``chain, draw, channel``; their interval is drawn dashed.
        Optional.
    interval
        Probability inside the wide interval; the thick one holds 50%. Default 0.9.
    reference
        Where the reference line stands; None leaves it out. Default 1, break-even.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; show it or call ``savefig``.

    Raises
    ------
    SpecError
        If `roi` or `prior` has no ``chain, draw, channel``.
    """
    check_draws(roi, (CHANNEL,))
    return plot_forest(
        roi,
        heading="Return on investment (ROI) by channel",
        label="ROI",
        truth=truth,
        prior=prior,
        interval=interval,
        reference=reference,
    )


def plot_forest(
    array: xr.DataArray,
    *,
    heading: str,
    label: str = "value",
    truth: Mapping[str, float] | None = None,
    prior: xr.DataArray | None = None,
    interval: float = 0.9,
    reference: float | None = 0.0,
    max_rows: int = MAX_ROWS,
) -> Figure:
    """Draw the median, the 50% interval and a wide interval of each row of `array`.

    Parameters
    ----------
    array
        Draws, ``chain, draw`` and one or more further dimensions.
    heading
        Title of the figure.
    label
        Label of the axis where `array` has no ``long_name``; its units follow.
    truth
        Known value by label of the first further dimension, drawn as diamonds. Optional.
    prior
        Draws of the prior with the same labels (or none: one prior for all rows). Optional.
    interval
        Probability inside the wide interval. Default 0.9.
    reference
        Where a vertical reference line stands; None leaves it out. Default 0.
    max_rows
        At most so many rows are drawn; a note states how many are left out. Default 40.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; show it or call ``savefig``.

    Raises
    ------
    SpecError
        If ``chain`` or ``draw`` is missing, or no further dimension is left.
    """
    array = check_draws(array)
    names, keys = _rows(array)
    draws = over_draws(array).reshape(array.sizes["chain"] * array.sizes["draw"], -1)
    shown = min(len(names), max_rows)
    low, high = interval_bounds(interval)
    summary = np.quantile(draws[:, :shown], [low, 0.25, 0.5, 0.75, high], axis=0)
    beliefs = None if prior is None else _prior_bounds(prior, array, (low, high))[:, :shown]
    known = [] if truth is None else [truth.get(key) for key in keys[:shown]]
    figure = style.new_figure(10.0, 1.9 + 0.42 * shown)
    grid = figure.add_gridspec(1, 2, width_ratios=(2.6, 1.0))
    axes = figure.add_subplot(grid[0, 0])
    _frame(axes, names[:shown], style.plain(axis_label(array, label)), reference)
    _limits(axes, summary, known, reference)
    _intervals(axes, summary, beliefs, known)
    words = figure.add_subplot(grid[0, 1], sharey=axes)
    _numbers(words, draws[:, :shown], summary, interval, reference)
    style.title(figure, heading)
    rest = len(names) - shown
    left_out = f"{shown} of {len(names)} rows are drawn; {rest} are not." if rest else ""
    style.key(
        figure,
        _key(interval, reference, beliefs is not None, any(k is not None for k in known)),
        remark(left_out, array),
    )
    return figure


def _rows(array: xr.DataArray) -> tuple[list[str], list[str]]:
    """Return the label of each row, and its label along the first dimension alone."""
    dims = [dim for dim in array.dims if dim not in SAMPLE]
    if not dims:
        raise SpecError("A forest figure needs a dimension besides chain and draw.")
    template = array.isel(dict.fromkeys(SAMPLE, 0), drop=True)
    parts = [
        [str(v) for v in (array[dim].values if dim in array.coords else range(array.sizes[dim]))]
        for dim in dims
    ]
    names, keys = [], []
    for position in np.ndindex(template.shape):
        labels = [part[i] for part, i in zip(parts, position, strict=True)]
        names.append(" · ".join(labels))
        keys.append(labels[0])
    return names, keys


def _prior_bounds(prior: xr.DataArray, array: xr.DataArray, bounds: tuple[float, float]) -> Floats:
    prior = check_draws(prior)
    template = array.isel(dict.fromkeys(SAMPLE, 0), drop=True)
    values = prior.quantile(list(bounds), dim=list(SAMPLE)).drop_vars("quantile")
    extra = [dim for dim in values.dims if dim not in ("quantile", *template.dims)]
    if extra:
        raise SpecError(f"The prior has dimensions {extra} that the quantity does not have.")
    full = values.reindex_like(template).broadcast_like(template)
    result = full.transpose("quantile", *template.dims).values.reshape(2, -1)
    return np.asarray(result, dtype=np.float64)


def _frame(axes: Axes, names: Sequence[str], label: str, reference: float | None) -> None:
    style.style_axes(axes, grid="x")
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [style.plain(name, 32) for name in names])
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_xlabel(label, size=9, color=style.INK)
    style.number_axis(axes, "x", bins=7)
    if reference is not None:
        axes.axvline(reference, color=style.INK, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)


def _limits(
    axes: Axes, summary: Floats, known: Sequence[float | None], reference: float | None
) -> None:
    values = [*summary[[0, -1]].ravel(), *(v for v in known if v is not None)]
    if reference is not None:
        values.append(reference)
    finite = [float(v) for v in values if np.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = (high - low) or abs(high) or 1.0
    start = 0.0 if low >= 0 and low < 0.4 * high else low - 0.06 * room
    axes.set_xlim(start, high + 0.08 * room)


def _intervals(
    axes: Axes, summary: Floats, beliefs: Floats | None, known: Sequence[float | None]
) -> None:
    right = axes.get_xlim()[1]
    for row in range(summary.shape[1]):
        low, first, median, third, high = summary[:, row]
        if beliefs is not None:
            below = row + 0.24
            axes.hlines(below, *beliefs[:, row], color=style.MUTED, linewidth=1.1, linestyle=":")
            if beliefs[1, row] > right:
                axes.plot(right, below, color=style.MUTED, marker=">", markersize=4, clip_on=False)
        axes.hlines(row, low, high, color=style.LINE, linewidth=1.6)
        axes.hlines(row, first, third, color=style.LINE, linewidth=5.5)
        axes.plot(median, row, "o", color="white", markeredgecolor=style.INK, markersize=6.5)
    for row, value in enumerate(known):
        if value is not None:
            axes.plot(value, row - 0.24, "D", color=style.TRUTH, markersize=5, zorder=4)


def _numbers(
    axes: Axes, draws: Floats, summary: Floats, interval: float, reference: float | None
) -> None:
    axes.set_axis_off()
    axes.set_xlim(0.0, 1.0)
    axes.text(0.0, -0.62, f"median [{percent(interval)} interval]", size=8, color=style.MUTED)
    if reference is not None:
        axes.text(1.0, -0.62, f"P(>{reference:g})", size=8, color=style.MUTED, ha="right")
    for row, decimals in enumerate(common_decimals([float(sd) for sd in spread_of(draws)])):
        low, median, high = (short(float(summary[i, row]), decimals) for i in (0, 2, -1))
        axes.text(0.0, row, f"{median} [{low}, {high}]", va="center", size=8.5, color=style.INK)
        if reference is not None:
            share = float((draws[:, row] > reference).mean())
            share = float("nan") if np.isnan(draws[:, row]).any() else share
            text = probability(share, len(draws))
            axes.text(1.0, row, text, va="center", ha="right", size=8.5, color=style.INK)


def _key(interval: float, reference: float | None, prior: bool, truth: bool) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            color="white",
            markeredgecolor=style.INK,
            markersize=6.5,
            label="median",
        ),
        Line2D([], [], color=style.LINE, linewidth=5.5, label="50% interval"),
        Line2D([], [], color=style.LINE, linewidth=1.6, label=f"{percent(interval)} interval"),
    ]
    if prior:
        text = f"prior, {percent(interval)}"
        handles.append(Line2D([], [], color=style.MUTED, linestyle=":", linewidth=1.1, label=text))
    if truth:
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="D",
                color=style.TRUTH,
                markersize=5,
                label="known truth",
            )
        )
    if reference is not None:
        text = "break-even (1)" if reference == 1.0 else f"reference ({reference:g})"
        handles.append(
            Line2D([], [], color=style.INK, linewidth=1.0, linestyle=(0, (5, 3)), label=text)
        )
    return handles
