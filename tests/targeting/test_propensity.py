"""Purchase logs, tables as of a date, and what a fitted propensity says of the days after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.targeting.asof import Lines, Standing
from bayes_mkt.targeting.recommend import measures
from bayes_mkt.targeting.windows import standing_at, windows

END = "2024-08-13"
SPEC = bm.Propensity(dates=2, attribute_slopes=True, spend_slopes=True)


@pytest.fixture(scope="module")
def shop() -> bm.simulate.SimulatedLog:
    return bm.simulate.purchase_log(customers=800, departments=2, categories=3, seed=3)


@pytest.fixture(scope="module")
def log(shop: bm.simulate.SimulatedLog) -> bm.PurchaseLog:
    return bm.PurchaseLog.from_frame(shop.frame, **shop.columns)


@pytest.fixture(scope="module")
def fit(log: bm.PurchaseLog) -> bm.Fit:
    return bm.fit(SPEC, log.until(END), seed=1, chains=4, progress=False)


def items_of(shop: bm.simulate.SimulatedLog, category: str) -> list[str]:
    catalogue = shop.catalogue
    return list(catalogue["product"][catalogue["category"] == category])


def after(shop: bm.simulate.SimulatedLog, items: list[str]) -> pd.DataFrame:
    frame = shop.frame
    late = (frame["date"] > END) & (frame["date"] <= "2024-08-27")
    return frame[late & frame["product"].isin(items)]


def test_engines_agree_and_logs_survive(
    shop: bm.simulate.SimulatedLog, log: bm.PurchaseLog, tmp_path: Path
) -> None:
    columns = shop.columns | {"catalogue": pl.from_pandas(shop.catalogue)}
    other = bm.PurchaseLog.from_frame(pl.from_pandas(shop.frame), **columns)
    xr.testing.assert_allclose(other.data, log.data, rtol=1e-12)
    log.to_dataset().to_netcdf(tmp_path / "log.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "log.nc", engine="h5netcdf") as stored:
        assert bm.PurchaseLog.from_dataset(stored.load()) == log


def test_catalogue_has_to_know_the_products(shop: bm.simulate.SimulatedLog) -> None:
    lacking = shop.columns | {"catalogue": shop.catalogue.iloc[3:]}
    with pytest.raises(bm.DataError, match="lacks 3 products"):
        bm.PurchaseLog.from_frame(shop.frame, **lacking)
    twice = shop.columns | {"catalogue": pd.concat([shop.catalogue, shop.catalogue.iloc[:1]])}
    with pytest.raises(bm.DataError, match="more than one row"):
        bm.PurchaseLog.from_frame(shop.frame, **twice)


def test_standing_by_hand() -> None:
    frame = pd.DataFrame(
        {
            "c": ["a", "a", "a", "b", "b", "late"],
            "d": [f"2024-01-0{day}" for day in (1, 5, 5, 3, 9, 8)],
            "p": ["x", "y", "x", "y", "x", "x"],
            "m": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
        }
    )  # fmt: skip
    log = bm.PurchaseLog.from_frame(frame, customer="c", date="d", product="p", amount="m")
    day = int(np.datetime64("2024-01-06").astype(int))
    at = Standing.of(Lines.of(log), 3, day, lookback=5)
    found = at.features(Lines.of(log, log.positions(["x"])))
    assert at.known.tolist() == [True, True, False]
    assert found["recency"].tolist() == [1, 3]
    assert found["frequency"].tolist() == [1, 1]
    assert found["value"].tolist() == [6, 8]
    assert found["set recency"].tolist()[0] == 1
    assert np.isnan(found["set recency"][1])
    bought, spent = at.outcomes(Lines.of(log, log.positions(["x"])), 3)
    assert bought.tolist() == [False, True]
    assert spent.tolist() == [0, 16]


def test_the_future_does_not_leak(log: bm.PurchaseLog) -> None:
    """Whatever is planted in the days after a date, nothing known at the date changes."""
    known = log.until(END)
    rng = np.random.default_rng(1)
    n = 5000
    planted = xr.Dataset(
        {
            "buyer": ("line", rng.integers(0, len(log.customers), n).astype(np.int32)),
            "day": ("line", (known.end + rng.integers(1, 15, n)).astype(np.int32)),
            "item": ("line", rng.integers(0, len(log.products), n).astype(np.int32)),
            "amount": ("line", np.full(n, 1e6)),
        }
    )
    lines = xr.concat([log.data[list(planted)], planted], dim="line")
    leaky = bm.PurchaseLog(log.data.drop_dims("line").merge(lines).assign_attrs(log.data.attrs))
    items = log.positions(log.products[:5])
    tables = []
    for each in (known, leaky):
        at = standing_at(SPEC, each, known.end, known)
        tables.append((at.features(Lines.of(each, items)), at))
    assert "taste" in tables[0][0]
    for name in tables[0][0]:
        assert np.array_equal(tables[0][0][name], tables[1][0][name], equal_nan=True)
    without, _ = tables[0][1].outcomes(Lines.of(log, items), 14)
    bought, _ = tables[1][1].outcomes(Lines.of(leaky, items), 14)
    assert bought.mean() > without.mean() + 0.3  # it was planted where outcomes are read


def test_counts_are_those_of_the_table(log: bm.PurchaseLog) -> None:
    known = log.until(END)
    found = windows(SPEC, known)
    assert found.customers.shape[1] == 2 * len(found.sets)
    for window in (0, 7):
        items = found.items[found.set_of[window]]
        at = Standing.of(Lines.of(known), len(log.customers), int(found.day_of[window]), 182)
        bought, spent = at.outcomes(Lines.of(known, items), 14)
        assert found.customers[:, window].sum() == at.known.sum()
        assert found.buyers[:, window].sum() == bought.sum()
        rows = found.spend[found.spend[:, 1] == window]
        assert np.isclose(rows[:, 3].sum(), np.log(spent[bought] / found.unit).sum())
        assert np.isclose(rows[:, 4].sum(), (np.log(spent[bought] / found.unit) ** 2).sum())


def test_probabilities_are_those_of_the_world(fit: bm.Fit, shop: bm.simulate.SimulatedLog) -> None:
    for category in ("category 00", "category 05"):
        found = bm.propensity(fit, items_of(shop, category)).mean(("chain", "draw"))
        rate = shop.truth["rate"].sel(customer=found["customer"].to_numpy(), category=category)
        truth = 1 - np.exp(-14 * rate.to_numpy())
        assert np.corrcoef(found, truth)[0, 1] > 0.7
        assert abs(float(found.mean()) / truth.mean() - 1) < 0.2


def test_audience_buys_what_is_expected(fit: bm.Fit, shop: bm.simulate.SimulatedLog) -> None:
    """Of known sets and of one that the training never had."""
    mixed = list(shop.catalogue["product"].sample(6, random_state=1))
    for items in (items_of(shop, "category 00"), items_of(shop, "category 03"), mixed):
        found = bm.audience(fit, items, horizon=14, size=150, cost=0.5)
        assert found["probability"].sizes["customer"] == 150
        worth = found["expected_revenue"].mean(("chain", "draw"))
        assert (np.diff(worth) <= 1e-9).all()
        sales = after(shop, items)
        sales = sales[sales["customer"].isin(found["customer"].to_numpy())]
        low, high = found["reach"].quantile([0.005, 0.995])
        assert float(low) <= sales["customer"].nunique() <= float(high)
        low, high = found["revenue"].quantile([0.005, 0.995])
        assert float(low) <= sales["paid"].sum() <= float(high)
        assert 0 < found.attrs["paying"] <= 800
    with pytest.raises(bm.SpecError, match="the fit's is 14 days"):
        bm.audience(fit, mixed, horizon=7)
    with pytest.raises(bm.SpecError, match="not in the log"):
        bm.audience(fit, ["nothing"])


def test_unsold_products_are_known_by_their_attributes(
    shop: bm.simulate.SimulatedLog, log: bm.PurchaseLog, fit: bm.Fit
) -> None:
    """A product nobody ever bought has a wider interval than its category, and is no zero."""
    new = shop.catalogue.iloc[:1].assign(product="new")
    columns = shop.columns | {"catalogue": pd.concat([shop.catalogue, new], ignore_index=True)}
    wider = bm.PurchaseLog.from_frame(shop.frame, **columns).until(END)
    cold = bm.propensity(fit, ["new"], log=wider).mean("customer")
    warm = bm.propensity(fit, items_of(shop, "category 00"), log=wider).mean("customer")
    assert float(cold.std()) > 2 * float(warm.std())
    assert 0.01 < float(cold.mean()) < 0.9


def test_recommendations_trade_accuracy_for_variety(fit: bm.Fit, log: bm.PurchaseLog) -> None:
    found = bm.recommendation_frontier(fit, log, k=2, penalties=(0.0, 1.0))
    plain, held = (found.sel(bestseller_penalty=p) for p in (0.0, 1.0))
    assert float(plain["recall"]) > float(found["bestseller_recall"])
    assert float(plain["recall"]) > float(held["recall"])
    assert float(held["novelty"]) > float(plain["novelty"])
    assert float(plain["coverage"]) >= 2 * float(found["bestseller_coverage"])
    assert float(found["segment_recall"]) > 0.9 * float(found["bestseller_recall"])
    assert float(found["segment_coverage"]) >= float(found["bestseller_coverage"])
    one = dict.fromkeys(fit.data.customers, "all")
    same = bm.recommendation_frontier(fit, log, k=2, penalties=(0.0,), segments=one)
    for name in ("recall", "ndcg", "coverage", "novelty"):
        assert float(same[f"segment_{name}"]) == float(found[f"bestseller_{name}"])
    with pytest.raises(bm.SpecError, match="lacks customers"):
        bm.recommendation_frontier(fit, log, k=2, segments={})
    chosen = bm.recommend(fit, k=2, bestseller_penalty=0.0)
    assert chosen["recommended"].dims == ("customer", "rank")
    assert (np.diff(chosen["probability"], axis=1) <= 0).all()
    with pytest.raises(bm.SpecError, match="sets of the fit"):
        bm.recommend(fit, k=100)


def test_coverage_is_a_bound(fit: bm.Fit) -> None:
    plain = bm.recommend(fit, k=1, bestseller_penalty=0.0)
    wide = bm.recommend(fit, k=1, bestseller_penalty=0.0, min_coverage=1.0, min_offers=60)
    counts = pd.Series(wide["recommended"].to_numpy().ravel()).value_counts()
    assert len(counts) == 6
    assert counts.min() >= 60
    assert wide.attrs["coverage"] == 1
    lost = float(plain["probability"].mean() - wide["probability"].mean())
    assert 0 < lost < 0.5 * float(plain["probability"].mean())
    with pytest.raises(bm.SpecError, match="need 1800 offers"):
        bm.recommend(fit, k=1, min_coverage=1.0, min_offers=300)
    with pytest.raises(bm.SpecError, match="must lie in"):
        bm.recommend(fit, min_coverage=1.5, k=1)


def test_plan_from_a_propensity(fit: bm.Fit, shop: bm.simulate.SimulatedLog) -> None:
    campaigns = [
        bm.PlannedCampaign(
            name, "2024-08-14", cost=0.1, products=tuple(items_of(shop, name)), added=0.2
        )
        for name in ("category 00", "category 05")
    ]
    plan = bm.plan_campaigns(fit, campaigns, max_contacts=1)
    assert set(plan["send"].sum("campaign").to_numpy()) <= {0, 1}
    gain = bm.campaign_gains(fit, campaigns).mean(("chain", "draw")) - 0.1
    assert np.isclose(plan.attrs["planned"], float(gain.max("campaign").clip(min=0).sum()))
    people = bm.audience(fit, items_of(shop, "category 00"), max_draws=100)
    one = bm.campaign_gains(fit, campaigns[:1]).sel(customer=people["customer"])
    assert np.allclose(one.isel(campaign=0), 0.2 * people["expected_revenue"], rtol=1e-4)
    with pytest.raises(bm.SpecError, match="no products"):
        bm.plan_campaigns(fit, [bm.PlannedCampaign("a", "2024-08-14")], max_contacts=1)
    with pytest.raises(bm.SpecError, match="which share"):
        bm.PlannedCampaign("a", "2024-08-14", products=("p00-0",))


def test_measures_by_hand() -> None:
    top = np.array([[0, 1], [2, 0]])
    hits = np.array([[True, False, True, False], [False, False, True, False]])
    found = measures(top, hits, np.array([0.5, 0.25, 0.25, 0.125]))
    ideal = 1 + 1 / np.log2(3)
    expected: dict[str, Any] = {
        "recall": (0.5 + 1.0) / 2,
        "ndcg": (1 / ideal + 1.0) / 2,
        "coverage": 0.75,
        "novelty": (1 + 2 + 2 + 1) / 4,
    }
    assert found == pytest.approx(expected)


def test_more_slopes_are_asked_for(log: bm.PurchaseLog) -> None:
    """Without them the model is the plain one."""
    more = {"attribute_slope", "attribute_slope_sd", "spend_slope", "spend_slope_sd"}
    wide, plain = (
        {v.name for v in spec.build(log.until(END)).free_RVs}
        for spec in (SPEC, bm.Propensity(dates=2))
    )
    assert wide - plain == more
    assert plain < wide


def test_specs_are_held_to_the_log(log: bm.PurchaseLog) -> None:
    with pytest.raises(bm.SpecError, match="reach back beyond"):
        bm.Propensity(horizon=100, dates=3).build(log)
    with pytest.raises(bm.SpecError, match="none of"):
        bm.Propensity(min_buyers=10_000).build(log)
    with pytest.raises(bm.SpecError, match="the catalogue has"):
        bm.Propensity(level="aisle").build(log)
