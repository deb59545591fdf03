"""What customers like, by what else they buy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.targeting.scoring import standing
from bayes_mkt.targeting.tastes import Factors, Tastes
from bayes_mkt.targeting.windows import windows

SMALL: dict[str, Any] = {"lookback": 120, "min_buyers": 5, "bins": 2, "set_bins": 2}
SPEC = bm.Propensity(horizon=14, dates=2, **SMALL)
DAYS = 180


def purchases(customers: int = 600, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return lines, a catalogue, and which of two kinds of things each customer likes.

    There are 24 products in twelve groups, of which each customer buys six kinds eight times as
    often as the other six.
    """
    rng = np.random.default_rng(seed)
    likes = rng.integers(0, 2, customers)
    product = np.arange(24)
    rate = (
        np.where(likes[:, None] == product % 2, 0.008, 0.001)
        * rng.gamma(4, 0.25, customers)[:, None]
    )
    who, what = np.divmod(np.arange(customers * 24), 24)
    count = rng.poisson(DAYS * rate.ravel())
    rows = np.repeat(np.arange(customers * 24), count)
    day = rng.integers(0, DAYS, len(rows))
    lines = pd.DataFrame(
        {
            "customer": [f"c{i:04d}" for i in who[rows]],
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D"),
            "product": [f"p{j:02d}" for j in what[rows]],
            "amount": np.exp(rng.normal(3, 0.3, len(rows))).round(2),
        }
    )
    group = [f"g{j % 2}-{j // 4}" for j in product]
    return lines, pd.DataFrame({"product": [f"p{j:02d}" for j in product], "group": group}), likes


def read(lines: pd.DataFrame, catalogue: pd.DataFrame | None) -> bm.PurchaseLog:
    more: dict[str, Any] = (
        {} if catalogue is None else {"catalogue": catalogue, "levels": ["group"]}
    )
    return bm.PurchaseLog.from_frame(
        lines, customer="customer", date="date", product="product", amount="amount", **more
    )


def factors_of(log: bm.PurchaseLog, day: int, factors: int = 3, min_buyers: int = 1) -> Factors:
    return Factors.of(log, day, lookback=120, level=None, factors=factors, min_buyers=min_buyers)


def tastes(log: bm.PurchaseLog, min_buyers: int = 1) -> Tastes:
    return factors_of(log, log.end, min_buyers=min_buyers).at(log, log.end)


