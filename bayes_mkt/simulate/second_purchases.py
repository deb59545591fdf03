"""Transaction logs in which the hazard of a second purchase is known.

The generator follows the equations of grouped proportional hazards in plain NumPy, day by day. It
shares no code with the model, so that recovering its truth tests the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt import dims, seeds
from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["SimulatedPurchases", "second_purchases"]

STREAM = "second_purchases"
CATEGORIES = ("care", "makeup", "scent")
CATEGORY_EFFECT = {"care": 0.6, "makeup": 0.0, "scent": -0.4}
AGE_EFFECT = -0.3
AGE_MEAN, AGE_SD = 40.0, 12.0


@dataclass(frozen=True)
class SimulatedPurchases:
    """A simulated transaction log, how to read it, and the truth behind it.

    Parameters
    ----------
    frame
        One row for each purchase: `customer`, `date`, `market`, `amount`, `category` (of the
        basket), `age`.
    engagement
        One row for each visit: `customer`, `date`.
    truth
        `log_hazard` (market, interval), of an interval at a customer of mean age whose first
        basket is make-up and who didn't visit; `effect` (feature), for one SD of age and for
        categories; `visit_effect`; `never` (market), the logit of never coming back; and, of each
        customer, `linear` (the sum of effects) and `market_of_customer`. The attribute `end` is the
        last day of observation.
    columns
        Keyword arguments of `FirstPurchases.from_transactions`.
    contacts
        One row for each contact made: `customer`, `date`.
    """

    frame: pd.DataFrame
    engagement: pd.DataFrame
    truth: xr.Dataset
    columns: Mapping[str, Any]
    contacts: pd.DataFrame


def second_purchases(
    *,
    customers: int = 2000,
    markets: int = 6,
    seed: int,
    days: int = 364,
    follow_up: int = 182,
    interval: int = 14,
    median: float = 120.0,
    never: float = 0.3,
    market_sd: float = 0.3,
    visit_effect: float = 0.0,
    visits: float = 0.01,
    size_spread: float = 1.0,
    contacts: Mapping[int, float] | None = None,
    reach: int = 14,
    start: str = "2023-01-02",
) -> SimulatedPurchases:
    """Simulate first and second purchases of customers acquired over time in several markets.

    On each day d after the first purchase, in interval t, of a customer of market m who comes back
    some day and hasn't yet::

        P(purchase) = 1 - exp(-exp(f_t + g_m + x'b + c w_d + r_a k_d) / length),
        f_t: falls by 1.2 over the follow-up, with a bump of 0.8 about its first third,
        g_m ~ N(0, market_sd),   logit P(never) = logit(never) + v_m,  v_m ~ N(0, 0.3),

    where w_d says whether the customer visited in the interval before, and k_d whether a contact
    made on day a after the first purchase acts: a < d <= a + reach. Customers are acquired
    evenly over `days`; observation ends `follow_up` days after the last of them.

    Parameters
    ----------
    customers, markets
        How many. Markets differ in size by a log-normal factor of SD `size_spread`.
    seed
        Seed of every draw; the same seed gives the same log.
    days
        Length of the period of acquisition.
    follow_up
        Days for which each customer is observed, at least.
    interval
        Days on which the hazard is constant.
    median
        Days at which half of those with zero covariates who come back would have done so, if the
        hazard stayed at its mean.
    never
        Share of customers who never come back, in an average market; 0 for none.
    market_sd
        SD of log hazards over markets.
    visit_effect, visits
        Effect c of a visit in the interval before, and visits a day.
    size_spread
        SD of log market size.
    contacts
        Day a after the first purchase -> effect r_a of a contact then. Chance assigns each customer
        to one of the days or to no contact, all equally likely; who has bought by then isn't
        contacted. None contacts nobody.
    reach
        Days for which a contact acts.
    start
        First day.

    Returns
    -------
    SimulatedPurchases
        The log, visits, truth, and the arguments that read them.

    Raises
    ------
    SpecError
        For sizes or shares out of range.
    """
    if min(customers, markets, days, follow_up, interval) < 1 or not 0 <= never < 1:
        raise SpecError("Sizes must be >= 1 and 0 <= never < 1.")
    rng = seeds.generator(seed, STREAM)
    weight = np.exp(size_spread * rng.normal(size=markets))
    market = np.sort(rng.choice(markets, size=customers, p=weight / weight.sum()))
    age = np.round(np.clip(rng.normal(AGE_MEAN, AGE_SD, customers), 16, 90))
    category = rng.choice(CATEGORIES, size=customers, p=[0.3, 0.5, 0.2])
    linear = AGE_EFFECT * (age - AGE_MEAN) / AGE_SD + np.array(
        [CATEGORY_EFFECT[name] for name in category]
    )
    deviation = market_sd * rng.normal(size=markets)
    log_hazard = _curve(-(-follow_up // interval), interval, median)[None, :] + deviation[:, None]
    logit = np.log(never / (1 - never)) if never else -np.inf
    never_logit = logit + (0.3 * rng.normal(size=markets) if never else np.zeros(markets))
    first = np.sort(rng.integers(0, days, size=customers))[rng.permutation(customers)]
    stays = rng.random(customers) < 1.0 / (1.0 + np.exp(never_logit[market]))
    visited = rng.random((customers, days + 2 * follow_up)) < visits
    observed = days + follow_up - first
    boost = (*_assigned(seed, customers, contacts or {}), reach)
    wait = _waits(
        rng, log_hazard[market], linear, stays, visited, first, observed, interval, visit_effect,
        boost,
    )  # fmt: skip
    reached = np.flatnonzero((boost[0] < observed) & ((wait == 0) | (wait > boost[0])))
    made = _dated(reached, (first + boost[0])[reached], start)
    frame = _log(rng, first, wait, market, age, category, observed, start)
    who, when = np.nonzero(visited[:, : days + follow_up])
    engagement = _dated(who, when, start)
    end = pd.Timestamp(start) + pd.Timedelta(days=days + follow_up - 1)
    truth = _truth(log_hazard, visit_effect, never_logit, linear, market, interval)
    truth.attrs = {"seed": seed, "end": str(end.date())}
    columns = {
        "customer": "customer",
        "date": "date",
        "market": "market",
        "end": str(end.date()),
        "profile": ["age"],
        "basket": ["category"],
        "intervals": interval,
        "horizon": interval * log_hazard.shape[1],
    }
    return SimulatedPurchases(frame, engagement, truth, columns, made)


def _dated(who: Array, day: Array, start: str) -> pd.DataFrame:
    """Return events of customers on days."""
    when = pd.Timestamp(start) + pd.to_timedelta(day.astype(int), unit="D")
    return pd.DataFrame({"customer": _ids(who), "date": when})


def _assigned(seed: int, customers: int, contacts: Mapping[int, float]) -> tuple[Array, Array]:
    """Return the day of contact of each customer, infinite for none, and its effect."""
    rng = seeds.generator(seed, f"{STREAM}: contacts")
    days = np.array([*contacts, np.inf])
    lifts = np.array([*contacts.values(), 0.0])
    arm = rng.integers(0, len(days), size=customers)
    return days[arm], lifts[arm]


def _truth(
    log_hazard: Array,
    visit_effect: float,
    never_logit: Array,
    linear: Array,
    market: Array,
    interval: int,
) -> xr.Dataset:
    """Return the truth as a dataset."""
    return xr.Dataset(
        {
            "log_hazard": ((dims.MARKET, "interval"), log_hazard, {"units": "log"}),
            "effect": (dims.FEATURE, [AGE_EFFECT, 0.6, -0.4], {"units": "log hazard"}),
            "visit_effect": ((), visit_effect, {"units": "log hazard"}),
            "never": (dims.MARKET, never_logit, {"units": "logit"}),
            "linear": (dims.CUSTOMER, linear, {"units": "log hazard"}),
            "market_of_customer": (dims.CUSTOMER, market, {"units": "1"}),
        },
        coords={
            dims.MARKET: [f"m{m:02d}" for m in range(len(log_hazard))],
            "interval": interval * np.arange(1.0, log_hazard.shape[1] + 1),
            dims.FEATURE: ["age", "category=care", "category=scent"],
            dims.CUSTOMER: _ids(np.arange(len(linear))),
        },
    )


def _curve(intervals: int, length: int, median: float) -> Array:
    """Return log hazards of the intervals: a fall with a bump, of a stated mean level."""
    t = (np.arange(intervals) + 0.5) / intervals
    shape = -1.2 * t + 0.8 * np.exp(-0.5 * ((t - 1 / 3) / 0.1) ** 2)
    return np.asarray(np.log(np.log(2.0) * length / median) + shape - shape.mean())


def _ids(numbers: Array) -> Array:
    return np.array([f"c{number:07d}" for number in np.asarray(numbers).tolist()], dtype=object)


def _waits(
    rng: np.random.Generator,
    log_hazard: Array,
    linear: Array,
    stays: Array,
    visited: Array,
    first: Array,
    observed: Array,
    interval: int,
    visit_effect: float,
    boost: tuple[Array, Array, int],
) -> Array:
    """Return days from first to second purchase, 0 where there is none by the end."""
    customers, intervals = log_hazard.shape
    wait = np.zeros(customers, dtype=int)
    open_ = stays.copy()
    seen = np.concatenate([np.zeros((customers, 1)), visited.cumsum(axis=1)], axis=1)
    row = np.arange(customers)
    for day in range(1, interval * intervals + 1):
        t = (day - 1) // interval
        begins = first + t * interval  # the first day of the interval, before it: visits count
        recent = seen[row, begins + 1] - seen[row, np.maximum(begins + 1 - interval, 0)]
        acts = (day > boost[0]) & (day <= boost[0] + boost[2])
        log_rate = log_hazard[:, t] + linear + visit_effect * (recent > 0) + boost[1] * acts
        rate = np.exp(log_rate) / interval
        bought = open_ & (day < observed) & (rng.random(customers) < -np.expm1(-rate))
        wait[bought] = day
        open_ &= ~bought
    return wait


def _log(
    rng: np.random.Generator,
    first: Array,
    wait: Array,
    market: Array,
    age: Array,
    category: Array,
    observed: Array,
    start: str,
) -> pd.DataFrame:
    """Return the log: first and second purchases, and some later ones."""
    back = np.flatnonzero(wait)
    later = back[rng.random(len(back)) < 0.5]
    third = wait[later] + 1 + rng.integers(0, 60, size=len(later))
    inside = third < observed[later]
    who = np.concatenate([np.arange(len(first)), back, later[inside]])
    day = np.concatenate([first, first[back] + wait[back], first[later[inside]] + third[inside]])
    bought = np.concatenate([category, rng.choice(CATEGORIES, size=len(back) + int(inside.sum()))])
    frame = pd.DataFrame(
        {
            "customer": _ids(who),
            "date": pd.Timestamp(start) + pd.to_timedelta(day, unit="D"),
            "market": np.array([f"m{m:02d}" for m in market[who]], dtype=object),
            "amount": np.round(np.exp(rng.normal(3.5, 0.5, len(who))), 2),
            "category": bought.astype(object),
            "age": age[who],
        }
    )
    return frame.sort_values(["date", "customer"], ignore_index=True)
