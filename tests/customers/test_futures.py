"""Closed forms of what customers will do, against simulation and plain integration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special, stats

from bayes_mkt.customers.futures import BetaFuture, Future, RateFuture, discounted

ROWS = 60_000


def many(future: Future) -> Future:
    """The same customer many times."""
    values = {k: np.full(ROWS, float(v[0])) for k, v in vars(future).items()}
    return type(future)(**values)


def beta_future(a: float = 0.8) -> BetaFuture:
    return BetaFuture(*(np.array([v]) for v in (2.7, 60.0, a, 4.5)))


def rate_future(s: float = 0.6) -> RateFuture:
    return RateFuture(*(np.array([v]) for v in (2.7, 60.0, s, 80.0)))


FUTURES = {
    "beta": beta_future(),
    "beta, a = 1": beta_future(1.0),
    "beta, a > 1": beta_future(1.7),
    "rate": rate_future(),
    "rate, s = 1": rate_future(1.0),
}


@pytest.mark.parametrize("name", FUTURES)
def test_closed_forms_agree_with_drawn_futures(name: str) -> None:
    future = FUTURES[name]
    horizons = np.array([30.0, 200.0])
    counts = many(future).counts(horizons, np.random.default_rng(3))
    assert counts.shape == (ROWS, 2)
    assert (np.diff(counts, axis=1) >= 0).all()
    for k, horizon in enumerate(horizons):
        drawn = counts[:, k]
        error = 4 * drawn.std() / ROWS**0.5
        assert future.expected(horizon)[0] == pytest.approx(drawn.mean(), abs=error)
        silent = float(future.silent(horizon)[0])
        assert silent == pytest.approx((drawn == 0).mean(), abs=4 * 0.5 / ROWS**0.5)


@pytest.mark.parametrize(("a", "c", "shape"), [(0.3, 1.2, 0.5), (1.0, 8.0, 3.0), (2.0, 40.0, 90.0)])
def test_beta_expectation_is_an_integral_over_p(a: float, c: float, shape: float) -> None:
    rate, horizon = 50.0, 300.0
    future = BetaFuture(*(np.array([v]) for v in (shape, rate, a, c)))

    def bought(u: float) -> float:
        p = float(stats.beta.ppf(u, a, c))
        if p < 1e-290:
            return shape * horizon / rate
        return float(-np.expm1(-shape * np.log1p(p * horizon / rate)) / p)

    expected = integrate.quad(bought, 0, 1, limit=200, epsrel=1e-9)[0]
    assert future.expected(horizon)[0] == pytest.approx(expected, rel=1e-6)


def test_very_frequent_customers_stay_finite() -> None:
    future = BetaFuture(*(np.array([v]) for v in (2000.0, 300.0, 0.8, 2003.0)))
    found = float(future.expected(300.0)[0])
    assert 500 < found < 2000


@pytest.mark.parametrize("name", FUTURES)
@pytest.mark.parametrize("horizon", [100.0, None])
def test_discounting_is_an_integral_over_time(name: str, horizon: float | None) -> None:
    future, rate = FUTURES[name], 0.001
    edges = np.concatenate([[0.0], np.geomspace(1e-3, horizon or 20_000.0, 6001)])
    steps = np.array([float(future.expected(t)[0]) for t in edges])
    middle = 0.5 * (edges[1:] + edges[:-1])
    expected = (np.exp(-rate * middle) * np.diff(steps)).sum()
    assert discounted(future, horizon, rate)[0] == pytest.approx(expected, rel=2e-5)


def test_without_discount_value_is_the_count() -> None:
    future = rate_future()
    assert discounted(future, 50.0, 0.0) == future.expected(50.0)


@pytest.mark.parametrize("name", FUTURES)
def test_chances_of_counts_are_those_drawn(name: str) -> None:
    future = FUTURES[name]
    drawn = many(future).counts(np.array([200.0]), np.random.default_rng(4))[:, 0]
    chances = future.chances(200.0, 6)[0]
    assert chances.sum() == pytest.approx(1.0)
    found = np.bincount(np.minimum(drawn, 6), minlength=7) / ROWS
    assert (abs(found - chances) < 4 * np.sqrt(chances / ROWS) + 1e-9).all()
    assert chances[0] == pytest.approx(future.silent(200.0)[0], abs=1e-6)
    long = future.chances(200.0, 800)[0]
    assert long @ np.arange(801) == pytest.approx(future.expected(200.0)[0], rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "level", "a", "c"),
    [(0.24, 0.07, 0.8, 2.4), (30.0, 0.07, 0.8, 32.0), (2.0, 1e-4, 0.1, 0.3), (200, 0.1, 0.5, 210)],
)
def test_value_for_ever_is_the_double_integral(
    shape: float, level: float, a: float, c: float
) -> None:
    """E[lambda / (d + p lambda)] by sums over fine grids of ln lambda and logit p."""
    future = BetaFuture(*(np.array([v]) for v in (shape, 10.0, a, c)))
    s = np.linspace(np.log(shape + 1) - 45 / (shape + 1) - 3, np.log(shape + 1) + 5, 3001)
    gain = np.exp((shape + 1) * s - np.exp(s) - special.gammaln(shape)) * (s[1] - s[0])
    logit = np.linspace(np.log(a / c) - 40 / a - 8, np.log(a / c) + 40 / c + 8, 6001)
    stays = -np.logaddexp(0, logit)
    share = np.exp(a * (logit + stays) + c * stays - special.betaln(a, c)) * (logit[1] - logit[0])
    inner = [float(gain @ (1 / (level + p * np.exp(s)))) for p in np.exp(logit + stays)]
    assert future.ever(level / 10.0) == pytest.approx(share @ inner, rel=5e-5)
    assert discounted(future, 2e7, level / 10.0) == pytest.approx(share @ inner, rel=1e-3)


def test_value_for_ever_of_pareto_is_tricomi() -> None:
    future = RateFuture(*(np.array([v]) for v in (2.7, 60.0, 0.6, 45.0)))
    d = 3e-4
    expected = 2.7 / 60.0 * 45.0 * special.hyperu(1.0, 2 - 0.6, d * 45.0)
    assert future.ever(d) == pytest.approx(expected, rel=1e-6)
