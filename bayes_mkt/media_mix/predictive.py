"""Prior and posterior predictive sales, in the panel's units."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pymc as pm
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import CHANNEL, DATE, REGION, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, Spec, usable
from bayes_mkt.media_mix.estimand import Estimand
from bayes_mkt.media_mix.panel import MediaPanel

# Forward draws are few and cheap: compiling them costs more than it saves.
PRIOR_DRAWS = 4000
COMPILE = {"mode": "FAST_COMPILE"}


def prior_predictive(spec: Spec, data: MediaPanel, *, seed: int, draws: int = 500) -> xr.DataTree:
    """Return sales drawn from the model before it has seen any.

    Parameters
    ----------
    spec, data
        As for `fit`; the sales of `data` are used for scaling only.
    seed
        Integer.
    draws
        Number of draws, >= 1, in one chain.

    Returns
    -------
    DataTree
        Groups `prior` (parameters) and `prior_predictive` (`sales`, dims ``chain, draw, region,
        date``, NaN where sales are not observed).
    """
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise SpecError(f"draws={draws!r} must be an integer >= 1.")
    model = spec.build(data)
    kept = [v.name for v in model.unobserved_RVs if v.name not in spec.on_demand]
    with model, _quiet():
        drawn = pm.sample_prior_predictive(
            draws=draws,
            var_names=[*kept, "sales"],
            random_seed=seeds.integer(seed, "prior predictive"),
            compile_kwargs=COMPILE,
        )
    sales = _on_grid(drawn["prior_predictive"]["sales"], data)
    groups = {"/prior": drawn["prior"].to_dataset(), "/prior_predictive": sales.to_dataset()}
    return _tree(groups, seed, {})


def posterior_predictive(fit: Fit, *, seed: int, allow_unconverged: bool = False) -> xr.DataTree:
    """Return sales drawn again from the fitted model, noise included.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    seed
        Integer.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataTree
        Group `posterior_predictive`: `sales`, dims ``chain, draw, region, date``, NaN where sales
        are not observed.
    """
    marks = usable(fit, allow_unconverged)
    model = fit.target.model
    free = fit.posterior[[rv.name for rv in model.free_RVs]]
    with model, _quiet():
        drawn = pm.sample_posterior_predictive(
            xr.DataTree.from_dict({"/posterior": free}),
            var_names=["sales"],
            random_seed=seeds.integer(seed, "posterior predictive"),
            progressbar=False,
            compile_kwargs=COMPILE,
        )
    sales = _on_grid(drawn["posterior_predictive"]["sales"], fit.data)
    return _tree({"/posterior_predictive": sales.to_dataset()}, seed, marks)


def roi_prior(fit: Fit, estimand: Estimand, posterior: xr.DataArray) -> xr.DataArray | None:
    """Return draws of the prior of ROI where the model has one for this very estimand.

    The model's prior is on the return of all spend in the panel, by channel.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question.
    posterior
        Its answer, with the channels that are shown.
    """
    spec = fit.spec
    if spec.media_prior != "roi" or spec.pooling == "none" or estimand != Estimand():
        return None
    with pm.Model(coords={CHANNEL: posterior[CHANNEL].to_numpy()}):
        variable = spec.prior("roi").variable("roi", dims=CHANNEL)
        seed = seeds.integer(fit.seed, "publish.roi_prior")
        values = pm.draw(variable, draws=PRIOR_DRAWS, random_seed=seed, mode="FAST_COMPILE")
    return xr.DataArray(
        np.asarray(values)[None],
        dims=(*SAMPLE, CHANNEL),
        coords={CHANNEL: posterior[CHANNEL]},
        name="roi",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyMC from printing which variables it samples; its warnings still show."""
    log = logging.getLogger("pymc.sampling.forward")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def _on_grid(drawn: xr.DataArray, panel: MediaPanel) -> xr.DataArray:
    """Return predicted sales as (chain, draw, region, date)."""
    ordered = drawn.transpose(*SAMPLE, ...).to_numpy()
    seen = panel.observed.to_numpy()
    values = np.full((*ordered.shape[:2], *seen.shape), np.nan)
    values[:, :, seen] = ordered[:, :, seen] if ordered.ndim == 4 else ordered
    coords = {
        **{d: drawn[d] for d in SAMPLE},
        **{d: panel.data[d] for d in (REGION, DATE)},
    }
    units = panel.data["sales"].attrs["units"]
    return xr.DataArray(
        values, coords=coords, dims=(*SAMPLE, REGION, DATE), name="sales", attrs={"units": units}
    )


def _tree(groups: dict[str, xr.Dataset], seed: int, marks: dict[str, str]) -> xr.DataTree:
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"seed": seed, **marks}
    return tree
