"""A model with reach and frequency finds the truth that its panel was made with."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_mkt as bm

SAMPLE = ("chain", "draw")


@pytest.fixture(scope="module")
def world() -> bm.simulate.SimulatedPanel:
    return bm.simulate.media_mix(
        regions=8,
        weeks=70,
        channels=2,
        controls=1,
        seed=4,
        max_lag=3,
        reach_frequency=1,
        spend_share=0.3,
        noise=0.03,
    )


@pytest.fixture(scope="module")
def fit(world: bm.simulate.SimulatedPanel) -> bm.Fit:
    panel = bm.MediaPanel.from_frame(world.frame, **world.columns)
    spec = bm.MediaMix(
        adstock=bm.GeometricAdstock(max_lag=3), knots=2, seasonality=bm.Fourier(order=2)
    )
    return bm.fit(spec, panel, seed=1, progress=False)


def test_intervals_hold_the_truth(fit: bm.Fit, world: bm.simulate.SimulatedPanel) -> None:
    assert fit.diagnostics.ok
    own = fit.data.frequency_channels
    assert own == (world.truth["channel"].values[-1],)
    for name in ("frequency_slope", "frequency_half_saturation"):
        draws = fit.posterior[name].sel(frequency_channel=own[0])
        low, high = draws.quantile([0.02, 0.98], SAMPLE)
        assert float(low) < float(world.truth[name].sel(channel=own[0])) < float(high)
        prior = fit.spec.prior("frequency_slope").variance(log=True)
        assert float(np.log(draws).var()) < 0.8 * prior
    low, high = bm.roi(fit).quantile([0.02, 0.98], SAMPLE)
    assert ((low < world.truth["roi"]) & (world.truth["roi"] < high)).all()


def test_the_best_frequency_is_found(fit: bm.Fit, world: bm.simulate.SimulatedPanel) -> None:
    """Of equal impressions, s(f) / f decides, whatever the rest."""
    found = bm.optimal_frequency(fit)
    own = fit.data.frequency_channels[0]
    grid = found["frequency"].to_numpy()
    slope, half = (
        float(world.truth[name].sel(channel=own))
        for name in ("frequency_slope", "frequency_half_saturation")
    )
    power = grid**slope
    best = grid[int((power / (power + half**slope) / grid).argmax())]
    low, high = found["best"].sel(channel=own).quantile([0.02, 0.98])
    assert float(low) <= best <= float(high)
