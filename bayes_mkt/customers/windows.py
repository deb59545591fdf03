"""When to make contact: the window in which a customer most probably buys, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.competing import incidence_parts
from bayes_mkt.customers.predict import labelled
from bayes_mkt.customers.spells import Spells
from bayes_mkt.days import Bound, day_number
from bayes_mkt.dims import CUSTOMER
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.frames import listed

__all__ = ["contact_list", "contact_windows"]

Array = NDArray[Any]
WINDOW: Final = "window"
WEEKDAYS: Final = (
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
PREDICTIVE: Final = (
    "Predictive, not causal timing: the window in which a customer most probably buys anyway. "
    "Only randomised contacts can tell whether contact then raises sales more than at another time."
)
MARKS: Final = frozenset({"unconverged", "approximation"})


def contact_windows(
    fit: Fit,
    customers: Spells | None = None,
    *,
    length: int = 7,
    horizon: int = 90,
    ids: Iterable[str] | None = None,
    today: Bound | None = None,
    blackout: Iterable[Bound] = (),
    not_on: Iterable[str] = (),
    value: float = 1.0,
    cost: float = 0.0,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return the probability of a purchase in each window ahead, and the best window.

    For a customer whose wait is e so far, the window that starts a from now has

        P(e + a < T <= e + a + length | T > e) = (F(e + a + length) - F(e + a)) / S(e),

    with F = 1 - S; of `CompetingRisks` F is the incidence of the first cause, such as a second
    purchase before any opt-out.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn`, `ParametricSurvival` or `CompetingRisks`.
    customers
        Data whose customers without an event so far are asked about; None means the fit's.
    length, horizon
        Length of a window, and how far ahead the last one ends, in whole units of time.
    ids
        Customers to keep; None keeps all.
    today
        The present day, the end of observation; needed for dates and calendar limits.
    blackout
        Days on which no contact can be made: windows don't begin on them.
    not_on
        Weekdays on which no contact can be made, such as ``["Sunday"]``.
    value, cost
        Of a purchase, and of a contact, in the same currency.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `probability` (customer, window), posterior mean; `p_best` (customer, window), the
        probability that the window is the best of those allowed; `best_window` (customer), its
        start, by the highest mean; `best_probability` (chain, draw, customer), of a purchase in it;
        `regret` (customer), by how much the best window of each draw would on average do better;
        `net_value` (chain, draw, customer), value x best_probability - cost. Windows that would
        end beyond the last interval are NaN. Coordinate `window`: start from now, 0 meaning the day
        after today; `contact_date` and `allowed` (window) where `today` is given.

    Raises
    ------
    SpecError
        For windows or limits that leave nothing to choose from.
    DataError
        If no customer asked about is still open, or has waited less than the last interval's end.

    Notes
    -----
    A window in which many buy anyway isn't one in which contact does most: the attribute `claim`
    says so. A randomised contact date is needed for that.
    """
    marks = usable(fit, allow_unconverged)
    data = fit.data if customers is None else customers
    starts = _starts(length, horizon)
    allowed, dates = _calendar(fit.data.unit, starts, today, blackout, not_on)
    states = _States.of(data, ids, float(fit.data.cuts[-1]), length)
    found = _Found.over(fit, data, states, starts, length, allowed)
    best = found.best
    row = states.of_customer
    probability = labelled(fit, found.at_best[:, row], (CUSTOMER,))
    out = xr.Dataset(
        {
            "probability": ((CUSTOMER, WINDOW), found.mean[row]),
            "p_best": ((CUSTOMER, WINDOW), found.p_best[row]),
            "best_window": (CUSTOMER, starts[best][row]),
            "best_probability": probability,
            "regret": (CUSTOMER, found.regret[row]),
            "net_value": value * probability - cost,
        },
        coords={
            CUSTOMER: states.customers,
            WINDOW: starts,
            "allowed": (WINDOW, allowed),
            **({"contact_date": (WINDOW, dates)} if dates is not None else {}),
        },
        attrs={"claim": PREDICTIVE, "length": length, "value": value, "cost": cost, **marks},
    )
    for name in out.data_vars:
        out[name].attrs["units"] = {"best_window": fit.data.unit, "net_value": "currency"}.get(
            str(name), "1"
        )
    return out


