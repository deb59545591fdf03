"""What condensing the histories did to a fit: its log-likelihood against that of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_mkt.customers.asked import purchase_model, spend_model, thinned
from bayes_mkt.customers.lifetime import Lifetime
from bayes_mkt.dims import SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit

__all__ = ["condensing_error", "exact"]


def condensing_error(fit: Fit, *, draws: int = 100) -> xr.DataArray:
    """Return how far the log-likelihood that was fitted is from that of all histories, by draw.

    Differences of log-likelihoods are what a posterior is made of, so the mean difference is taken
    off. Where the rest stays well below 1 nat, the posterior is that of all histories for every
    purpose: weights exp(difference) would be as good as equal.

    Parameters
    ----------
    fit
        A fitted `Lifetime` or model of purchases, with ``condense=``.
    draws
        About how many draws to look at, evenly spaced.

    Returns
    -------
    DataArray
        Dims ``chain, draw``, in nats; attrs `largest` (absolute), `sd`, and `effective`, the share
        of draws that weights exp(difference) would leave, (SUM w)^2 / (n SUM w^2).

    Raises
    ------
    SpecError
        If nothing in the fit was condensed.
    """
    if exact(fit.spec) == fit.spec:
        raise SpecError("Nothing was condensed: the model was fitted to every distinct history.")
    posterior = thinned(fit.posterior, draws)
    names, held = ["purchase_log_likelihood"], list(purchase_model(fit).parameters)
    spend = spend_model(fit)
    if spend is not None:
        names.append("spend_log_likelihood")
        held += spend.parameters
    whole = Fit(exact(fit.spec), fit.data, fit.draws, fit.diagnostics)
    found = [_summed(one, posterior, names, held) for one in (fit, whole)]
    apart = found[1] - found[0]
    apart = apart - apart.mean()
    weights = np.exp(apart - apart.max())
    sizes = tuple(posterior.sizes[d] for d in SAMPLE)
    out = xr.DataArray(apart.reshape(sizes), dims=SAMPLE, coords={d: posterior[d] for d in SAMPLE})
    return out.rename("condensing_error").assign_attrs(
        units="nats",
        largest=float(np.abs(apart).max()),
        sd=float(apart.std()),
        effective=float(weights.sum() ** 2 / (apart.size * (weights**2).sum())),
    )


def exact(spec: Any) -> Any:
    """Return the same specification, of every distinct history."""
    if isinstance(spec, Lifetime):
        parts = {"purchases": exact(spec.purchases)}
        if spec.spend is not None:
            parts["spend"] = exact(spec.spend)
        return replace(spec, **parts)
    return replace(spec, condense=None)


def _summed(fit: Fit, posterior: xr.Dataset, names: list[str], held: list[str]) -> Any:
    """Return the summed log-likelihoods of each draw."""
    parts = [
        np.sum([result[name] for name in names], axis=0)
        for _, (result,) in fit.target.evaluate(posterior, names, hold=held, memory=2**10)
    ]
    return np.concatenate(parts)
