"""Prior and posterior predictive sales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from tests.media_mix import by_hand
from tests.media_mix.cases import MODELS, panel

Fitter = Callable[..., bm.Fit]
DIMS = ("chain", "draw", "region", "date")


def residuals(
    spec: bm.MediaMix, data: bm.MediaPanel, draws: xr.Dataset, sales: xr.DataArray
) -> np.ndarray:
    """Return predicted sales less their expectation in units of the noise, where observed."""
    out = []
    unit = by_hand.heads(data)[:, None] * by_hand.sales_scale(data)[1]
    for draw in range(sales.sizes["draw"]):
        at = draws.isel(chain=0, draw=draw)
        values = {name: at[name].to_numpy() for name in at.data_vars}
        expected = by_hand.expected_sales(spec, data, values)
        predicted = sales.isel(chain=0, draw=draw).to_numpy()
        out.append((predicted - expected) / (values["sigma"] * unit))
    return np.stack(out)[:, data.observed.to_numpy()]


@pytest.mark.parametrize("name", ["baseline", "masked", "national", "saturation first"])
def test_prior_predictive_sales_come_from_the_model(name: str) -> None:
    spec, kind = MODELS[name]
    data = panel(kind)
    tree = bm.prior_predictive(spec, data, seed=1, draws=20)
    sales = tree["prior_predictive"]["sales"]
    assert sales.dims == DIMS
    assert sales.shape == (1, 20, data.n_regions, data.n_dates)
    assert sales["region"].equals(data.data["region"])
    assert sales["date"].equals(data.data["date"])
    assert sales.attrs["units"] == data.data["sales"].attrs["units"]
    np.testing.assert_array_equal(np.isfinite(sales[0, 0]), data.observed)
    found = residuals(spec, data, tree["prior"].to_dataset(), sales)
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.001


def test_prior_predictive_draws_are_those_of_the_seed() -> None:
    spec, kind = MODELS["masked"]
    data = panel(kind)
    first, again, other = (
        bm.prior_predictive(spec, data, seed=seed, draws=5) for seed in (1, 1, 2)
    )
    assert first.attrs == {"seed": 1}
    assert first["prior_predictive"].to_dataset().identical(again["prior_predictive"].to_dataset())
    assert first["prior"]["roi"].equals(again["prior"]["roi"])
    assert not first["prior"]["roi"].equals(other["prior"]["roi"])
    kept = set(first["prior"].data_vars)
    assert {"roi", "effect", "sigma"} <= kept
    assert not kept & spec.on_demand


@pytest.mark.parametrize("draws", [0, -1, 2.0, True, None])
def test_draws_are_a_whole_number(draws: Any) -> None:
    with pytest.raises(bm.SpecError, match=r"draws=.* must be an integer >= 1\."):
        bm.prior_predictive(bm.MediaMix(), panel("paid"), seed=1, draws=draws)


def test_a_seed_is_checked() -> None:
    with pytest.raises(bm.SpecError, match="seed=-1 lies outside"):
        bm.prior_predictive(bm.MediaMix(), panel("paid"), seed=-1)


@pytest.fixture(scope="module")
def predicted(fitted: bm.Fit) -> xr.DataArray:
    return bm.posterior_predictive(fitted, seed=1)["posterior_predictive"]["sales"]


def test_posterior_predictive_sales_come_from_the_draws(
    fitted: bm.Fit, predicted: xr.DataArray
) -> None:
    assert predicted.dims == DIMS
    posterior = fitted.posterior
    assert predicted.sizes["chain"] == posterior.sizes["chain"]
    assert predicted.sizes["draw"] == posterior.sizes["draw"]
    found = residuals(fitted.spec, fitted.data, posterior, predicted.isel(draw=slice(20)))
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.001


def test_posterior_predictive_sales_look_like_the_observed(
    fitted: bm.Fit, predicted: xr.DataArray
) -> None:
    sales = fitted.data.data["sales"]
    low, high = predicted.quantile([0.05, 0.95], ("chain", "draw"))
    assert 0.86 < float(((low <= sales) & (sales <= high)).mean()) < 0.96
    mean = predicted.mean(("chain", "draw"))
    explained = 1 - float(((sales - mean) ** 2).sum() / ((sales - sales.mean("date")) ** 2).sum())
    assert explained > 0.8
    expected = bm.expected_sales(fitted).mean(("chain", "draw"))
    noise = predicted.std(("chain", "draw")) / np.sqrt(
        predicted.sizes["chain"] * predicted.sizes["draw"]
    )
    assert float((abs(mean - expected) / noise).max()) < 5


def test_posterior_predictive_draws_are_those_of_the_seed(prior_fit: Fitter) -> None:
    spec, kind = MODELS["masked"]
    fit = prior_fit(spec, panel(kind))
    first, again, other = (
        bm.posterior_predictive(fit, seed=seed, allow_unconverged=True) for seed in (1, 1, 2)
    )
    sales = [tree["posterior_predictive"]["sales"] for tree in (first, again, other)]
    assert sales[0].identical(sales[1])
    assert not sales[0].equals(sales[2])
    np.testing.assert_array_equal(np.isfinite(sales[0][0, 0]), fit.data.observed)
    assert first.attrs["seed"] == 1
    assert first.attrs["unconverged"].startswith("Not converged")
