"""Where sales come from: the baseline and each channel's contribution, stacked over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.errors import SpecError
from bayes_mkt.report import style
from bayes_mkt.report.plot_fit import aligned
from bayes_mkt.report.summary import (
    Floats,
    axis_label,
    check_draws,
    over_draws,
    remark,
    select_texts,
)

__all__ = ["plot_contributions"]


def plot_contributions(
    contributions: xr.DataArray,
    baseline: xr.DataArray,
    observed: xr.DataArray | None = None,
) -> Figure:
    """Stack posterior means of the baseline and of each channel's contribution over time.

    The upper part shows all sales, the lower one the channels alone on their own scale.
    Means add up, so that the top of the stack is the posterior mean of expected sales.

    Parameters
    ----------
    contributions
        Draws, ``chain, draw, date, channel``, in units of sales.
    baseline
        Draws of expected sales without media, ``chain, draw, date``, same units.
    observed
        Observed sales by ``date``, or by ``region, date``, which are then added over the
        regions observed at each date. All three must cover the same region-weeks. Optional.

    Returns
    -------
    matplotlib.figure.Figure
        A figure that belongs to no window; show it or call ``savefig``.

    Raises
    ------
    SpecError
        If dimensions are missing or superfluous, or the dates differ.
    """
    contributions = check_draws(contributions, (DATE, CHANNEL))
    baseline = check_draws(baseline, (DATE,))
    if contributions.ndim != 4 or baseline.ndim != 3:
        raise SpecError(
            "Contributions over time need dimensions (chain, draw, date, channel) and the "
            f"baseline (chain, draw, date); they have {tuple(map(str, contributions.dims))} and "
            f"{tuple(map(str, baseline.dims))}. Sum over the other dimensions first."
        )
    dates = contributions[DATE].values
    aligned(baseline.isel(chain=0, draw=0), contributions, (DATE,))
    media = over_draws(contributions).mean(axis=0).T
    base = over_draws(baseline).mean(axis=0)
    names = select_texts(contributions, CHANNEL)
    figure = style.new_figure(10.0, 6.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(5.2, 1.0), height_ratios=(1.25, 1.0))
    upper, lower = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    colours, hatches = _looks(len(names))
    layers = _stack([base, *media])
    _areas(upper, dates, layers, [style.BASELINE, *colours], ["", *hatches])
    if observed is not None:
        total = _total(aligned(observed, contributions, (DATE,)))
        upper.plot(dates, total, color=style.INK, linewidth=1.2)
    _labels(
        upper,
        figure.add_subplot(grid[0, 1], sharey=upper),
        [*_ends(layers), *([] if observed is None else [_last(total)])],
        ["baseline", *names, *([] if observed is None else ["observed sales"])],
        [style.BASELINE, *colours, style.INK],
        ["", *hatches, ""],
    )
    media_layers = _stack(list(media))
    _areas(lower, dates, media_layers, colours, hatches)
    _labels(
        lower,
        figure.add_subplot(grid[1, 1], sharey=lower),
        _ends(media_layers),
        names,
        colours,
        hatches,
    )
    label = axis_label(contributions, "sales")
    units = label[label.rindex("(") :] if label.endswith(")") else ""
    upper.set_title("All sales", loc="left", size=9, weight="bold", color=style.INK)
    lower.set_title("Media alone, own scale", loc="left", size=9, weight="bold", color=style.INK)
    for axes in (upper, lower):
        axes.set_ylabel(style.plain(f"Sales {units}".strip()), size=9, color=style.INK)
    style.title(figure, "Baseline and contributions of the channels over time")
    words = "Posterior means; they add up to expected sales."
    style.note(figure, remark(words, contributions, baseline))
    return figure


def _looks(count: int) -> tuple[list[str], list[str]]:
    """Return a colour and a hatch per channel; no pair repeats within 56 channels."""
    colours = [style.PALETTE[i % len(style.PALETTE)] for i in range(count)]
    hatches = [style.HATCHES[i % len(style.HATCHES)] for i in range(count)]
    return colours, hatches


def _stack(layers: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
    """Return lower and upper edge of each layer; negative values are stacked below zero."""
    above = np.zeros_like(layers[0])
    below = np.zeros_like(layers[0])
    edges = []
    for values in layers:
        rising = values >= 0
        start = np.where(rising, above, below)
        stop = start + values
        edges.append((np.minimum(start, stop), np.maximum(start, stop)))
        above = np.where(rising, stop, above)
        below = np.where(rising, below, stop)
    return edges


def _areas(
    axes: Axes,
    dates: npt.NDArray[np.generic],
    layers: Sequence[tuple[Floats, Floats]],
    colours: Sequence[str],
    hatches: Sequence[str],
) -> None:
    style.style_axes(axes)
    for (lower, upper), colour, hatch in zip(layers, colours, hatches, strict=True):
        area = axes.fill_between(
            dates, lower, upper, facecolor=colour, edgecolor="white", linewidth=0.4, hatch=hatch
        )
        area.set_hatch_linewidth(0.7)
    if any(bool((lower < 0).any()) for lower, _ in layers):
        axes.axhline(0.0, color=style.INK, linewidth=0.8)
    else:
        axes.set_ylim(bottom=0.0)
    axes.margins(x=0.0)
    style.number_axis(axes, "y")
    style.date_axis(axes)


def _total(observed: xr.DataArray) -> Floats:
    extra = [dim for dim in observed.dims if dim not in (DATE, REGION)]
    if extra:
        raise SpecError(f"Observed sales have unexpected dimensions {extra}.")
    if REGION in observed.dims:
        observed = observed.sum(REGION, skipna=True, min_count=1)
    return np.asarray(observed.values, dtype=np.float64)


def _ends(layers: Sequence[tuple[Floats, Floats]]) -> list[float]:
    return [float(lower[-1] + upper[-1]) / 2 for lower, upper in layers]


def _last(values: Floats) -> float:
    present = values[~np.isnan(values)]
    return float(present[-1]) if present.size else 0.0


def _labels(
    stack: Axes,
    axes: Axes,
    ends: Sequence[float],
    names: Sequence[str],
    colours: Sequence[str],
    hatches: Sequence[str],
) -> None:
    """Name each layer beside its right end, with a swatch and a thin line to it."""
    axes.set_axis_off()
    axes.set_xlim(0.0, 1.0)
    low, high = axes.get_ylim()
    gap = (high - low) * min(0.085, 0.97 / max(len(names), 1))
    order = sorted(range(len(names)), key=lambda i: ends[i])
    heights = style.spread([ends[i] for i in order], gap, low + gap / 2, high - gap / 2)
    size = 8.5 if len(names) <= 12 else 6.5
    for i, height in zip(order, heights, strict=True):
        leader = ConnectionPatch(
            (1.0, ends[i]),
            (-0.04, height),
            coordsA=stack.get_yaxis_transform(),
            coordsB=axes.transData,
            color=style.MUTED,
            linewidth=0.6,
        )
        leader.set_in_layout(False)
        axes.add_artist(leader)
        line = names[i] == "observed sales"
        swatch = Rectangle(
            (0.0, height - gap * (0.05 if line else 0.3)),
            0.14,
            gap * (0.1 if line else 0.6),
            facecolor=colours[i],
            edgecolor="white",
            linewidth=0.4,
            hatch=hatches[i],
            clip_on=False,
        )
        axes.add_patch(swatch)
        axes.text(0.2, height, style.plain(names[i], 20), va="center", size=size, color=style.INK)
