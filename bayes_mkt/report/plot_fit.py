"""Observed against expected sales, one small panel per region."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bayes_mkt.dims import DATE, REGION
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
)

__all__ = ["plot_fit", "shown_regions"]

COLUMNS = 3


def plot_fit(
    observed: xr.DataArray,
    expected: xr.DataArray,
    *,
    interval: float = 0.9,
    max_regions: int = 12,
) -> Figure:
    """Draw observed sales as points and expected sales as a line with its interval, by region.

    Parameters
    ----------
    observed
        Sales by ``region, date``; NaN where a region-week is missing.
    expected
        Draws of expected sales, ``chain, draw, region, date``, in the same units. Give draws
        of the posterior predictive distribution instead, with a fitting ``long_name``, to
        show an interval for the observations themselves.
    interval
        Probability inside the equal-tailed band. Default 0.9.
    max_regions
        At most so many regions are drawn, those with the largest observed sales; a note
        below the figure states how many are left out. Default 12.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; show it or call ``savefig``.

    Raises
    ------
    SpecError
        If dimensions are missing, or regions and dates of the two arrays differ.
    """
    expected = check_draws(expected, (REGION, DATE))
    observed = aligned(observed, expected, (REGION, DATE))
    shown = shown_regions(observed, max_regions)
    bounds = interval_bounds(interval)
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = style.new_figure(10.0 if columns > 1 else 8.0, 1.2 + max(1.75 * rows, 2.6))
    panels = style.grid_of_axes(figure, len(shown), columns, sharex=True)
    names = select_texts(observed, REGION)
    for axes, region in zip(panels, shown, strict=True):
        curves = quantiles(expected.isel({REGION: region}), (bounds[0], 0.5, bounds[1]))
        _draw_region(axes, observed.isel({REGION: region}), curves, names[region])
    style.title(figure, "Observed and expected sales by region")
    figure.supylabel(style.plain(axis_label(observed, "sales")), size=9, color=style.INK)
    words = str(expected.attrs.get("long_name") or "expected sales")
    style.key(
        figure,
        [
            Line2D(
                [],
                [],
                color=style.INK,
                marker="o",
                markersize=3,
                linestyle="none",
                label="observed",
            ),
            Line2D([], [], color=style.LINE, linewidth=1.6, label=style.plain(f"{words}, median")),
            Patch(color=style.BAND, label=f"{percent(interval)} interval"),
        ],
        remark(_left_out(len(shown), len(names)), expected),
    )
    return figure


def aligned(observed: xr.DataArray, draws: xr.DataArray, dims: tuple[str, ...]) -> xr.DataArray:
    """Return `observed` ordered as `dims`; SpecError unless its labels are those of `draws`."""
    missing = [dim for dim in dims if dim not in observed.dims]
    if missing:
        raise SpecError(
            f"The observed values have dimensions {tuple(map(str, observed.dims))} and lack "
            f"{', '.join(map(repr, missing))}."
        )
    for dim in dims:
        ours, theirs = observed[dim], draws[dim]
        if ours.size != theirs.size or not bool(np.all(ours.values == theirs.values)):
            raise SpecError(
                f"Observed and modelled values have different labels along {dim!r} "
                f"({ours.size} and {theirs.size} of them). Select the same ones in both."
            )
    return observed.transpose(*dims, ...)


def shown_regions(observed: xr.DataArray, max_regions: int) -> list[int]:
    """Return the positions of the regions to draw, largest observed sales first."""
    if max_regions < 1:
        raise SpecError(f"max_regions={max_regions} is below 1.")
    totals = np.nansum(np.asarray(observed.transpose(REGION, DATE).values, dtype=float), axis=1)
    return [int(i) for i in np.argsort(-totals, kind="stable")[:max_regions]]


def _left_out(shown: int, regions: int) -> str:
    scales = "Each region has its own vertical scale." if shown > 1 else ""
    if shown == regions:
        return scales
    return (
        f"{shown} of {regions} regions are drawn, those with the largest observed sales; "
        f"{regions - shown} are not. {scales}"
    )


def _draw_region(axes: Axes, observed: xr.DataArray, curves: Floats, name: str) -> None:
    dates = observed[DATE].values
    values = np.asarray(observed.values, dtype=float)
    style.style_axes(axes)
    axes.fill_between(dates, curves[0], curves[2], color=style.BAND, linewidth=0)
    axes.plot(dates, curves[1], color=style.LINE, linewidth=1.4)
    axes.plot(dates, values, color=style.INK, marker="o", markersize=1.7, linestyle="none")
    style.number_axis(axes, "y", bins=4)
    style.date_axis(axes, bins=6)
    missing = int(np.isnan(values).sum())
    gaps = f"  ({missing} date{'s' if missing != 1 else ''} missing)" if missing else ""
    axes.set_title(
        style.plain(name, 26) + gaps, loc="left", size=9, weight="bold", color=style.INK, pad=4
    )
