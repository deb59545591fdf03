"""Weeks that are good or bad everywhere at once are found, and taken for what they are."""

from __future__ import annotations

import numpy as np

import bayes_mkt as bm
from bayes_mkt.dims import SAMPLE
from bayes_mkt.media_mix.alike import scatter_alike

SIZE = 0.4  # SD of what all regions share, in SDs of sales a head without it


def test_what_all_regions_share_is_recovered() -> None:
    world = bm.simulate.media_mix(
        regions=8, weeks=60, channels=2, controls=1, seed=3, max_lag=3, roi=[1.0, 4.0]
    )
    weeks = np.sort(world.frame["week"].unique())
    shared = np.random.default_rng(1).standard_normal(len(weeks))
    scale = float(world.truth["sales_scale"])
    moved = world.frame["week"].map(dict(zip(weeks, SIZE * scale * shared, strict=True)))
    frame = world.frame.assign(sales=world.frame["sales"] + world.frame["population"] * moved)
    panel = bm.MediaPanel.from_frame(frame, **world.columns)
    spec = bm.MediaMix(
        adstock=bm.GeometricAdstock(3), knots=2, seasonality=bm.Fourier(2), date_effects=True
    )
    fit = bm.fit(spec, panel, seed=1, target_ess=100, progress=False)
    # The model's unit is the SD of these sales.
    unit = scale / float((panel.data["sales"] / panel.data["population"]).std())
    sd = fit.posterior["date_sd"]
    assert abs(float(sd.mean()) - SIZE * unit * shared.std()) < 4 * float(sd.std())
    found = fit.posterior["date_effect"].mean(SAMPLE)
    assert np.corrcoef(found, shared)[0, 1] > 0.85
    # Nothing common is left in what the fit doesn't explain.
    assert scatter_alike(fit) < 0.02
    low, high = bm.roi(fit).quantile([0.005, 0.995], SAMPLE)
    truth = world.truth["roi"]
    assert bool(((low < truth) & (truth < high)).all())
