"""Who is lost or goes cold within a horizon, from curves of survival and incidence."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_mkt as bm
from tests.customers.hazards import small, stand_in

TIGHT = {  # no draw in which nobody is left
    "baseline_level": bm.Prior("Normal", mu=0, sigma=0.3),
    "baseline_sd": bm.Prior("HalfNormal", sigma=0.5),
    "effect": bm.Prior("Normal", mu=0, sigma=0.3),
}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    """Draws of the prior of three markets with covariates."""
    return stand_in(bm.Churn(effects="normal", markets="level", priors=TIGHT), small())


def test_being_lost_is_what_survival_says(fit: bm.Fit) -> None:
    found = bm.being_lost(fit, 6)
    assert found.dims == ("chain", "draw", "customer")
    curves = bm.survival_function(fit, np.arange(25.0), by="customer").values
    elapsed = fit.data.data["elapsed"].values.astype(int)
    for i, now in enumerate(elapsed):
        if now + 6 > 24:
            assert bool(np.isnan(found[..., i]).all())
            continue
        exact = 1 - curves[:, :, i, now + 6] / curves[:, :, i, now]
        np.testing.assert_allclose(found[..., i], exact, rtol=1e-9)
    assert found.attrs["beyond"] == int((elapsed + 6 > 24).sum())
    assert found.attrs["units"] == "1"


def test_a_draw_that_leaves_nobody_loses_whoever_is_still_there() -> None:
    steep = TIGHT | {"baseline_level": bm.Prior("Normal", mu=6, sigma=0.3)}
    fit = stand_in(bm.Churn(effects="normal", markets="level", priors=steep), small())
    found = bm.being_lost(fit, 6)
    curves = bm.survival_function(fit, np.arange(25.0), by="customer").values
    elapsed = fit.data.data["elapsed"].values.astype(int)
    empty = [
        i for i, now in enumerate(elapsed) if now + 6 <= 24 and (curves[:, :, i, now] == 0).any()
    ]
    assert empty
    for i in empty:
        nobody = curves[:, :, i, elapsed[i]] == 0
        assert (found.values[..., i][nobody] == 1.0).all()
        assert np.isfinite(found.values[..., i]).all()


def test_the_share_of_a_market_is_the_mean_of_its_customers(fit: bm.Fit) -> None:
    each = bm.being_lost(fit, 6)
    market = fit.data.data["market_of_cell"].values[fit.data.data["cell_of_customer"].values]
    found = bm.being_lost(fit, 6, by="market")
    for m in range(3):
        own = each[..., market == m].mean("customer")
        np.testing.assert_allclose(found[..., m], own, rtol=1e-9)


def test_going_cold_is_not_coming_back() -> None:
    spec = bm.SecondPurchase(effects="normal", markets="level", priors=TIGHT)
    fit = stand_in(spec, small())
    found = bm.going_cold(fit, 6)
    curves = bm.survival_function(fit, np.arange(25.0), by="customer").values
    elapsed = fit.data.data["elapsed"].values.astype(int)
    i = int(np.flatnonzero(elapsed + 6 <= 24)[0])
    exact = curves[:, :, i, elapsed[i] + 6] / curves[:, :, i, elapsed[i]]
    np.testing.assert_allclose(found[..., i], exact, rtol=1e-9)
    with pytest.raises(bm.SpecError, match="ask going_cold"):
        bm.being_lost(fit, 6)


def test_questions_that_cant_be_asked_are_refused(fit: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match="is a loss: ask being_lost"):
        bm.going_cold(fit, 6)
    with pytest.raises(bm.SpecError, match="horizon=0 must be > 0"):
        bm.being_lost(fit, 0)
    with pytest.raises(bm.SpecError, match="by='cell'"):
        bm.being_lost(fit, 3, by="cell")  # type: ignore[arg-type]
    with pytest.raises(bm.DataError, match="no horizon ends within"):
        bm.being_lost(fit, 24)