def test_tastes_are_those_of_the_correlations_of_groups() -> None:
    lines, catalogue, _ = purchases()
    log = read(lines, catalogue)
    found = tastes(log)
    last = lines["date"].max()
    recent = lines[lines["date"] > last - pd.Timedelta("120D")].merge(catalogue, on="product")
    days = recent.drop_duplicates(["customer", "date", "group"]).groupby(["customer", "group"])
    table = days.size().unstack(fill_value=0).reindex(log.customers, fill_value=0)
    x = np.log1p(table.to_numpy(float))
    x = x / x.std(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    best = vectors[:, np.argsort(-values)[:3]]
    share = np.zeros(12)
    share[[list(table.columns).index("g0-0"), list(table.columns).index("g1-2")]] = 0.5
    taste = x @ best @ best.T @ share
    items = log.positions(["p00", "p09"])
    np.testing.assert_allclose(found.scores(items), (taste - taste.mean()) / taste.std(), atol=1e-8)


def test_a_customer_likes_what_is_like_what_they_buy() -> None:
    lines, catalogue, likes = purchases()
    log = read(lines, catalogue)
    at = [int(name[1:]) for name in log.customers]
    score = tastes(log).scores(log.positions(["p00"]))
    fond = likes[at] == 0
    assert score[fond].mean() > score[~fond].mean() + 1.0
    # It holds for who never bought of the set itself, too.
    buyers = lines.loc[lines["product"].isin(["p00", "p02"]), "customer"].unique()
    never = ~np.isin(log.customers, buyers)
    assert score[never & fond].mean() > score[never & ~fond].mean() + 0.15


def by_name(log: bm.PurchaseLog, scores: np.ndarray) -> dict[str, float]:
    return dict(zip(log.customers, scores, strict=True))


def test_nothing_after_the_day_is_read() -> None:
    lines, catalogue, _ = purchases()
    log = read(lines, catalogue)
    day, names = log.end - 20, ["p04", "p05"]
    until = log.until(np.datetime64(day, "D"))
    early = factors_of(log, day).at(log, day).scores(log.positions(names))
    again = by_name(until, tastes(until).scores(until.positions(names)))
    whole = by_name(log, early)
    assert max(abs(whole[name] - value) for name, value in again.items()) < 1e-8


def test_a_taste_says_the_same_in_every_log() -> None:
    """Of a log with other customers, fewer products and a group that training hadn't."""
    lines, catalogue, likes = purchases()
    log = read(lines, catalogue)
    found = factors_of(log, log.end)
    whole = by_name(log, found.at(log, log.end).scores(log.positions(["p00"])))
    fond = [f"c{i:04d}" for i in np.flatnonzero(likes == 0)]
    some = lines[lines["customer"].isin(fond) & (lines["product"] != "p23")]
    extra = some.iloc[:5].assign(product="new")
    more = pd.concat([catalogue, pd.DataFrame({"product": ["new"], "group": ["a-new-one"]})])
    other = read(pd.concat([some, extra]), more)
    part = by_name(other, found.at(other, log.end).scores(other.positions(["p00"])))
    assert set(part) <= set(fond)
    without = lines.loc[lines["product"] == "p23", "customer"].unique()
    same = [name for name in part if name not in without]
    assert len(same) > 50
    assert max(abs(part[name] - whole[name]) for name in same) < 1e-12
    assert np.mean(list(part.values())) > 0.5
    assert not found.at(other, log.end).scores(other.positions(["new"])).any()


def test_without_groups_that_count_there_are_no_tastes() -> None:
    lines, catalogue, _ = purchases(40)
    log = read(lines, catalogue)
    found = tastes(log, min_buyers=10**6)
    assert found.factors.axes.shape == (12, 0)
    assert not found.scores(log.positions(["p00"])).any()
    assert not tastes(log).scores(np.zeros(0, dtype=int)).any()
    few = lines[lines["product"].isin(["p00", "p01"])]
    assert tastes(read(few, None)).factors.axes.shape[1] == 0


def test_factors_are_counted() -> None:
    with pytest.raises(bm.SpecError, match="factors=-1 must be at least 0"):
        bm.Propensity(factors=-1)
    with pytest.raises(bm.SpecError, match="taste_bins=0 must be at least 1"):
        bm.Propensity(taste_bins=0)


@pytest.fixture(scope="module")
def log() -> bm.PurchaseLog:
    lines, catalogue, _ = purchases()
    return read(lines, catalogue)


@pytest.fixture(scope="module")
def fit(log: bm.PurchaseLog) -> bm.Fit:
    known = log.until(np.datetime64(log.end - 14, "D"))
    return bm.fit(SPEC, known, seed=1, progress=False)


def test_tastes_tell_future_buyers_apart(fit: bm.Fit, log: bm.PurchaseLog) -> None:
    assert fit.diagnostics.ok
    effect = fit.posterior["feature_effect"]
    rise = [str(c) for c in effect["column"].values if str(c).startswith("taste")]
    last = effect.sel(column=rise).mean(("chain", "draw"))
    assert float(last.max() - last.min()) > 0.2
    _, at = standing(fit, None)
    assert at.tastes is not None
    plain = bm.fit(
        bm.Propensity(horizon=14, dates=2, factors=0, **SMALL), fit.data, seed=1, progress=False
    )
    assert "taste" not in windows(plain.spec, plain.data).encoding.names
    scores = {}
    for name, one in (("with", fit), ("without", plain)):
        total = 0.0
        for product in log.products:
            chance = bm.propensity(one, [str(product)], max_draws=50)
            mean = chance.mean(("chain", "draw")).clip(1e-6, 1 - 1e-6)
            rows = log.data["item"].to_numpy() == log.positions([str(product)])[0]
            later = rows & (log.data["day"].to_numpy() > fit.data.end)
            buyers = log.customers[np.unique(log.data["buyer"].to_numpy()[later])]
            bought = np.isin(mean["customer"].values, buyers)
            total -= float(np.log(np.where(bought, mean, 1 - mean)).mean())
        scores[name] = total / len(log.products)
    assert scores["with"] < 0.99 * scores["without"]
