"""How often to reach people: ROI at each frequency, for the same impressions and spend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor
import pytensor.tensor as pt
import xarray as xr

from bayes_mkt.dims import CHANNEL, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.inference.layout import flat_draws
from bayes_mkt.media_mix.counterfactual import labelled, lagged
from bayes_mkt.media_mix.estimand import Estimand, Question
from bayes_mkt.media_mix.frequency import FREQUENCY, filled, frequency_places, impressions
from bayes_mkt.media_mix.panel import MediaPanel

STEP = 0.1


def optimal_frequency(
    fit: Fit,
    estimand: Estimand | None = None,
    *,
    frequencies: Sequence[float] | None = None,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return what each frequency brings, for the impressions and the spend that there were.

    Within the spend window frequency is f everywhere and reach is impressions / f, so that
    impressions and spend stay as they were:

        ROI(f) = sum_gt u_gt (E[sales_gt | reach n_gt / f at frequency f] - E[sales_gt | off])
                 / sum_gt spend_gtm,    n = reach x frequency.

    Parameters
    ----------
    fit
        A fitted `MediaMix` of a panel with reach and frequency.
    estimand
        The question; None asks about all media over the whole panel.
    frequencies
        The grid, each >= 1; None (default) goes from 1 to the highest in the panel by 0.1.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Over `channel` (those with reach and frequency that the estimand asks about) and
        `frequency`:

        - `incremental_sales` and `roi` (chain, draw, channel, frequency), ROI NaN for a channel
          without spend;
        - `optimal_frequency` (channel): where the posterior mean of ROI (of incremental sales,
          without spend) is highest;
        - `best` (chain, draw, channel): where it is highest in each draw, the uncertainty about
          the optimum;
        - `roi_now` and `gain` (chain, draw, channel): ROI of what ran, and of the optimum less
          that;
        - `edge` (channel): whether the optimum is an end of the grid, so that it may lie beyond;
        - `feasible` (channel): the least frequency at which no region needs more people than it
          has, 1 where the population isn't known;
        - `observed_min`, `observed_max` (channel): frequencies that the data have seen, outside
          of which the curve is extrapolation.

    Raises
    ------
    SpecError
        If no channel asked about has reach and frequency, or the grid makes no sense.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    As in Meridian, one frequency holds for all regions and periods, and the optimum maximises the
    posterior mean. Causal under the assumptions of `MediaMix`, and if frequency was not chosen by
    what it would bring. The price of an impression is taken not to depend on frequency.

    References
    ----------
    Zhang, Wurm, Wakim, Li, Liu (2023), Bayesian hierarchical media mix model incorporating reach
    and frequency data.
    """
    marks = usable(fit, allow_unconverged)
    panel = fit.data
    places = frequency_places(panel)
    question = (estimand or Estimand()).resolve(panel, fit.spec.adstock.max_lag)
    asked = [m for m in places if question.channels[m]]
    if not asked:
        raise SpecError(
            "optimal_frequency: no channel asked about has reach and frequency; load the panel "
            "with reach= and frequency=."
        )
    low, high = _seen(panel, asked)
    grid = _grid(frequencies, max(high))
    sales, revenue = _sums(fit, question, asked, grid)
    spend = np.nan_to_num(panel.data["spend"].to_numpy()) * question.paid[:, :, None]
    spent = spend.sum(axis=(0, 1))[asked]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(spent > 0, revenue / spent, np.nan)
    names = [panel.channels[m] for m in asked]

    def of(values: np.ndarray, *more: str) -> xr.DataArray:
        coords = {CHANNEL: names, **({"frequency": grid} if more else {})}
        return labelled(fit, values, (CHANNEL, *more), **coords)

    money = {"units": "revenue per unit of spend"}
    roi = of(np.moveaxis(ratio[1:], 0, -1), "frequency").assign_attrs(**money, long_name="ROI")
    sold = of(np.moveaxis(sales[1:], 0, -1), "frequency").assign_attrs(
        units=panel.data["sales"].attrs["units"], long_name="Incremental sales"
    )
    value = roi.where(np.isfinite(roi), sold)
    top = value.mean(SAMPLE).argmax("frequency")
    now = of(ratio[0]).assign_attrs(**money, long_name="ROI now")
    gain = (roi.isel(frequency=top) - now).drop_vars("frequency", errors="ignore")
    often = {"units": "impressions per person reached"}
    best = xr.DataArray(grid[top.to_numpy()], coords={CHANNEL: names})
    edges = (top == 0) & (grid[0] > 1.0) | (top == len(grid) - 1)
    return xr.Dataset(
        {
            "roi": roi,
            "incremental_sales": sold,
            "optimal_frequency": best.assign_attrs(**often, long_name="Optimal frequency"),
            "best": value["frequency"][value.argmax("frequency")]
            .drop_vars("frequency")
            .assign_attrs(**often, long_name="Best frequency of each draw"),
            "roi_now": now,
            "gain": gain.assign_attrs(**money, long_name="Gain in ROI at the optimal frequency"),
            "edge": edges.drop_vars("frequency", errors="ignore"),
            "feasible": (CHANNEL, _feasible(fit, question, asked)),
            "observed_min": (CHANNEL, low),
            "observed_max": (CHANNEL, high),
        },
        attrs=marks,
    )


