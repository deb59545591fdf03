"""Scores under censoring against definitions written out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_mkt.customers.scores import auc, brier, concordance, kaplan_meier

RNG = np.random.default_rng(5)
DURATION = RNG.integers(1, 9, 30).astype(float)
EVENT = RNG.integers(0, 2, 30)
RISK = np.round(RNG.random((30, 2)), 1)
COUNT = RNG.integers(1, 4, 30).astype(float)
TIMES = np.array([3.0, 6.0])


def repeated(values: np.ndarray) -> np.ndarray:
    return np.repeat(values, COUNT.astype(int), axis=0)


def slow_km(duration: np.ndarray, event: np.ndarray, t: float, entry: np.ndarray) -> float:
    value = 1.0
    for s in np.unique(duration):
        if s <= t:
            at_risk = sum((entry < s) & (duration >= s))
            value *= 1.0 - sum((duration == s) & (event == 1)) / at_risk if at_risk else 1.0
    return value


def slow_g(t: float, before: bool) -> float:
    """Return the Kaplan-Meier of censoring with events first at ties."""
    duration, event = repeated(DURATION), repeated(EVENT)
    value = 1.0
    for s in np.unique(duration):
        if s < t or (s == t and not before):
            at_risk = sum(duration >= s) - sum((duration == s) & (event == 1))
            lost = sum((duration == s) & (event == 0))
            value *= 1.0 - lost / at_risk if lost else 1.0
    return value


def test_kaplan_meier_is_the_product_of_its_factors() -> None:
    entry = np.where(np.arange(30) % 3 == 0, np.minimum(DURATION - 1, 2.0), 0.0)
    curve = kaplan_meier(DURATION, EVENT, COUNT, entry)
    for t in (0.5, 1.0, 4.0, 7.5):
        slow = slow_km(repeated(DURATION), repeated(EVENT), t, repeated(entry))
        assert curve.at(np.array([t]))[0] == pytest.approx(slow)


def test_greenwood_is_binomial_without_censoring() -> None:
    curve = kaplan_meier(np.array([1.0, 2, 3, 4]), np.ones(4))
    assert curve.error(np.array([2.0]))[0] == pytest.approx(np.sqrt(0.5 * 0.5 / 4))


def test_scores_count_pairs() -> None:
    g = kaplan_meier(DURATION, EVENT, COUNT, censoring=True)
    d, e, r = repeated(DURATION), repeated(EVENT), repeated(RISK)
    n = len(d)
    for k, t in enumerate(TIMES):
        terms, top, bottom, cases, controls = [], 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            alive = 1 - r[i, k]
            if d[i] <= t and e[i]:
                terms.append(alive**2 / slow_g(d[i], before=True))
            elif d[i] > t:
                terms.append((1 - alive) ** 2 / slow_g(t, before=False))
            else:
                terms.append(0.0)
            for j in range(n):
                win = float(r[i, k] > r[j, k]) + 0.5 * float(r[i, k] == r[j, k])
                weight = 1 / slow_g(d[i], before=True)
                if e[i] and d[i] < d[j] and d[i] < t:
                    top, bottom = top + win * weight**2, bottom + weight**2
                if e[i] and d[i] <= t and d[j] > t:
                    cases, controls = cases + win * weight, controls + weight
        score = brier(DURATION, EVENT, COUNT, 1 - RISK, TIMES, g)[k]
        assert score == pytest.approx(np.mean(terms))
        assert concordance(DURATION, EVENT, COUNT, RISK[:, k], t, g) == pytest.approx(top / bottom)
        assert auc(DURATION, EVENT, COUNT, RISK, TIMES, g)[k] == pytest.approx(cases / controls)


def test_a_perfect_forecast_scores_best() -> None:
    g = kaplan_meier(DURATION, np.ones(30), COUNT, censoring=True)
    known = (DURATION[:, None] > TIMES).astype(float)
    assert brier(DURATION, np.ones(30), COUNT, known, TIMES, g).tolist() == [0, 0]
    assert concordance(DURATION, np.ones(30), COUNT, -DURATION, 9.0, g) == 1.0
