"""A purchase log of customers with tastes, over a catalogue, whose rates are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt import dims, seeds
from bayes_mkt.errors import SpecError

__all__ = ["SimulatedLog", "purchase_log"]


@dataclass(frozen=True)
class SimulatedLog:
    """A simulated log and its catalogue, the arguments that read it, and the truth.

    Parameters
    ----------
    frame
        One row for each line: `customer`, `date`, `product`, `paid` (EUR).
    catalogue
        One row for each product: `product`, `department`, `category`, `organic`.
    truth
        `rate` (customer, category): purchase days a day, on average; constant over time.
    columns
        Keyword arguments of `PurchaseLog.from_frame`.
    events
        One row for each browsing event: `customer`, `date`, `product`, `kind` (`"view"` or
        `"cart"`). Read with ``events=world.events, event_kind="kind"``.
    """

    frame: pd.DataFrame
    catalogue: pd.DataFrame
    truth: xr.Dataset
    columns: Mapping[str, Any]
    events: pd.DataFrame


def purchase_log(
    *,
    customers: int = 1_000,
    departments: int = 3,
    categories: int = 4,
    products: int = 5,
    days: int = 240,
    seed: int,
) -> SimulatedLog:
    """Simulate a log of purchases at constant rates.

    A customer's rate for a category is the product of their activity, the category's popularity
    (higher where its products are organic) and their taste, all log-normal; products of a category
    are bought alike. Half of the purchases are preceded by a view of the product one to seven days
    before, a quarter by a cart one or two days before; as many views as there are purchases lead
    to none.

    Parameters
    ----------
    customers, days
        Of the log, which begins on 2024-01-01.
    departments, categories, products
        Departments, categories of each, products of each category.
    seed
        Integer.

    Raises
    ------
    SpecError
        If a size is below 1.

    Examples
    --------
    >>> world = purchase_log(customers=50, seed=1)
    >>> world.truth["rate"].sizes["category"], len(world.catalogue)
    (12, 60)
    """
    sizes = {"customers": customers, "departments": departments, "categories": categories,
             "products": products, "days": days}  # fmt: skip
    for name, size in sizes.items():
        if size < 1:
            raise SpecError(f"{name}={size!r} must be at least 1.")
    rng = seeds.generator(seed, "purchase log")
    count = departments * categories
    organic = rng.random(count) < 0.4
    popularity = np.exp(rng.normal(-5.0, 0.6, count) + 0.5 * organic)
    activity = rng.lognormal(0.0, 0.7, customers)
    taste = rng.lognormal(0.0, 0.9, (customers, count))
    rate = activity[:, None] * popularity * taste
    number = rng.poisson(rate * days)
    who, what = np.nonzero(number)
    who, what = np.repeat(who, number[who, what]), np.repeat(what, number[who, what])
    when = rng.integers(0, days, len(who))
    names = [f"category {c:02d}" for c in range(count)]
    catalogue = pd.DataFrame(
        {
            "product": [f"p{c:02d}-{j}" for c in range(count) for j in range(products)],
            "department": [f"department {c // categories}" for c in range(count)
                           for _ in range(products)],
            "category": np.repeat(names, products),
            "organic": np.repeat(organic.astype(int), products),
        }
    )  # fmt: skip
    price = rng.lognormal(1.5, 0.4, count)
    frame = pd.DataFrame(
        {
            "customer": np.char.add("c", np.char.zfill(who.astype(str), 5)).astype(object),
            "date": np.datetime64("2024-01-01") + when.astype("timedelta64[D]"),
            "product": catalogue["product"].to_numpy()[
                what * products + rng.integers(0, products, len(what))
            ],
            "paid": price[what] * rng.lognormal(0.0, 0.3, len(what)),
        }
    ).sort_values(["date", "customer"], ignore_index=True)
    truth = xr.Dataset(
        {"rate": ((dims.CUSTOMER, "category"), rate, {"units": "purchases per day"})},
        coords={dims.CUSTOMER: [f"c{i:05d}" for i in range(customers)], "category": names},
    )
    columns = {"customer": "customer", "date": "date", "product": "product", "amount": "paid",
               "catalogue": catalogue, "levels": ["department", "category"],
               "attributes": ["organic"], "currency": "EUR"}  # fmt: skip
    return SimulatedLog(frame, catalogue, truth, columns, _events(frame, seed))


def _events(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return views and carts before purchases, and views that led to none."""
    rng = seeds.generator(seed, "browsing events")
    first, last = frame["date"].min(), frame["date"].max()
    viewed = frame[rng.random(len(frame)) < 0.5]
    carted = frame[rng.random(len(frame)) < 0.25]
    idle = frame.iloc[rng.permutation(len(frame))]
    anywhen = rng.integers(0, (last - first).days + 1, len(frame))
    before = [
        viewed["date"] - pd.to_timedelta(rng.integers(1, 8, len(viewed)), unit="D"),
        carted["date"] - pd.to_timedelta(rng.integers(1, 3, len(carted)), unit="D"),
        first + pd.to_timedelta(anywhen, unit="D"),
    ]
    parts = [
        part[["customer", "product"]].assign(date=np.asarray(when), kind=kind)
        for part, when, kind in zip(
            (viewed, carted, idle), before, ("view", "cart", "view"), strict=True
        )
    ]
    events = pd.concat(parts)[["customer", "date", "product", "kind"]]
    kept: pd.DataFrame = events[events["date"] >= first]
    return kept.sort_values(["date", "customer"], kind="stable", ignore_index=True)
