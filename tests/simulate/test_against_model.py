"""The generator and the model, written apart, state the same equations."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_model_at_the_truth_gives_the_true_contributions(missing: float) -> None:
    panel = bm.simulate.media_mix(regions=4, weeks=30, channels=3, seed=2, missing=missing)
    truth = panel.truth
    data = bm.MediaPanel.from_frame(panel.frame, **panel.columns)
    fit = fit_at(truth, bm.MediaMix(), data)
    found = bm.contributions(fit, ("region", "date", "channel"), allow_unconverged=True)
    found = found.isel(chain=0, draw=0, drop=True)
    expected = truth.contribution.fillna(0.0).sel(region=found.region, channel=found.channel)
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-6, atol=1e-6)
    roi = bm.roi(fit, allow_unconverged=True).isel(chain=0, draw=0, drop=True)
    np.testing.assert_allclose(roi.to_numpy(), truth.roi.sel(channel=roi.channel), rtol=1e-6)


def fit_at(truth: xr.Dataset, spec: bm.MediaMix, data: bm.MediaPanel) -> bm.Fit:
    """Return a fit of a few draws: the truth where the media depend on it, else a prior draw."""
    model = spec.build(data)
    variables = (*model.free_RVs, *model.deterministics)
    with model:
        drawn = pm.sample_prior_predictive(
            draws=5,
            var_names=[v.name for v in variables if v.name not in spec.on_demand],
            random_seed=1,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )["prior"].to_dataset()
    for name in ("adstock_alpha", "half_saturation", "effect"):
        known = truth[name].reindex_like(drawn[name].isel(chain=0, draw=0, drop=True))
        drawn[name] = known.broadcast_like(drawn[name]).transpose(*drawn[name].dims)
    stats = xr.Dataset({"diverging": xr.zeros_like(drawn["sigma"], dtype=bool)})
    tree = xr.DataTree.from_dict({"/posterior": drawn, "/sample_stats": stats})
    tree.attrs = {"seed": 1}
    return bm.Fit(spec, data, tree, bm.diagnose(tree))
