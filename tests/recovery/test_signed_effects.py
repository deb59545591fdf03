"""Where media may hurt, normal effects find the region where they do."""

from __future__ import annotations

import pytest

import bayes_mkt as bm

HURT = "region_03"


@pytest.fixture(scope="module")
def hurt() -> bm.simulate.SimulatedPanel:
    """Return a panel of whose regions one loses by tv what it would have gained."""
    simulated = bm.simulate.media_mix(
        regions=6, weeks=80, channels=2, controls=0, seed=4, max_lag=3
    )
    gained = simulated.truth["contribution"].sel(region=HURT, channel="tv")
    frame = simulated.frame
    own = frame["region"] == HURT
    frame.loc[own, "sales"] -= 2.0 * gained.to_numpy()
    return simulated


def test_the_region_that_loses_is_found(hurt: bm.simulate.SimulatedPanel) -> None:
    panel = bm.MediaPanel.from_frame(hurt.frame, **hurt.columns)
    spec = bm.MediaMix(adstock=bm.GeometricAdstock(max_lag=3), effects="normal")
    fit = bm.fit(spec, panel, seed=1, progress=False)
    assert fit.diagnostics.ok
    below = (fit.posterior["effect"].sel(channel="tv") < 0).mean(("chain", "draw"))
    assert float(below.sel(region=HURT)) > 0.95
    others = below.drop_sel(region=HURT)
    assert float(others.mean()) < 0.2
    lost = bm.contributions(fit, ("region", "channel")).sel(region=HURT, channel="tv")
    low, high = lost.quantile([0.025, 0.975])
    truth = -hurt.truth["contribution"].sel(region=HURT, channel="tv").sum()
    assert float(low) < float(truth) < float(high)