def _seen(panel: MediaPanel, asked: list[int]) -> tuple[list[float], list[float]]:
    """Return the least and the highest frequency of each channel where people were reached."""
    low, high = [], []
    for m in asked:
        reached = panel.data["exposure"].to_numpy()[:, :, m] > 0
        values = panel.data["frequency"].to_numpy()[:, :, m][reached]
        low.append(float(values.min()))
        high.append(float(values.max()))
    return low, high


def _grid(given: Sequence[float] | None, highest: float) -> np.ndarray:
    """Return the frequencies asked about, ascending."""
    if given is None:
        count = max(int(np.ceil(round((highest - 1.0) / STEP, 9))), 1)
        return np.round(1.0 + STEP * np.arange(count + 1), 10)
    grid = np.unique(np.asarray(tuple(given), dtype=float))
    if grid.size < 2 or not (np.isfinite(grid) & (grid >= 1)).all():
        raise SpecError(f"frequencies={given!r} must be two or more numbers >= 1.")
    return grid


def _sums(
    fit: Fit, question: Question, asked: list[int], grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return incremental sales and revenue (frequency, draw, channel), what ran first.

    Sales are proportional to reach, so of equal impressions those at frequency f are to those at
    the highest as s(f) / f is; the model is evaluated there and at what ran.
    """
    panel = fit.data
    reach, seen = panel.data["exposure"].to_numpy(), impressions(panel).to_numpy()
    frequency = panel.data["frequency"].to_numpy()
    own = np.isin(np.arange(panel.n_channels), asked)
    changed = question.changed[:, :, None] & own
    highest = float(grid[-1])

    def data(people: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
        values = np.moveaxis(filled(panel, times, people), -1, 0)
        return {"lagged_exposure": lagged(fit, people), "frequency": values}

    off = data(np.where(changed, 0.0, reach), frequency)
    then = data(
        np.where(changed, seen / highest, reach), np.where(changed & (seen > 0), highest, frequency)
    )
    price = np.ones(question.counted.shape)
    if "revenue_per_sale" in panel.data:
        price = np.nan_to_num(panel.data["revenue_per_sale"].to_numpy(), nan=0.0)
    weight = np.stack([question.counted, question.counted * price])
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    shape = (2, total, panel.n_regions, len(asked))
    now, top = np.empty(shape), np.empty(shape)
    for where, (none, ran, most) in fit.target.evaluate(
        fit.posterior, ["media_contribution"], data=[off, {}, then], hold=("effect",)
    ):
        for out, result in ((now, ran), (top, most)):
            change = result["media_contribution"] - none["media_contribution"]
            out[:, where] = np.einsum("zgtm,kgt->kzgm", change[..., asked], weight)
    share = _shares(fit, asked, grid)
    by_grid = np.einsum("kzgm,fzgm->kfzm", top, share / share[-1])
    sales, revenue = np.concatenate([now.sum(axis=2)[:, None], by_grid], axis=1)
    return sales, revenue


def _shares(fit: Fit, asked: list[int], grid: np.ndarray) -> np.ndarray:
    """Return s(f) / f of the model's curve, (frequency, draw, region or 1, channel)."""
    places = [frequency_places(fit.data).index(m) for m in asked]
    parameters = {}
    for name in FREQUENCY.priors:
        own = f"region_{name}" if f"region_{name}" in fit.posterior else name
        values = flat_draws(fit.posterior, own)[..., places]
        parameters[name] = values if values.ndim == 3 else values[:, None, :]
    often = grid[:, None, None, None]
    inputs = {"f": often, **parameters}
    shapes = {name: tuple(1 if n == 1 else None for n in v.shape) for name, v in inputs.items()}
    symbols = {name: pt.tensor(name, dtype="float64", shape=s) for name, s in shapes.items()}
    curve = FREQUENCY.curve(symbols["f"], {name: symbols[name] for name in parameters})
    function = pytensor.function(list(symbols.values()), curve, mode="FAST_COMPILE")
    return np.asarray(function(*inputs.values()) / often)


def _feasible(fit: Fit, question: Question, asked: list[int]) -> np.ndarray:
    """Return the least frequency (channel,) at which reach doesn't exceed the population."""
    panel = fit.data
    if "population" not in panel.data:
        return np.ones(len(asked))
    people = panel.data["population"].to_numpy()[:, None, None]
    a_head = impressions(panel).to_numpy()[:, :, asked] / people
    return np.asarray(np.maximum(1.0, (a_head * question.changed[:, :, None]).max(axis=(0, 1))))
