"""What moves all customers at once: learnt exactly, and carried into sums."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.customers.swings import CalendarSwings, _posterior, expected_repeats
from tests.customers.cases import fixed, history, toy

HYPER = {"r": 0.8, "alpha": 30.0, "a": 0.4, "b": 3.0}
END = "2024-12-31"


def shop(pace: Any = None, customers: int = 4000, days: int = 365) -> pd.DataFrame:
    """Return a log of customers of 2024 who buy at gamma rates times a pace by day, and leave."""
    rng = np.random.default_rng(3)
    pace = np.ones(days) if pace is None else np.asarray(pace)
    born = rng.integers(0, days // 2, customers)
    rate = rng.gamma(HYPER["r"], 1 / HYPER["alpha"], customers)
    leaves = np.maximum(rng.beta(HYPER["a"], HYPER["b"], customers), 1e-9)
    alive = np.ones(customers, dtype=bool)
    rows = [pd.DataFrame({"who": np.arange(customers), "day": born})]
    for day in range(days):
        buys = alive & (day > born) & (rng.random(customers) < -np.expm1(-rate * pace[day]))
        rows.append(pd.DataFrame({"who": np.flatnonzero(buys), "day": day}))
        alive &= ~(buys & (rng.random(customers) < leaves))
    log = pd.concat(rows, ignore_index=True)
    return log.assign(on=pd.Timestamp("2024-01-01") + pd.to_timedelta(log.pop("day"), unit="D"))


def fitted(log: pd.DataFrame, draws: int = 300) -> bm.Fit:
    data = bm.CustomerHistory.from_transactions(log, customer="who", date="on", end=END)
    return fixed(bm.BGNBD(), data, draws=draws, **HYPER)


@pytest.fixture(scope="module")
def steady() -> tuple[bm.Fit, pd.DataFrame]:
    log = shop()
    return fitted(log), log


@pytest.fixture(scope="module")
def swinging() -> tuple[bm.Fit, pd.DataFrame]:
    """Months differ by some 30 %; the last is a poor one."""
    monthly = np.exp(np.tile([0.35, -0.05, -0.3], 5))[:14]
    log = shop(np.repeat(monthly, 28)[-365:])
    return fitted(log), log


def test_periods_are_counted_and_expected_as_they_are(steady: tuple[bm.Fit, Any]) -> None:
    fit, log = steady
    found = bm.calendar_swings(fit, log).table
    assert (np.diff(found.index) == np.timedelta64(28, "D")).all()
    assert found.index[-1] == pd.Timestamp("2024-12-04")  # the last of 28 days is END
    first = log.groupby("who")["on"].transform("min")
    repeats = log[log["on"] > first].drop_duplicates()
    for begin, row in found.iterrows():
        inside = repeats["on"].between(begin, begin + pd.Timedelta(days=27))
        assert row["actual"] == inside.sum()
    assert len(bm.calendar_swings(fit, log, every=2).table) == 120
    total = expected_repeats(fit, fit.posterior, np.array([0.0]))
    assert found["expected"].sum() == pytest.approx(total.mean(), rel=0.01)
    # Customers were drawn from these hyperparameters.
    assert found["actual"].sum() == pytest.approx(found["expected"].sum(), rel=0.1)


def test_where_months_are_alike_there_is_next_to_no_swing(steady: tuple[bm.Fit, Any]) -> None:
    fit, log = steady
    swings = bm.calendar_swings(fit, log)
    assert float(swings.weight @ swings.sd) < 0.1
    np.testing.assert_allclose(swings.table["factor"], 1.0, atol=0.1)


def test_months_that_differ_are_found(swinging: tuple[bm.Fit, Any]) -> None:
    fit, log = swinging
    swings = bm.calendar_swings(fit, log)
    assert 0.15 < float(swings.weight @ swings.sd) < 0.5
    ratio = swings.table["actual"] / swings.table["expected"]
    assert np.corrcoef(ratio, swings.table["factor"])[0, 1] > 0.95


def test_sums_are_less_sure_and_customers_much_as_they_were(swinging: tuple[bm.Fit, Any]) -> None:
    fit, log = swinging
    swings = bm.calendar_swings(fit, log)
    ask = {"periods": [("2025-01-01", "2025-01-28"), ("2025-01-29", "2025-02-25")], "seed": 1}
    without = bm.future_purchases(fit, **ask)
    found = bm.future_purchases(fit, **ask, swings=swings)
    assert (found.std(("chain", "draw")) > 3 * without.std(("chain", "draw"))).all()
    ratio = found.mean(("chain", "draw")) / without.mean(("chain", "draw"))
    np.testing.assert_allclose(ratio, 1.0, atol=0.25)
    assert bm.future_purchases(fit, **ask, swings=swings).identical(found)


def test_check_has_them_too() -> None:
    log = shop()
    data, holdout = bm.CustomerHistory.split_transactions(
        log, customer="who", date="on", end="2024-09-30"
    )
    fit = fixed(bm.BGNBD(), data, draws=60, **HYPER)
    wide = CalendarSwings(
        pd.DataFrame(),
        "2024-09-30",
        28,
        np.zeros(4),
        np.full(4, 0.01),
        np.array([0.5]),
        np.array([0.5]),
        np.ones(1),
    )
    narrow, broad = (
        bm.check(fit, holdout, seed=1, swings=s)["purchases"].sum("market") for s in (None, wide)
    )
    assert float(broad.std()) > 3 * float(narrow.std())


def test_swings_are_of_the_fits_own_log_and_end(steady: tuple[bm.Fit, Any]) -> None:
    fit, log = steady
    with pytest.raises(bm.SpecError, match=r"the log has \d+ repeat purchases .* history \d+\."):
        bm.calendar_swings(fit, log[log["who"] % 2 == 0])
    for every in (True, 0, 2.5):
        with pytest.raises(bm.SpecError, match="must be a number of days"):
            bm.calendar_swings(fit, log, every=every)  # type: ignore[arg-type]
    found = bm.calendar_swings(fit, log, every=np.int64(28))  # type: ignore[arg-type]
    other = dataclasses.replace(found, end="2024-09-30")
    with pytest.raises(bm.SpecError, match="go on from 2024-09-30, the fit's history from 2024-1"):
        bm.future_purchases(fit, periods=["2025Q1"], seed=1, swings=other)


@pytest.mark.parametrize("unit", ["D", "W"])
def test_a_log_with_ties_is_its_own(unit: str) -> None:
    log = shop(customers=800)
    log = pd.concat([log, log.iloc[::7]])
    data = bm.CustomerHistory.from_transactions(
        log, customer="who", date="on", end="2024-10-05", unit=unit
    )
    found = bm.calendar_swings(fixed(bm.BGNBD(), data, draws=20, **HYPER), log)
    assert len(found.table) >= 4


def test_the_pace_to_come_is_drawn_from_its_conditional() -> None:
    """Exact: given the grid point, past and future paces are jointly log-normal."""
    residual, sd, rho = np.array([0.2, -0.1, 0.4, 0.3]), 0.3, 0.7
    given = CalendarSwings(
        pd.DataFrame(),
        END,
        10,
        residual,
        np.full(4, 0.02),
        np.array([sd]),
        np.array([rho]),
        np.ones(1),
    )
    drawn = np.log(given.pace(25.0, 200_000, np.random.default_rng(1)))
    assert drawn.shape == (200_000, 3)
    lag = np.abs(np.subtract.outer(range(7), range(7)))
    shared = sd**2 * rho**lag
    joint = shared + np.diag([0.02] * 4 + [0.0] * 3)
    gain = shared[4:, :4] @ np.linalg.inv(joint[:4, :4])
    mean = -0.5 * sd**2 + gain @ (residual + 0.5 * sd**2)
    cov = shared[4:, 4:] - gain @ shared[:4, 4:]
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.005)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.003)


def test_time_runs_at_the_pace() -> None:
    given = CalendarSwings(
        pd.DataFrame(), END, 10, np.zeros(4), np.ones(4), np.ones(1), np.ones(1), np.ones(1)
    )
    found = given.warped(np.array([0.0, 5.0, 10.0, 15.0, 20.0]), np.array([2.0, 0.5]))
    np.testing.assert_allclose(found, [0.0, 10.0, 20.0, 22.5, 25.0])


def test_intervals_of_the_pace_hold_what_comes() -> None:
    """Simulation-based: from the prior, 90 % intervals hold nine in ten."""
    rng = np.random.default_rng(5)
    past, held = 12, []
    for _ in range(300):
        sd, rho = abs(rng.normal(0, 0.3)), rng.beta(2, 2)
        lag = np.abs(np.subtract.outer(range(past + 3), range(past + 3)))
        c = rng.multivariate_normal(np.full(past + 3, -0.5 * sd**2), sd**2 * rho**lag)
        variance = np.full(past, 0.01)
        residual = c[:past] + rng.normal(0, 0.1, past)
        grid = _posterior(residual, variance)[:3]
        swings = CalendarSwings(pd.DataFrame(), END, 28, residual, variance, *grid)
        drawn = swings.pace(84.0, 400, rng).mean(axis=1)
        held.append(stats.percentileofscore(drawn, np.exp(c[past:]).mean()) / 100)
    share = np.mean((np.array(held) > 0.05) & (np.array(held) < 0.95))
    assert 0.86 < share < 0.94


def test_what_is_refused(steady: tuple[bm.Fit, pd.DataFrame]) -> None:
    fit, log = steady
    with pytest.raises(bm.SpecError, match=r"every=0 must be a number of days"):
        bm.calendar_swings(fit, log, every=0)
    with pytest.raises(bm.SpecError, match=r"every=120: .* has 3 periods; 4 are needed"):
        bm.calendar_swings(fit, log, every=120)
    few = fixed(bm.BGNBD(), history(), **HYPER)
    with pytest.raises(bm.SpecError, match=r"has 0 periods; 4 are needed"):
        bm.calendar_swings(few, toy())
