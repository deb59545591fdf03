"""Customers to fit and customers to score, of each source of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import real_data

Array = NDArray[Any]
TIMES = np.array([30.0, 60.0, 90.0])
CATEGORIES = 8
CLUSTER = 15  # first purchases that make a store a cluster of its own


@dataclass(frozen=True)
class Source:
    """Fitted and scored customers.

    Attributes
    ----------
    name
        For tables.
    train, test
        Customers; covariates and intervals of `test` are those of `train`.
    times
        At which forecasts are scored, in days.
    truth
        True incidence by market (rows) and time (columns), where it is known.
    """

    name: str
    train: bm.FirstPurchases
    test: bm.FirstPurchases
    times: Array
    truth: pd.DataFrame | None = None


def simulated(data: Path | None, seed: int) -> Source:
    """Return 40 simulated markets, most of them small."""
    sim = bm.simulate.second_purchases(customers=6000, markets=40, size_spread=1.5, seed=seed)
    columns = {k: v for k, v in sim.columns.items() if k not in ("profile", "basket")}
    truth = sim.truth
    ends = np.concatenate([[0.0], truth["interval"].values])
    rows = {}
    for m, name in enumerate(truth["market"].values):
        linear = truth["linear"].values[truth["market_of_customer"].values == m]
        total = np.concatenate([[0.0], np.exp(truth["log_hazard"].values[m]).cumsum()])
        never = 1.0 / (1.0 + np.exp(-truth["never"].values[m]))
        alive = np.exp(-np.exp(linear)[:, None] * np.interp(TIMES, ends, total))
        if len(linear):
            rows[str(name)] = (1.0 - never) * (1.0 - alive.mean(axis=0))
    halves = bm.forward_split(sim.frame, at="2023-08-01", **columns)
    return Source("simulated", *halves, TIMES, pd.DataFrame(rows, index=TIMES).T)


def online_retail(data: Path | None, seed: int) -> Source:
    """Return customers by country; first purchases of the log's first months often aren't."""
    folder = real_data(data, "online_retail")
    early = pd.read_parquet(folder / "online_retail_2009_2010.parquet")
    late = pd.read_parquet(folder / "online_retail.parquet")
    lines = pd.concat([early[early["InvoiceDate"] < late["InvoiceDate"].min()], late])
    bought = (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0) & lines["CustomerID"].notna()
    lines = lines.loc[bought, ["CustomerID", "InvoiceDate", "Country"]]
    lines["CustomerID"] = lines["CustomerID"].astype("int64")
    first = lines.groupby("CustomerID")["InvoiceDate"].transform("min")
    halves = bm.forward_split(
        lines[first >= "2010-03-01"], at="2011-06-01", customer="CustomerID", date="InvoiceDate",
        market="Country", intervals=14, horizon=182,
    )  # fmt: skip
    return Source("online retail", *halves, TIMES)


def _cdnow(data: Path | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the log with what each day's purchases came to, and its columns."""
    log = pd.read_parquet(real_data(data, "cdnow/cdnow_master.parquet"))
    days = log.groupby(["customer_id", "date"], as_index=False, observed=True)[
        ["number_of_cds", "dollar_value"]
    ].sum()
    days["log_cds"] = np.log(days["number_of_cds"])
    days["log_dollars"] = np.log1p(days["dollar_value"])
    columns = {"customer": "customer_id", "date": "date", "profile": ["log_cds", "log_dollars"]}
    return days, columns


def cdnow_forward(data: Path | None, seed: int) -> Source:
    """Return those who first bought before 15 February 1997, and those who did since."""
    days, columns = _cdnow(data)
    halves = bm.forward_split(days, at="1997-02-15", **columns, intervals=[1, 3, 7, 14, 21, 28, 35])
    return Source("cdnow, forward", *halves, np.array([7.0, 14.0, 21.0, 28.0]))


def cdnow_halves(data: Path | None, seed: int) -> Source:
    """Return two random halves of the customers, each followed for a year."""
    days, columns = _cdnow(data)
    names = np.sort(days["customer_id"].unique())
    chosen = names[seeds.generator(seed, "cdnow").random(len(names)) < 0.5]
    inside = days["customer_id"].isin(chosen)
    read = bm.FirstPurchases.from_transactions
    train = read(days[inside], **columns, intervals=14, horizon=364)
    test = read(days[~inside], **columns, like=train)
    return Source("cdnow, halves", train, test, np.array([30.0, 90.0, 180.0, 360.0]))


