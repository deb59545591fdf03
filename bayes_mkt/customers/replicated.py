"""Events drawn anew from a hazard model, beside those that were observed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.customers.asked import thinned
from bayes_mkt.customers.predict import survival_parts
from bayes_mkt.customers.risks import CompetingRisks
from bayes_mkt.customers.spells import CAUSE, INTERVAL, Spells, check_events
from bayes_mkt.dims import MARKET, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["survival_check"]

Array = NDArray[Any]
STEPS: Final = 500  # into which exact times are cut
LEVELS: Final = ("interval", "market", "cell")


def survival_check(
    fit: Fit,
    customers: Spells | None = None,
    *,
    seed: int,
    draws: int = 400,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Draw events anew from the posterior predictive distribution, beside those observed.

    On each step of time (a unit of the data's resolution) the customers who were at risk have the
    event or not, with the probability that the model gives them,

        d_s ~ sum of Bernoulli(h_is) over i at risk,    h_is = 1 - S_i(s) / S_i(s - 1).

    Who is at risk is as observed: when those with an event would have been censored is not known,
    and isn't needed, as given who is at risk the steps are independent of each other if the model
    is right. Where times are exact (`resolution=0`) a step is a short stretch, and d_s ~ Poisson.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn` or `ParametricSurvival`; of `CompetingRisks`, each cause
        by itself: `cause_specific(fit, cause)`.
    customers
        Whose spells, such as the later half of `forward_split`; None means those of the fit. In
        markets that the fit doesn't know, deviations are drawn from their population.
    seed
        Integer.
    draws
        Draws of the posterior that are used.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        - `events` (chain, draw, market, interval), drawn; `events_actual` (market, interval);
        - `expected` (chain, draw, market, interval): their mean under each draw;
        - `survival` (chain, draw, market, interval): exp(-sum of events by time at risk) at the
          interval's end, of drawn events, and `survival_actual`; NaN from where nobody is at risk;
        - `place` (market, interval), `interval_place` (interval), `market_place` (market):
          where the observed figure lies among the drawn ones, from 0 to 1, ties counted half;
        - `discrepancy` (chain, draw, level) of drawn events and `discrepancy_actual` of observed
          ones: Freeman and Tukey's sum of (sqrt(d) - sqrt(E))^2 over totals by interval, by market,
          and cell by cell of both;
        - `p_value` (level): the share of draws in which the drawn discrepancy is the larger. Near
          zero the model misses something at that level.

    Raises
    ------
    SpecError
        For `CompetingRisks`, or customers with several kinds of events.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Of the data that were fitted, the p-value isn't uniform under the right model but drawn in
    towards a half, as the fit has followed the data: a small one is evidence, a middling one says
    little. Of customers that weren't fitted it is fair.

    References
    ----------
    Gelman, Meng, Stern (1996), Statistica Sinica 6. Brooks, Catchpole, Morgan (2000), Statistical
    Science 15 (the discrepancy). Aalen, Borgan, Gjessing (2008), Survival and event history
    analysis, chapter 2 (risk sets as observed).
    """
    marks = usable(fit, allow_unconverged)
    if isinstance(fit.spec, CompetingRisks):
        raise SpecError("Check each cause by itself: survival_check(cause_specific(fit, cause)).")
    data = fit.data if customers is None else customers
    check_events(data)
    if not np.array_equal(data.cuts, fit.data.cuts) or data.resolution != fit.data.resolution:
        raise SpecError("The customers' intervals aren't those of the fit: read them with like=.")
    table = data.risk_table()
    at_risk, actual = table["at_risk"].to_numpy(), table["events"].isel({CAUSE: 0}).to_numpy()
    few = _with_draws(fit, draws)
    drawn, expected = _replicas(few, data, seeds.generator(seed, "survival check"))
    dims, sample = (*SAMPLE, MARKET, INTERVAL), {d: few.posterior[d] for d in SAMPLE}
    shape = (*(few.posterior.sizes[d] for d in SAMPLE), -1)
    apart = [_discrepancies(events, expected) for events in (drawn, actual[None])]
    variables = {
        "events": (dims, drawn.reshape(*shape[:2], *actual.shape)),
        "expected": (dims, expected.reshape(*shape[:2], *actual.shape)),
        "events_actual": (dims[2:], actual),
        "survival": (dims, _survival(drawn, at_risk).reshape(*shape[:2], *actual.shape)),
        "survival_actual": (dims[2:], _survival(actual, at_risk)),
        "place": (dims[2:], _place(drawn, actual)),
        "interval_place": (INTERVAL, _place(drawn.sum(axis=1), actual.sum(axis=0))),
        "market_place": (MARKET, _place(drawn.sum(axis=2), actual.sum(axis=1))),
        "discrepancy": ((*SAMPLE, "level"), apart[0].reshape(shape)),
        "discrepancy_actual": ((*SAMPLE, "level"), apart[1].reshape(shape)),
        "p_value": ("level", _larger(*apart)),
    }
    coords = {**sample, MARKET: list(data.markets), INTERVAL: fit.data.cuts, "level": list(LEVELS)}
    out = xr.Dataset(variables, coords=coords, attrs={"seed": seed, **marks})
    for name in out.data_vars:
        counted = str(name).startswith(("events", "expected"))
        out[name].attrs["units"] = "customers" if counted else "1"
    out[INTERVAL].attrs["units"] = fit.data.unit
    return out


