"""Purchases and revenue to come, as joint predictive draws: totals have honest intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.customers.asked import (
    Segments,
    flat,
    purchase_model,
    segment_codes,
    spend_model,
    spent,
    thinned,
)
from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.states import purchase_rows
from bayes_mkt.customers.swings import CalendarSwings
from bayes_mkt.days import Bound, day_number
from bayes_mkt.dims import CUSTOMER, MARKET, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["future_purchases", "futures", "revenue"]

Array = NDArray[Any]
Period = str | tuple[Bound, Bound]
PERIOD: Final = "period"
MEMORY: Final = 2**31


def future_purchases(
    fit: Fit,
    periods: Sequence[Period],
    by: str = "total",
    *,
    seed: int,
    draws: int = 400,
    segments: Segments | None = None,
    swings: CalendarSwings | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return drawn numbers of purchases in periods after the history's end.

    As `revenue`, in days of purchase; needs no model of spend.
    """
    marks = usable(fit, allow_unconverged)
    out = _simulated(fit, periods, by, segments, seed, draws, swings, money=False)
    return out.rename("future_purchases").assign_attrs(
        units="purchases", long_name="Purchases", seed=seed, **marks
    )


def revenue(
    fit: Fit,
    periods: Sequence[Period],
    by: str = "market",
    *,
    seed: int,
    draws: int = 400,
    segments: Segments | None = None,
    swings: CalendarSwings | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return drawn revenue of periods after the history's end, from the customers in the history.

    For each draw of the hyperparameters every customer's future is drawn once: alive or not, own
    rates given the history, purchases in every period, and their sum of amounts, Gamma(pN, nu) with
    nu ~ Gamma(px+q, xz+v). Customers share a draw of the hyperparameters, so a total's interval
    holds what they have in common; sums of independent customers' intervals would be too narrow.

    Parameters
    ----------
    fit
        A fitted `Lifetime` with spend.
    periods
        Such as ``"2011Q3"``, ``"2011-08"``, ``"2012"``, or pairs of first and last day. They start
        after the history's end.
    by
        ``"market"``, ``"segment"``, ``"customer"`` or ``"total"``.
    seed
        Integer.
    draws
        Draws of the hyperparameters that are used, evenly spaced over those of the fit.
    segments
        A label for each customer, in the order of ``fit.data.data["customer"]``, or by name.
    swings
        What `calendar_swings` returned for this fit: what moves all customers at once is then in
        the draws. None (default) takes their pace to stay as it was on average.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw``, the one asked for, and ``period``, in the history's currency.

    Notes
    -----
    Revenue of customers who come later isn't in it. A forecast of what happens if nothing changes,
    not of the effect of anything.
    """
    marks = usable(fit, allow_unconverged)
    if spend_model(fit) is None:
        raise SpecError("revenue needs a model of spend: fit Lifetime(..., spend=GammaGamma()).")
    out = _simulated(fit, periods, by, segments, seed, draws, swings, money=True)
    return out.rename("revenue").assign_attrs(
        units=fit.data.currency, long_name="Revenue", seed=seed, **marks
    )


@dataclass(frozen=True)
class People:
    """One entry for each customer: state, group; and the groups' names."""

    state: Array
    group: Array
    dims: tuple[str, ...]
    coords: Mapping[str, Any]
    groups: int


def _simulated(
    fit: Fit,
    periods: Sequence[Period],
    by: str,
    segments: Segments | None,
    seed: int,
    draws: int,
    swings: CalendarSwings | None,
    *,
    money: bool,
) -> xr.DataArray:
    """Return purchases or revenue (chain, draw, group, period)."""
    names, edges = read_periods(periods, fit.data)
    people = _people(fit.data, by, segments)
    posterior = thinned(fit.posterior, draws)
    sizes = tuple(posterior.sizes[d] for d in SAMPLE)
    total = sizes[0] * sizes[1]
    if total * people.groups * len(names) * 8 > MEMORY:
        raise SpecError(
            f"The answer has {total:,} draws of {people.groups:,} rows and {len(names)} periods, "
            "above 2 GiB. Ask by='market' or by='segment', or use fewer draws."
        )
    rng = seeds.generator(seed, "customers: futures")
    out = np.empty((total, people.groups, len(names)))
    drawn = futures(fit, posterior, people.state, edges, rng, money, swings)
    for i, (bought, paid) in enumerate(drawn):
        values = paid if money else bought
        for k in range(len(names)):
            out[i, :, k] = np.bincount(people.group, values[:, k], people.groups)
    shape = (*sizes, *([people.groups] if people.dims else []), len(names))
    coords = {**{d: posterior[d] for d in SAMPLE}, **people.coords, PERIOD: names}
    return xr.DataArray(out.reshape(shape), dims=(*SAMPLE, *people.dims, PERIOD), coords=coords)


def futures(
    fit: Fit,
    posterior: xr.Dataset,
    state: Array,
    edges: Array,
    rng: np.random.Generator,
    money: bool,
    swings: CalendarSwings | None = None,
) -> Iterator[tuple[Array, Array]]:
    """Yield for each draw purchases and revenue of each customer in each period.

    Parameters
    ----------
    posterior
        Draws to use.
    state
        Each customer's state.
    edges
        When each period starts and ends, in days after the history's end (period, 2).
    money
        Whether revenue is drawn too; else it is NaN.
    swings
        What moves all customers at once; None is nothing.

    Raises
    ------
    SpecError
        If the swings are of a history with another end.
    """
    model, history = purchase_model(fit), fit.data
    if swings is not None and swings.end != history.data.attrs["end"]:
        raise SpecError(
            f"swings: they go on from {swings.end}, the fit's history from "
            f"{history.data.attrs['end']}. Learn them by calendar_swings from this fit."
        )
    rows = purchase_rows(history)
    row = rows.index[state]
    x, age = rows.columns["frequency"][row], rows.columns["age"][row]
    cell = history.data["cell"].to_numpy()[state]
    count, total = (v[state] for v in spent(history)) if money else (x, x)
    hyper = {n: flat(posterior, n) for n in model.parameters}
    spend = spend_model(fit) if money else None
    paid = {n: flat(posterior, n) for n in spend.parameters} if spend is not None else {}
    bounds, place = np.unique(edges, return_inverse=True)
    place = place.reshape(edges.shape)
    clocks = _clocks(bounds, posterior, rng, swings)
    for where, (result,) in fit.target.evaluate(posterior, ["p_alive"], hold=model.parameters):
        for i, chance in enumerate(result["p_alive"]):
            at = {n: v[where][i][cell] for n, v in hyper.items()}
            horizons = history.per_unit(next(clocks))
            counts = model.future(at, x, age).counts(horizons, rng)
            counts = counts * (rng.random(row.size) < chance[row])[:, None]
            bought = counts[:, place[:, 1]] - counts[:, place[:, 0]]
            if not money:
                yield bought, np.full(bought.shape, np.nan)
                continue
            p, q, v = (paid[n][where][i][cell] for n in ("p", "q", "v"))
            rate = rng.gamma(p * count + q) / (total + v)
            yield bought, rng.gamma(p[:, None] * bought) / rate[:, None]


def _clocks(
    bounds: Array, posterior: xr.Dataset, rng: np.random.Generator, swings: CalendarSwings | None
) -> Iterator[Array]:
    """Yield for each draw how far customers have come by each bound, in days."""
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    if swings is None:
        return repeat(bounds, draws)
    paces = swings.pace(float(bounds[-1]), draws, rng)
    return (swings.warped(bounds, pace) for pace in paces)


def read_periods(periods: Sequence[Period], history: CustomerHistory) -> tuple[list[str], Array]:
    """Return the periods' names, and start and end in days after the history's end (period, 2).

    Raises
    ------
    SpecError
        For a period that isn't one, or that doesn't start after the end of the history.
    """
    if isinstance(periods, str) or not len(periods):
        raise SpecError(f"periods={periods!r} must be a list, such as ['2011Q3'].")
    end = day_number(history.data.attrs["end"], "end")
    names, edges = [], []
    for period in periods:
        first, last, name = _bounds(period)
        if first <= end or last < first:
            raise SpecError(
                f"period {name} must start after the history's end, {history.end:%Y-%m-%d}, and "
                "end after it starts."
            )
        names.append(name)
        edges.append((first - 1 - end, last - end))
    return names, np.asarray(edges, dtype=float)


def _bounds(period: Period) -> tuple[int, int, str]:
    """Return first day, last day and name of a period."""
    if isinstance(period, str):
        try:
            parsed = pd.Period(period)
        except ValueError as error:
            raise SpecError(f"period {period!r} is none. Give one such as '2011Q3'.") from error
        start, stop = parsed.start_time, parsed.end_time
        return day_number(start, "start"), day_number(stop, "end"), period
    if not isinstance(period, tuple | list) or len(period) != 2:
        raise SpecError(f"period {period!r} must be text or a pair of first and last day.")
    first, last = (day_number(bound, "period") for bound in period)
    return first, last, f"{period[0]} to {period[1]}"


def _people(history: CustomerHistory, by: str, segments: Segments | None) -> People:
    """Return each customer's state and group."""
    data = history.data
    if (by == "segment") != (segments is not None):
        raise SpecError("by='segment' and segments= (a label for each customer) go together.")
    if by in (CUSTOMER, "segment"):
        if "customer_state" not in data:
            raise SpecError(f"by={by!r} needs the customers: read with keep_customers=True.")
        state = data["customer_state"].to_numpy()
        if segments is not None:
            code, labels = segment_codes(history, segments)
            return People(state, code, ("segment",), {"segment": labels}, len(labels))
        coords = {CUSTOMER: data[CUSTOMER]}
        return People(state, np.arange(state.size), (CUSTOMER,), coords, state.size)
    state = np.repeat(np.arange(data.sizes["state"]), data["weight"].to_numpy())
    if by == MARKET:
        names = list(history.markets)
        return People(state, history.state_market()[state], (MARKET,), {MARKET: names}, len(names))
    if by == "total":
        return People(state, np.zeros(state.size, dtype=int), (), {}, 1)
    raise SpecError(f"by={by!r}: choose from market, segment, customer, total.")
