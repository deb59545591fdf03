"""Offers that cover the catalogue are the best of all that do, on cases small enough to list."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from bayes_mkt.errors import SpecError
from bayes_mkt.targeting.coverage import covering


def best_by_listing(score: np.ndarray, k: int, needed: int, offers: int) -> float:
    """Return the largest sum of scores of offers in which `needed` sets have enough customers."""
    customers, sets = score.shape
    choices = list(combinations(range(sets), k))
    best = -np.inf
    for plan in product(choices, repeat=customers):
        counts = np.bincount(np.ravel(plan), minlength=sets)
        if (counts >= offers).sum() >= needed:
            best = max(best, sum(score[i, list(c)].sum() for i, c in enumerate(plan)))
    return float(best)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("k", "coverage", "offers"), [(1, 1.0, 1), (2, 1.0, 2), (2, 0.75, 1)])
def test_no_offers_are_better(seed: int, k: int, coverage: float, offers: int) -> None:
    score = np.random.default_rng(seed).normal(size=(5, 4)) + np.array([2.0, 1.0, 0.0, -1.0])
    top = covering(score, k, coverage, offers)
    assert all(len(set(row)) == k for row in top)
    counts = np.bincount(top.ravel(), minlength=4)
    needed = int(np.ceil(coverage * 4))
    assert (counts >= offers).sum() >= needed
    rows = np.take_along_axis(score, top, axis=1)
    assert (np.diff(rows, axis=1) <= 0).all()
    best = best_by_listing(score, k, needed, offers)
    if coverage == 1:
        assert np.isclose(rows.sum(), best)
    else:  # which sets have to be offered is picked before, not optimised
        assert rows.sum() <= best + 1e-9


def test_many_customers() -> None:
    score = np.random.default_rng(1).normal(size=(2000, 60)) + np.linspace(6, 0, 60)
    top = covering(score, 5, 1.0, 20)
    counts = np.bincount(top.ravel(), minlength=60)
    assert counts.min() >= 20
    plain = np.sort(score, axis=1)[:, -5:].sum()
    assert np.take_along_axis(score, top, axis=1).sum() > 0.95 * plain


def test_what_cannot_be_is_refused() -> None:
    score = np.zeros((3, 5))
    with pytest.raises(SpecError, match="Lower min_coverage"):
        covering(score, 1, 1.0, 1)
    with pytest.raises(SpecError, match="be >= 1"):
        covering(score, 1, 0.5, 0)
