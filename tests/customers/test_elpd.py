"""Leave-one-out of counted rows: each customer of a row is a term of its own."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.customers.elpd import log_likelihood
from tests.customers.hazards import small, stand_in


def alike() -> bm.Subscriptions:
    """Sixty customers of whom many are alike."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"who": np.arange(60), "stop": rng.choice([4, 8, 12], 60), "left": rng.integers(0, 2, 60)}
    )
    return bm.Subscriptions.from_frame(
        frame, duration="stop", event="left", customer="who", intervals=[4, 8, 12], unit="week"
    )


@pytest.fixture(scope="module")
def fits() -> dict[str, bm.Fit]:
    """Two models of the same customers."""
    data = alike()
    specs = {"hazard": bm.Churn(effects="normal"), "weibull": bm.ParametricSurvival()}
    return {n: bm.fit(spec, data, seed=1, progress=False) for n, spec in specs.items()}


def test_every_customer_is_a_term(fits: dict[str, bm.Fit]) -> None:
    fit = fits["hazard"]
    count = fit.data.data["count"].values.astype(int)
    assert count.max() > 1
    each = np.repeat(log_likelihood(fit), count, axis=2)
    tree = xr.DataTree.from_dict(
        {
            "/posterior": fit.posterior,
            "/log_likelihood": xr.Dataset({"y": (("chain", "draw", "customer"), each)}),
        }
    )
    wanted = arviz_stats.loo(tree, pointwise=True)
    found = bm.survival_loo(fit, draws=None)
    assert found.n_data_points == count.sum()
    assert found.elpd == pytest.approx(wanted.elpd, rel=1e-9)
    assert found.se == pytest.approx(wanted.se, rel=1e-9)
    assert found.p == pytest.approx(wanted.p, rel=1e-6)


def test_models_are_compared_on_the_same_customers(fits: dict[str, bm.Fit]) -> None:
    table = bm.survival_compare(fits, draws=None)
    alone = {name: bm.survival_loo(fit, draws=None).elpd for name, fit in fits.items()}
    best = max(alone, key=lambda name: alone[name])
    assert next(iter(table.index)) == best
    gap = float(table["elpd_diff"].iloc[1])
    assert abs(gap) == pytest.approx(abs(alone["hazard"] - alone["weibull"]), rel=1e-6)


def test_other_customers_are_not_compared(fits: dict[str, bm.Fit]) -> None:
    other = stand_in(bm.ParametricSurvival(), small())
    with pytest.raises(bm.SpecError, match="other customers"):
        bm.survival_compare({"a": fits["hazard"], "b": other}, draws=None)
    with pytest.raises(bm.SpecError, match="two fits or more"):
        bm.survival_compare({"a": other})


def test_episodes_are_refused() -> None:
    fit = stand_in(bm.ParametricSurvival(), small(episodes=True))
    with pytest.raises(bm.SpecError, match="rows are episodes"):
        bm.survival_loo(fit, draws=None)
