"""Browsing events: read by any engine, as of a day and nothing later, by set and near it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.targeting.asof import Lines
from bayes_mkt.targeting.events import EVENT_FEATURES
from bayes_mkt.targeting.windows import standing_at, windows

END = "2024-08-13"
SPEC = bm.Propensity(dates=2, factors=0)
LINES = pd.DataFrame(
    {
        "who": ["a", "b", "b"],
        "on": ["2024-01-01", "2024-01-02", "2024-01-20"],
        "what": ["x1", "y1", "x2"],
        "paid": [1.0, 2.0, 3.0],
    }
)
CATALOGUE = pd.DataFrame(
    {
        "what": ["x1", "x2", "y1", "z1"],
        "dept": ["d", "d", "d", "e"],
        "cat": ["x", "x", "y", "z"],
    }
)
SEEN = pd.DataFrame(
    {
        "who": ["a", "a", "b", "b", "a", "stranger"],
        "on": ["2024-01-10", "2024-01-10", "2024-01-03", "2024-01-10", "2024-01-11", "2024-01-09"],
        "what": ["x1", "x1", "x2", "y1", "x1", "x1"],
        "kind": ["view", "cart", "view", "view", "cart", "view"],
    }
)


def read(events: object = SEEN, **options: Any) -> bm.PurchaseLog:
    return bm.PurchaseLog.from_frame(
        LINES, customer="who", date="on", product="what", amount="paid", catalogue=CATALOGUE,
        levels=["dept", "cat"], events=events, **options,
    )  # fmt: skip


def features(log: bm.PurchaseLog, spec: bm.Propensity, items: list[str], day: str) -> Any:
    at = standing_at(spec, log, int(np.datetime64(day).astype(int)))
    found = at.features(Lines.of(log, log.positions(items), spec.level))
    return [found[name].round(6).tolist() for name in EVENT_FEATURES]


@pytest.fixture(scope="module")
def shop() -> bm.simulate.SimulatedLog:
    return bm.simulate.purchase_log(customers=600, departments=2, categories=3, seed=5)


@pytest.fixture(scope="module")
def log(shop: bm.simulate.SimulatedLog) -> bm.PurchaseLog:
    columns: Any = shop.columns
    return bm.PurchaseLog.from_frame(
        shop.frame, **columns, events=shop.events, event_kind="kind"
    )  # fmt: skip


def test_visits_by_hand() -> None:
    """Weights halve each half-life; what is near is the rest of the coarser group."""
    log = read(event_kind="kind")
    assert repr(log).endswith("; 5 events)")
    spec = bm.Propensity(event_half_life=7.0, event_weights={"cart": 3.0}, factors=0)
    # On the 10th: a viewed and carted x1, 1 + 3; b viewed x2 seven days ago, and y1.
    assert features(log, spec, ["x1", "x2"], "2024-01-10") == [[4.0, 0.5], [0.0, 1.0]]
    products = bm.Propensity(level="product", event_weights={"cart": 3.0}, factors=0)
    assert features(log, products, ["x1"], "2024-01-10") == [[4.0, 0.0], [0.0, 0.5]]
    short = bm.Propensity(lookback=7, factors=0)
    assert features(log, short, ["x1", "x2"], "2024-01-10") == [[2.0, 0.0], [0.0, 1.0]]
    coarse = bm.Propensity(level="dept", factors=0)
    assert features(log, coarse, ["z1"], "2024-01-10") == [[0.0, 0.0], [2.0, 1.5]]


def test_visits_of_groups_are_spread_over_their_products() -> None:
    pages = SEEN.assign(cat=["x", "x", "x", "y", "x", "x"]).drop(columns="what")
    log = read(pages, event_of="cat")
    spec = bm.Propensity(level="product", factors=0)
    assert features(log, spec, ["x1"], "2024-01-10") == [[1.0, 0.25], [1.0, 0.25]]
    whole = bm.Propensity(factors=0)
    assert features(log, whole, ["x1", "x2"], "2024-01-10") == [[2.0, 0.5], [0.0, 1.0]]


def test_engines_agree_and_logs_survive(log: bm.PurchaseLog, tmp_path: Path) -> None:
    plain = read(event_kind="kind")
    duck = duckdb.connect()
    engines = (pl.from_pandas(SEEN), pl.from_pandas(SEEN).lazy(), pa.Table.from_pandas(SEEN),
               duck.from_df(SEEN))  # fmt: skip
    for frame in engines:
        assert read(frame, event_kind="kind") == plain
    for each in (plain, log):
        each.to_dataset().to_netcdf(tmp_path / "log.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / "log.nc", engine="h5netcdf") as stored:
            assert bm.PurchaseLog.from_dataset(stored.load()) == each


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(bm.DataError, match=r"1 product that the catalogue lacks: 'q'"):
        read(SEEN.assign(what="q"))
    with pytest.raises(bm.DataError, match="without a value in 'what'"):
        read(SEEN.assign(what=["x1", None, "x1", "x1", "x1", "x1"]))
    with pytest.raises(bm.DataError, match="customer"):
        read(SEEN.drop(columns="who"))
    with pytest.raises(bm.SpecError, match="choose 'what', 'dept', 'cat'"):
        read(event_of="page")
    with pytest.raises(bm.SpecError, match="none were given"):
        read(None, event_kind="kind")
    with pytest.raises(bm.SpecError, match="what was looked at"):
        read(event_kind="what")
    with pytest.raises(bm.SpecError, match="event_half_life"):
        bm.Propensity(event_half_life=0.0)
    with pytest.raises(bm.SpecError, match="event_weights"):
        bm.Propensity(event_weights={"view": -1.0})


def test_a_spec_with_weights_is_copied() -> None:
    spec = bm.Propensity(event_weights={"cart": 3.0})
    assert copy.deepcopy(spec) == spec
    assert hash(spec) == hash(bm.Propensity())


def test_specification_has_to_suit_the_events(
    shop: bm.simulate.SimulatedLog, log: bm.PurchaseLog
) -> None:
    columns: Any = shop.columns
    late = shop.events[shop.events["date"] > "2024-08-01"]
    fresh = bm.PurchaseLog.from_frame(shop.frame, **columns, events=late)
    with pytest.raises(bm.SpecError, match="half-lives"):
        windows(SPEC, fresh)
    with pytest.raises(bm.SpecError, match="names 'search'; the events' kinds are cart, view"):
        windows(bm.Propensity(event_weights={"search": 1.0}), log)
    bare = bm.PurchaseLog.from_frame(shop.frame, **columns)
    with pytest.raises(bm.SpecError, match="needs a log with events"):
        windows(bm.Propensity(event_weights={"view": 1.0}), bare)


def test_later_events_do_not_enter(shop: bm.simulate.SimulatedLog, log: bm.PurchaseLog) -> None:
    """Events planted after the training's and the scoring's dates change no table and no code."""
    known = log.until(END)
    day = known.end
    columns: Any = shop.columns
    rng = np.random.default_rng(1)
    n = 4000
    planted = pd.DataFrame(
        {
            "customer": rng.choice(known.customers, n),
            "date": pd.Timestamp(END) + pd.to_timedelta(rng.integers(1, 12, n), unit="D"),
            "product": rng.choice(log.products, n),
            "kind": "cart",
        }
    )
    leaky = bm.PurchaseLog.from_frame(
        shop.frame, **columns, events=pd.concat([shop.events, planted]), event_kind="kind"
    )
    assert leaky.data.sizes["event"] > log.data.sizes["event"] + n // 2
    assert leaky.until(END) == known
    items = log.positions(log.products[:5])
    tables = [
        standing_at(SPEC, each, day).features(Lines.of(each, items)) for each in (known, leaky)
    ]
    for name, column in tables[0].items():
        assert np.array_equal(column, tables[1][name], equal_nan=True)
    after = standing_at(SPEC, leaky, day + 12).features(Lines.of(leaky, items))
    assert after["set visits"].sum() > 2 * tables[0]["set visits"].sum()
    # Training reads events up to each of its dates: one on the next day moves nothing.
    dates = sorted({int(d) for d in windows(SPEC, known).day_of})
    early = {int(d): standing_at(SPEC, known, int(d)).visits.sum() for d in dates}
    seen = known.data["visit_day"].to_numpy()
    for d in dates:
        kept = known.data.isel(event=np.flatnonzero(seen <= d))
        assert standing_at(SPEC, bm.PurchaseLog(kept), d).visits.sum() == early[d]


def _pages(shop: bm.simulate.SimulatedLog) -> pd.DataFrame:
    return shop.events.merge(shop.catalogue, on="product").drop(columns="product")


def test_events_tell_who_is_about_to_buy(
    shop: bm.simulate.SimulatedLog, log: bm.PurchaseLog
) -> None:
    """Held-out log loss falls by what browsing says; without it, it can't."""
    columns: Any = shop.columns
    bare = bm.PurchaseLog.from_frame(shop.frame, **columns)
    items = list(shop.catalogue["product"][shop.catalogue["category"] == "category 00"])
    frame = shop.frame
    when = (frame["date"] > END) & (frame["date"] <= "2024-08-27") & frame["product"].isin(items)
    losses = []
    for each in (bare, log):
        known = each.until(END)
        fit = bm.fit(SPEC, known, seed=1, progress=False)
        assert fit.diagnostics.ok
        chance = bm.propensity(fit, items).mean(("chain", "draw"))
        bought = np.isin(chance["customer"].to_numpy(), frame["customer"][when])
        p = chance.to_numpy()
        losses.append(-np.log(np.where(bought, p, 1 - p)).mean())
        if each is log:
            assert abs(p.mean() / bought.mean() - 1) < 0.2
            with pytest.raises(bm.SpecError, match="read the log with its events"):
                bm.propensity(fit, items, log=bare)
            for options, match in (
                ({"events": shop.events}, "same event_kind"),
                (
                    {"events": _pages(shop), "event_of": "category", "event_kind": "kind"},
                    "event_of",
                ),
            ):
                other = bm.PurchaseLog.from_frame(shop.frame, **columns, **options)
                with pytest.raises(bm.SpecError, match=match):
                    bm.propensity(fit, items, log=other)
            assert bm.recommend(fit, k=2)["recommended"].sizes["rank"] == 2
    assert losses[1] < 0.97 * losses[0], losses
