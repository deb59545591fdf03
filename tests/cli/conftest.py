"""A quick stand-in for sampling: draws from the prior, in a fit's own layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm

CHAINS, DRAWS = 4, 250


def prior_fit(
    spec: bm.MediaMix, panel: bm.MediaPanel, *, seed: int, progress: bool | None = None, **_: Any
) -> bm.Fit:
    """Return a fit whose draws come from the prior: independent, so that they converge."""
    model = spec.build(panel)
    variables = (*model.free_RVs, *model.deterministics)
    with model:
        drawn = pm.sample_prior_predictive(
            draws=CHAINS * DRAWS,
            var_names=[v.name for v in variables if v.name not in spec.on_demand],
            random_seed=seed,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )["prior"].to_dataset()
    parts = [
        drawn.isel(chain=0, draw=slice(i * DRAWS, (i + 1) * DRAWS), drop=True)
        for i in range(CHAINS)
    ]
    parts = [part.assign_coords(draw=range(DRAWS)) for part in parts]
    posterior = xr.concat(parts, dim="chain").assign_coords(chain=range(CHAINS))
    posterior = posterior.transpose("chain", "draw", ...)
    stats = xr.Dataset({"diverging": xr.zeros_like(posterior["sigma"], dtype=bool)})
    tree = xr.DataTree.from_dict({"/posterior": posterior, "/sample_stats": stats})
    tree.attrs = {"seed": seed, "chains": CHAINS, "seconds": 0.1, "pymc_version": pm.__version__}
    return bm.Fit(spec, panel, tree, bm.diagnose(tree))


@pytest.fixture
def quick_fit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bm.Fit]:
    """Put the stand-in in the place of `bayes_mkt.fit`."""
    monkeypatch.setattr(bm, "fit", prior_fit)
    return prior_fit
