"""Derivatives of the likelihood of spells against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.customers.spell_rows import SpellRows
from bayes_mkt.customers.spells import Spells


def spells(*, entries: bool, exact: bool, features: bool = True) -> Spells:
    """Return spells of three markets, with late entries or exact times if asked for."""
    sim = bm.simulate.second_purchases(customers=400, markets=3, seed=5, follow_up=98)
    columns = dict(sim.columns) if features else {**sim.columns, "profile": [], "basket": []}
    data = bm.FirstPurchases.from_transactions(sim.frame, **columns)
    rows = data.data
    if entries:
        late = np.where(rows["duration"].values > 40, 33.0, 0.0)
        rows = rows.assign(entry=("row", late))
    if exact:
        rows = rows.assign(duration=rows["duration"] - 0.37).assign_attrs(resolution=0.0)
    return Spells(rows)


CASES = [
    {"entries": False, "exact": False},
    {"entries": True, "exact": False},
    {"entries": True, "exact": True},
    {"entries": False, "exact": False, "features": False},
]


@pytest.mark.parametrize("never", ["none", "market", "regression"])
@pytest.mark.parametrize("case", CASES, ids=["plain", "late", "exact", "bare"])
def test_derivatives_are_those_of_the_value(case: dict[str, Any], never: str) -> None:
    rows = SpellRows.of(spells(**case), never=never != "none", never_features=never == "regression")
    rng = np.random.default_rng(0)
    theta = 0.3 * rng.normal(size=(3, rows.terms.size))
    theta[:, rows.terms.curve] -= 2.0
    found = rows.derivatives(theta)
    step = 1e-5
    for m, j in [(0, 0), (1, rows.terms.intervals - 2), *((2, k) for k in range(rows.terms.size))]:
        up, down = (theta.copy(), theta.copy())
        up[m, j] += step
        down[m, j] -= step
        high, low = rows.derivatives(up), rows.derivatives(down)
        assert found.gradient[m, j] == pytest.approx(
            (high.value - low.value) / (2 * step), abs=2e-3
        )
        slope = (high.gradient[m] - low.gradient[m]) / (2 * step)
        np.testing.assert_allclose(-found.curvature[m, j], slope, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("never", ["none", "market", "regression"])
@pytest.mark.parametrize("case", CASES, ids=["plain", "late", "exact", "bare"])
def test_log_likelihood_of_draws_is_the_value(case: dict[str, Any], never: str) -> None:
    rows = SpellRows.of(spells(**case), never=never != "none", never_features=never == "regression")
    theta = 0.3 * np.random.default_rng(1).normal(size=(60, 3, rows.terms.size))
    theta[..., rows.terms.curve] -= 2.0
    found = rows.log_likelihood(theta).sum(axis=1)
    expected = [rows.derivatives(t).value for t in theta[::20]]
    np.testing.assert_allclose(found[::20], expected, atol=1e-3)