def complete_journey(data: Path | None, seed: int) -> Source:
    """Return households' first purchases in product categories, by cluster of stores.

    A customer is a household in one of the eight categories with the most households that first
    bought in it between March and July 2017. A store with few such purchases joins the larger
    store with which it shares the most households, as of before the split.
    """
    folder, split, begun = real_data(data, "complete_journey"), "2017-08-01", "2017-03-01"
    lines = pd.read_parquet(folder / "transactions.parquet")
    products = pd.read_parquet(folder / "products.parquet").set_index("product_id")
    lines["day"] = lines["transaction_timestamp"].dt.normalize()
    lines["category"] = lines["product_id"].map(products["product_category"])
    lines["private"] = lines["product_id"].map(products["brand"]).eq("Private")
    by = ["household_id", "category"]
    first = lines.dropna(subset="category").groupby(by)["day"].min().reset_index()
    counted = first[first["day"].between(begun, pd.Timestamp(split) - pd.Timedelta("1D"))]
    categories = counted["category"].value_counts().index[:CATEGORIES]
    cluster = _clusters(lines[lines["day"] < split], counted[counted["category"].isin(categories)])
    days = _household_days(lines, categories, folder)
    days["cluster"] = days["store_id"].map(cluster).fillna("other")
    days["customer"] = days["household_id"].astype(str) + " " + days["category"]
    halves = bm.forward_split(
        days, at=split, customer="customer", date="day", market="cluster", acquired_from=begun,
        intervals=14, horizon=140, end="2017-12-31",
        profile=["category", "private", "coupon", "discount", "log_basket", "trips", "known",
                 "log_income", "household_size"],
    )  # fmt: skip
    return Source("complete journey", *halves, TIMES)


def _clusters(lines: pd.DataFrame, first: pd.DataFrame) -> dict[int, str]:
    """Return the cluster of each store."""
    own = lines.merge(first, on=["household_id", "category", "day"])
    own = own.drop_duplicates(["household_id", "category"])["store_id"].value_counts()
    large = set(own.index[own >= CLUSTER])
    visits = lines[["household_id", "store_id"]].drop_duplicates()
    pairs = visits.merge(visits, on="household_id", suffixes=("", "_other"))
    pairs = pairs[~pairs["store_id"].isin(large) & pairs["store_id_other"].isin(large)]
    shared = pairs.groupby(["store_id", "store_id_other"]).size().reset_index(name="households")
    nearest = shared.sort_values("households").groupby("store_id")["store_id_other"].last()
    return {**{s: str(s) for s in large}, **nearest.astype(str).to_dict()}


def _household_days(lines: pd.DataFrame, categories: Any, folder: Path) -> pd.DataFrame:
    """Return one row for each household, category and day, with what was known on the day."""
    by = ["household_id", "day"]
    basket = lines.groupby(by)["sales_value"].sum().rename("basket").reset_index()
    visits = basket.assign(one=1.0).set_index("day").groupby("household_id")["one"]
    trips = visits.rolling("28D", closed="left").sum().fillna(0.0)
    basket["trips"] = basket.set_index(by).index.map(trips).to_numpy(float)
    wanted = lines[lines["category"].isin(categories)]
    days = wanted.groupby([*by, "category"], as_index=False).agg(
        store_id=("store_id", "first"),
        private=("private", "max"),
        coupon=("coupon_disc", lambda values: float((values > 0).any())),
        discount=("retail_disc", lambda values: float((values > 0).any())),
    )
    days["private"] = days["private"].astype(float)
    days = days.merge(basket, on=by)
    days["log_basket"] = np.log1p(days["basket"].clip(lower=0))
    people = _demographics(folder)
    days = days.join(people, on="household_id")
    days["known"] = days["log_income"].notna().astype(float)
    return days.fillna(people.mean().to_dict())


def _demographics(folder: Path) -> pd.DataFrame:
    """Return log income in thousands and size of the households that told them.

    Income is the middle of its class, such as 15-24K; the open classes count as 10 and 300, and
    five or more as five.
    """
    people = pd.read_parquet(folder / "demographics.parquet").set_index("household_id")
    bounds = people["income"].astype(str).str.extract(r"(\d+)\D*(\d*)").replace("", np.nan)
    middle = bounds.astype(float).mean(axis=1)
    middle = middle.mask(people["income"].eq("Under 15K"), 10.0)
    middle = middle.mask(people["income"].eq("250K+"), 300.0)
    size = people["household_size"].astype(str).str.rstrip("+").astype(float)
    return pd.DataFrame({"log_income": np.log(middle), "household_size": size})


SOURCES: Mapping[str, Callable[[Path | None, int], Source]] = {
    "simulated": simulated,
    "online retail": online_retail,
    "cdnow, forward": cdnow_forward,
    "cdnow, halves": cdnow_halves,
    "complete journey": complete_journey,
}
