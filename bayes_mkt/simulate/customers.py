"""Customers whose rates, spend and end are known, in plain NumPy.

The generator follows customers purchase by purchase. It shares no code with the models, so that
recovering its truth tests them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SimulatedCustomers", "customers"]


@dataclass(frozen=True)
class SimulatedCustomers:
    """A simulated transaction log, the arguments that read it, and the truth behind it.

    Parameters
    ----------
    frame
        One row for each purchase: `customer`, `date`, `amount`, `market`; also those after `end`.
    truth
        `r, alpha, a, b, p, q, v` by market (alpha in days); by customer `rate` (purchases a day
        while active), `dropout` (probability to leave after a purchase), `mean_spend`, `alive` (at
        `end`) and `market`.
    columns
        Keyword arguments of `CustomerHistory.from_transactions`, `end` included.
    """

    frame: pd.DataFrame
    truth: xr.Dataset
    columns: Mapping[str, Any]


def customers(
    sizes: Sequence[int] = (2000, 500, 100),
    *,
    seed: int,
    model: Literal["bgnbd", "mbgnbd"] = "bgnbd",
    days: int = 365,
    joining: int = 180,
    after: int = 90,
    start: str = "2023-01-01",
    spread: float = 0.25,
    rate: float = 1 / 50,
) -> SimulatedCustomers:
    """Simulate customers of several markets whose hyperparameters are alike, not equal.

    Around common values (a purchase every 50 days while active, r = 0.6, a chance of 0.15 to leave
    after each with a + b = 3; baskets of mean 40 with p = 6, q = 4) each market's logs (logit of
    the chance to leave) vary by N(0, spread).

    Customers buy at any moment, and the log holds days. Purchases of one day can't be told apart
    by who takes a day for a purchase: a customer with rate l a day seems to buy about 1 - l / 2
    times as often. A low `rate` over many days leaves little of that.

    Parameters
    ----------
    sizes
        Customers of each market.
    seed
        Integer.
    model
        ``"bgnbd"`` lets customers leave after each repeat purchase, ``"mbgnbd"`` after the first
        one too.
    days
        From the first day to the end of the history.
    joining
        First purchases fall on the first so many days, evenly.
    after
        Days after the end that are simulated too.
    start
        First day.
    spread
        SD between markets.
    rate
        Purchases a day of the mean customer while active, around which markets vary.

    Raises
    ------
    SpecError
        For a number out of range.

    Examples
    --------
    >>> made = customers((50, 20), seed=1)
    >>> sorted(made.frame.columns)
    ['amount', 'customer', 'date', 'market']
    """
    if model not in ("bgnbd", "mbgnbd"):
        raise SpecError(f"model={model!r}: choose from bgnbd, mbgnbd.")
    if not sizes or min(sizes) < 1 or not 0 < joining <= days:
        raise SpecError("sizes must be >= 1 and 0 < joining <= days.")
    if not rate > 0:
        raise SpecError(f"rate={rate!r} must be > 0: purchases a day.")
    rng = seeds.generator(seed, "simulate: customers")
    names = [f"market {i + 1:02d}" for i in range(len(sizes))]
    hyper = _hyperparameters(len(sizes), spread, rate, rng)
    market = np.repeat(np.arange(len(sizes)), sizes)
    at = {name: value[market] for name, value in hyper.items()}
    rates = rng.gamma(at["r"]) / at["alpha"]
    dropout = rng.beta(at["a"], at["b"])
    nu = rng.gamma(at["q"]) / at["v"]
    born = np.floor(rng.uniform(0, joining, market.size))
    who, when, gone = _purchases(born, rates, dropout, days + after, model == "mbgnbd", rng)
    amount = rng.gamma(at["p"][who]) / nu[who]
    dates = pd.Timestamp(start) + pd.to_timedelta(np.floor(when).astype(int), unit="D")
    frame = pd.DataFrame(
        {
            "customer": who + 1,
            "date": dates,
            "amount": np.maximum(amount.round(2), 0.01),
            "market": np.array(names)[market[who]],
        }
    )
    end = pd.Timestamp(start) + pd.Timedelta(days=days - 1)
    truth = xr.Dataset(
        {
            **{name: ("market", value) for name, value in hyper.items()},
            "rate": ("customer", rates),
            "dropout": ("customer", dropout),
            "mean_spend": ("customer", at["p"] / nu),
            "alive": ("customer", gone >= days),
            "customer_market": ("customer", market),
        },
        coords={"market": names, "customer": np.arange(market.size) + 1},
    )
    columns = {
        "customer": "customer",
        "date": "date",
        "amount": "amount",
        "market": "market",
        "end": f"{end:%Y-%m-%d}",
    }
    order = frame.sort_values(["date", "customer"], ignore_index=True)
    return SimulatedCustomers(order, truth, columns)


def _hyperparameters(
    markets: int, spread: float, mean_rate: float, rng: np.random.Generator
) -> dict[str, Array]:
    """Return each market's values, around common ones."""

    def around(value: float) -> Array:
        return value * np.exp(spread * rng.normal(size=markets))

    r, rate, kappa = around(0.6), around(mean_rate), around(3.0)
    logit = np.log(0.15 / 0.85) + spread * rng.normal(size=markets)
    phi = 1 / (1 + np.exp(-logit))
    p, tail, mean = around(6.0), around(3.0), around(40.0)
    return {
        "r": r,
        "alpha": r / rate,
        "a": phi * kappa,
        "b": (1 - phi) * kappa,
        "p": p,
        "q": 1 + tail,
        "v": mean * tail / p,
    }


def _purchases(
    born: Array,
    rate: Array,
    dropout: Array,
    last: int,
    first_too: bool,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], Array, Array]:
    """Follow every customer until they leave, or to the last day.

    Returns
    -------
    who, when, gone
        Customer and time of each purchase; when each customer left, infinite if not yet.
    """
    gone = np.full(born.size, np.inf)
    active = np.arange(born.size)
    people, times = [active], [born]
    now = born.copy()
    if first_too:
        leaves = rng.random(born.size) < dropout
        gone[leaves] = born[leaves]
        active = active[~leaves]
    while active.size:
        now[active] += rng.standard_exponential(active.size) / rate[active]
        active = active[now[active] < last]
        people.append(active)
        times.append(now[active].copy())
        leaves = rng.random(active.size) < dropout[active]
        gone[active[leaves]] = now[active[leaves]]
        active = active[~leaves]
    return np.concatenate(people), np.concatenate(times), gone