def contact_list(windows: xr.Dataset, interval: float = 0.9) -> pd.DataFrame:
    """Return the customers worth a contact, as a table for a campaign tool.

    Parameters
    ----------
    windows
        What `contact_windows` returned.
    interval
        Probability inside the interval.

    Returns
    -------
    DataFrame
        One row for each customer whose expected net value is above 0, the highest first: customer,
        window (start from now), `contact_date` and `window_end` where dates are known, probability
        with its interval, `p_best`, net value, and the claim that the figures support; of a fit
        whose verdict failed, or of an approximation, the verdict in a column of that name. Write it
        by `to_csv` or `to_parquet`.
    """
    if not 0 < interval < 1:
        raise SpecError(f"interval={interval!r} must lie between 0 and 1.")
    tail = 0.5 * (1.0 - interval)
    draws = windows["best_probability"]
    low, high = draws.quantile([tail, 1.0 - tail], ("chain", "draw")).to_numpy()
    start = windows["best_window"].to_numpy()
    table = pd.DataFrame(
        {
            CUSTOMER: windows[CUSTOMER].to_numpy(),
            WINDOW: start,
            "probability": draws.mean(("chain", "draw")).to_numpy(),
            "low": low,
            "high": high,
            "p_best": windows["p_best"].sel({WINDOW: windows["best_window"]}).to_numpy(),
            "net_value": windows["net_value"].mean(("chain", "draw")).to_numpy(),
        }
    )
    if "contact_date" in windows.coords:
        dates = windows["contact_date"].sel({WINDOW: windows["best_window"]}).to_numpy()
        table.insert(2, "contact_date", dates)
        days = int(windows.attrs["length"]) - 1
        table.insert(3, "window_end", pd.DatetimeIndex(dates) + pd.Timedelta(days=days))
    table["claim"] = windows.attrs["claim"]
    for mark in sorted(MARKS & set(windows.attrs)):
        table[mark] = windows.attrs[mark]
    worth = table[table["net_value"] > 0]
    return worth.sort_values("net_value", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _States:
    """Customers who are alike: the same cell, the same wait so far.

    Attributes
    ----------
    cell, elapsed
        Of each state.
    of_customer
        State of each customer.
    customers
        Their labels.
    """

    cell: Array
    elapsed: Array
    of_customer: Array
    customers: Array

    @classmethod
    def of(cls, data: Spells, ids: Iterable[str] | None, end: float, length: int) -> _States:
        """Return the states of the customers asked about who can still be followed."""
        labels = data.data[CUSTOMER].values
        kept = np.ones(len(labels), dtype=bool)
        if ids is not None:
            wanted = [str(name) for name in ids]
            known = set(labels.tolist())
            unknown = [name for name in wanted if name not in known]
            if unknown:
                raise DataError(
                    f"customers {listed(map(repr, unknown))} are not among those without an event "
                    "so far. Leave them out."
                )
            kept = np.isin(labels, wanted)
        elapsed = np.floor(data.data["elapsed"].values)
        kept &= elapsed + length <= end
        if not kept.any():
            raise DataError(
                f"No customer without an event has waited less than {end - length:g} {data.unit}: "
                "no window ends within the intervals. Read the data with a longer horizon."
            )
        cell = data.data["cell_of_customer"].values[kept]
        pairs, of = np.unique(
            np.stack([cell, elapsed[kept].astype(np.int64)]), axis=1, return_inverse=True
        )
        return cls(pairs[0], pairs[1], of.ravel(), labels[kept])


@dataclass(frozen=True)
class _Found:
    """What the draws say of windows, for each state.

    Attributes
    ----------
    mean, p_best
        (state, window).
    best
        Position of the best window (state,).
    at_best
        Probability of a purchase in it (chain x draw, state).
    regret
        (state,).
    """

    mean: Array
    p_best: Array
    best: Array
    at_best: Array
    regret: Array

    @classmethod
    def over(
        cls, fit: Fit, data: Spells, states: _States, starts: Array, length: int, allowed: Array
    ) -> _Found:
        """Return it from two passes over the draws: the best window is known after the first."""
        shape = (len(states.cell), len(starts))
        total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
        mean, p_best, highest = np.zeros(shape), np.zeros(shape), np.zeros(shape[0])
        for _, which, values in _windows(fit, data, states, starts, length):
            mean[which] += values.sum(axis=0) / total
            open_ = np.where(allowed & np.isfinite(values), values, -np.inf)
            chosen = open_.argmax(axis=-1)
            place = chosen + shape[1] * np.arange(chosen.shape[1])
            times = np.bincount(place.ravel(), minlength=chosen.shape[1] * shape[1])
            p_best[which] += times.reshape(-1, shape[1]) / total
            highest[which] += open_.max(axis=-1).sum(axis=0) / total
        choice = np.where(allowed & np.isfinite(mean), mean, -np.inf)
        nothing = ~np.isfinite(choice).any(axis=1)
        if nothing.any():
            raise SpecError(
                f"For {int(nothing.sum())} of {len(nothing)} kinds of customers the calendar "
                "allows no window that ends within the intervals. Allow more days, or read "
                "the data with a longer horizon."
            )
        best = choice.argmax(axis=1)
        at_best = np.zeros((total, shape[0]))
        for where, which, values in _windows(fit, data, states, starts, length):
            at_best[where, which] = values[:, np.arange(values.shape[1]), best[which]]
        return cls(mean, p_best, best, at_best, highest - choice.max(axis=1))


def _windows(
    fit: Fit, data: Spells, states: _States, starts: Array, length: int
) -> Iterator[tuple[slice, slice, Array]]:
    """Yield a slice of draws, one of states, and P(purchase in window) (draw, state, window)."""
    cells = np.unique(states.cell)  # states are sorted by cell
    last = int(min(states.elapsed.max() + starts[-1] + length, fit.data.cuts[-1]))
    times = np.arange(last + 1, dtype=float)
    for where, part, to_come, survival in incidence_parts(fit, data, times, cells=cells):
        later = to_come[:, :, 0]
        low, high = np.searchsorted(states.cell, [part[0], part[-1] + 1])
        which = slice(int(low), int(high))
        cell = np.searchsorted(part, states.cell[which])[:, None]
        now = states.elapsed[which][:, None]
        begin, end = now + starts[None, :], now + starts[None, :] + length
        inside = end <= last
        bought = later[:, cell, np.minimum(begin, last)] - later[:, cell, np.minimum(end, last)]
        values = bought / survival[:, cell, now]
        yield where, which, np.where(inside, values, np.nan)


def _starts(length: int, horizon: int) -> Array:
    """Return the windows' starts."""
    for name, number in (("length", length), ("horizon", horizon)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise SpecError(f"{name}={number!r} must be a whole number >= 1.")
    if length > horizon:
        raise SpecError(f"length={length} is longer than horizon={horizon}.")
    return np.arange(horizon - length + 1)


def _calendar(
    unit: str, starts: Array, today: Bound | None, blackout: Iterable[Bound], not_on: Iterable[str]
) -> tuple[Array, Array | None]:
    """Return which windows may be chosen, and the days on which they begin."""
    closed = [day_number(day, "blackout") for day in blackout]
    never = [str(day) for day in not_on]
    odd = [day for day in never if day not in WEEKDAYS]
    if odd:
        raise SpecError(f"not_on={odd!r}: choose from {', '.join(WEEKDAYS)}.")
    if today is None:
        if closed or never:
            raise SpecError("blackout= and not_on= need today=, the day from which windows count.")
        return np.ones(len(starts), dtype=bool), None
    if unit != "day":
        raise SpecError(f"Dates of windows need data in days; these are in {unit}s.")
    days = day_number(today, "today") + 1 + starts
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    forbidden = [WEEKDAYS.index(day) for day in never]
    allowed = ~np.isin(days, closed) & ~np.isin(weekday, forbidden)
    if not allowed.any():
        raise SpecError("The calendar allows no window. Lengthen horizon= or allow more days.")
    return allowed, days.astype("datetime64[D]").astype("datetime64[ns]")
