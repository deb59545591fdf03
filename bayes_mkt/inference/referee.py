"""PyMC's own NUTS as an outside referee: no line of it is ours."""

from __future__ import annotations

import pymc as pm
import xarray as xr

from bayes_mkt.seeds import integer


def sample_pymc(
    model: pm.Model,
    *,
    seed: int,
    chains: int,
    draws: int,
    warmup: int,
    target_accept: float,
    var_names: list[str],
    progress: bool,
) -> xr.DataTree:
    """Return draws of `model` by `pymc.sample`, with all its defaults but the given sizes."""
    # Only NUTS has a target, and PyMC refuses options for a step that it doesn't take.
    nuts = any(rv.dtype.startswith("float") for rv in model.free_RVs)
    options = {"target_accept": target_accept} if nuts else {}
    drawn: xr.DataTree = pm.sample(
        model=model,
        draws=draws,
        tune=warmup,
        chains=chains,
        cores=1,
        random_seed=integer(seed, "referee"),
        var_names=var_names,
        progressbar=progress,
        compute_convergence_checks=False,
        **options,
    )
    drawn.attrs["free_variables"] = [rv.name for rv in model.free_RVs if rv.name in var_names]
    return drawn
