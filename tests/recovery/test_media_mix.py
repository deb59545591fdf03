"""A media mix finds the truth that a panel was made with, and an outside sampler agrees."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytensor
import pytest
import xarray as xr

import bayes_mkt as bm

KNOWN = ("roi", "adstock_alpha", "half_saturation", "effect_sd", "effect", "control_effect")


def test_intervals_hold_the_truth(fitted: bm.Fit, simulated: bm.simulate.SimulatedPanel) -> None:
    held: dict[str, np.ndarray] = {}
    for name in (*KNOWN, "control_sd", "sigma"):
        draws = fitted.posterior[name]
        truth = simulated.truth[name].reindex_like(draws.isel(chain=0, draw=0, drop=True))
        low, high = draws.quantile([0.05, 0.95], ("chain", "draw"))
        held[name] = ((low <= truth) & (truth <= high)).to_numpy().ravel()
    assert held["roi"].all()
    assert np.concatenate(list(held.values())).mean() > 0.8


def test_the_sum_of_media_is_found(fitted: bm.Fit, simulated: bm.simulate.SimulatedPanel) -> None:
    truth = simulated.truth["contribution"].sum()
    low, high = bm.contributions(fitted, by=()).quantile([0.01, 0.99])
    assert float(low) < float(truth) < float(high)
    expected = simulated.truth["expected_sales"]
    found = bm.expected_sales(fitted).mean(("chain", "draw"))
    error = (found - expected.sel(region=found["region"])) / simulated.truth["sales_scale"]
    heads = fitted.data.data["population"]
    # Of the noise in a week, the fit keeps what its parameters can't tell from signal.
    assert float((error / heads).std()) < 0.5 * float(simulated.truth["sigma"])


@pytest.fixture(scope="module")
def referee(fitted: bm.Fit) -> xr.DataTree:
    """Draw from the same model by PyMC's own NUTS, none of it ours; compiled by JAX for speed."""
    with pytensor.config.change_flags(mode="JAX"), pytest.warns(bm.ConvergenceWarning):
        fit = bm.fit(
            fitted.spec,
            fitted.data,
            seed=1,
            sampler="pymc",
            chains=2,
            warmup=300,
            draws=400,
            progress=False,
        )
    return fit.draws


def test_the_referee_agrees(fitted: bm.Fit, referee: xr.DataTree) -> None:
    """Means and SDs, each within the Monte Carlo error of the two runs together."""
    names = [name for name in fitted.posterior.data_vars if name != "effect_offset"]
    figures = []
    for tree in (fitted.draws, referee):
        posterior = tree["posterior"].to_dataset()[names]
        figures.append(
            {
                "mean": posterior.mean(("chain", "draw")),
                "sd": posterior.std(("chain", "draw")),
                "mean error": arviz_stats.mcse(posterior, method="mean"),
                "sd error": arviz_stats.mcse(posterior, method="sd"),
            }
        )
    ours, theirs = figures
    for what in ("mean", "sd"):
        error = np.sqrt(ours[f"{what} error"] ** 2 + theirs[f"{what} error"] ** 2)
        apart = abs(ours[what] - theirs[what]) / error
        worst = {name: float(apart[name].max()) for name in names}
        assert max(worst.values()) < 5, worst