def _with_draws(fit: Fit, draws: int) -> Fit:
    """Return the fit with about `draws` of its draws."""
    few = xr.DataTree.from_dict({"/posterior": thinned(fit.posterior, draws)})
    few.attrs.update(fit.draws.attrs)  # the seed of new markets and cells
    return replace(fit, draws=few)


def _replicas(fit: Fit, data: Spells, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return drawn and expected events (draw, market, interval)."""
    steps, exact = _steps(data), data.resolution == 0
    piece = np.searchsorted(data.cuts, steps[1:] - 1e-9)
    first = np.searchsorted(piece, np.arange(len(data.cuts)))
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    drawn, expected = np.zeros((2, total, len(data.markets), len(data.cuts)))
    market = data.data["market_of_cell"].values
    exposed = _Exposed.of(data, steps)
    for where, cells, survival in survival_parts(fit, data, steps):
        count = exposed.at(cells)
        before, after = survival[:, :, :-1], survival[:, :, 1:]
        stay = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
        chance = -np.log(np.clip(stay, 1e-300, 1.0)) if exact else np.clip(1.0 - stay, 0.0, 1.0)
        mean = count * chance
        for values, into in ((_drawn(mean, chance, count, exact, rng), drawn), (mean, expected)):
            by_piece = np.add.reduceat(values, first, axis=2)
            for m in np.unique(market[cells]):
                into[where, m] += by_piece[:, market[cells] == m].sum(axis=1)
    return drawn, expected


def _drawn(mean: Array, chance: Array, count: Array, exact: bool, rng: Any) -> Array:
    """Return events of each cell on each step (draw, cell, step)."""
    if exact:
        return np.asarray(rng.poisson(mean))
    # Who is censored within a step is at risk for a part of it: whole customers, at random.
    whole = np.floor(count + rng.random(count.shape)).astype(np.int64)
    return np.asarray(rng.binomial(np.broadcast_to(whole, mean.shape), chance))


def _steps(data: Spells) -> Array:
    """Return the ends of the steps of time, 0 first; ends of intervals are among them."""
    if data.resolution > 0:
        return np.arange(round(data.cuts[-1] / data.resolution) + 1) * data.resolution
    times = np.quantile(data.data["duration"].values, np.linspace(0, 1, STEPS + 1))
    return np.unique(np.concatenate([[0.0], times[times < data.cuts[-1]], data.cuts]))


@dataclass(frozen=True)
class _Exposed:
    """Customers at risk on each step, of the cells asked about.

    Attributes
    ----------
    steps
        Ends of the steps, 0 first (step + 1,).
    cell, entry, duration, count
        Of each row (row,).
    cells
        Number of cells.
    """

    steps: Array
    cell: Array
    entry: Array
    duration: Array
    count: Array
    cells: int

    @classmethod
    def of(cls, data: Spells, steps: Array) -> _Exposed:
        """Return the rows of spells."""
        rows = data.data
        cell, entry, duration, count = (
            rows[name].values for name in ("cell_of_row", "entry", "duration", "count")
        )
        return cls(steps, cell, entry, duration, count, rows.sizes["cell"])

    def at(self, cells: Array) -> Array:
        """Return how many customers of each cell are at risk, as shares of a step (cell, step).

        A customer is there from its entry to its end: the sum over rows of the length of the
        overlap with each step, which is the difference of a function that grows evenly.
        """
        place = np.full(self.cells, -1)
        place[cells] = np.arange(len(cells))
        own = place[self.cell] >= 0
        out = np.zeros((len(cells), len(self.steps) + 1))
        for times, sign in ((self.entry[own], 1.0), (self.duration[own], -1.0)):
            step = np.clip(np.searchsorted(self.steps, times, side="right") - 1, 0, None)
            step = np.minimum(step, len(self.steps) - 2)
            part = (times - self.steps[step]) / (self.steps[step + 1] - self.steps[step])
            weight = sign * self.count[own]
            np.add.at(out, (place[self.cell[own]], step), weight * (1.0 - part))
            np.add.at(out, (place[self.cell[own]], step + 1), weight * part)
        return np.clip(out.cumsum(axis=1)[:, : len(self.steps) - 1], 0.0, None)


def _survival(events: Array, at_risk: Array) -> Array:
    """Return exp(-sum of events by time at risk) at the ends of intervals (..., interval)."""
    rate = np.divide(events, at_risk, out=np.full(events.shape, np.nan), where=at_risk > 0)
    return np.asarray(np.exp(-rate.cumsum(axis=-1)))


def _discrepancies(events: Array, expected: Array) -> Array:
    """Return Freeman and Tukey's discrepancy of events (draw, level)."""

    def apart(axis: int | None) -> Array:
        pair = (events, expected) if axis is None else (events.sum(axis), expected.sum(axis))
        found = (np.sqrt(pair[0]) - np.sqrt(pair[1])) ** 2
        return np.asarray(found.reshape(len(expected), -1).sum(axis=1))

    return np.stack([apart(axis) for axis in (1, 2, None)], axis=1)


def _larger(drawn: Array, actual: Array) -> Array:
    """Return how often the drawn discrepancy is the larger, ties counted half (level,)."""
    return np.asarray(np.mean(drawn > actual, axis=0) + 0.5 * np.mean(drawn == actual, axis=0))


def _place(drawn: Array, actual: Array) -> Array:
    """Return where each figure lies among its draws, ties counted half."""
    return np.asarray(np.mean(drawn < actual, axis=0) + 0.5 * np.mean(drawn == actual, axis=0))
