"""How much a posterior is its prior's: what the data took away, and what a stronger prior moves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pymc as pm
from arviz_stats.base import array_stats

from bayes_mkt.dims import SAMPLE
from bayes_mkt.fit import Fit
from bayes_mkt.priors import Prior

POWERS = (0.8, 1.25)


def contraction(fit: Fit) -> Iterator[tuple[str, str, float]]:
    """Yield variable, label and what the data took of the prior's variance.

        1 - Var(log posterior) / Var(log prior),

    for ROI or whatever else media have their prior on, without the logarithms where the prior
    reaches below zero.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    """
    for name, label, place, draws in _entries(fit):
        prior = fit.spec.prior(name)
        before = np.broadcast_to(prior.variance(log=prior.positive), place[1])[place[0]]
        after = (np.log(draws) if prior.positive else draws).var()
        yield name, label, float(1.0 - after / before)


def scaling(fit: Fit) -> Iterator[tuple[str, str, float]]:
    """Yield variable, label and power-scaling sensitivity of what media have a prior on.

    Each entry's own prior is raised to the powers 0.8 and 1.25, the draws weighted accordingly
    (PSIS), and the change of the entry's distribution told as `sensitivity` does.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    """
    for name, label, place, draws in _entries(fit):
        density = log_density(fit.spec.prior(name), draws, place)
        yield name, label, sensitivity(draws, density)


def sensitivity(draws: np.ndarray, log_prior: np.ndarray) -> float:
    """Return how fast the distribution of draws changes with the power of the prior.

        ( D(0.8) / -log2(0.8) + D(1.25) / log2(1.25) ) / 2,

    D(a) the cumulative Jensen-Shannon distance between the draws and the draws with weights
    prior^(a - 1). Above 0.05 the prior counts as informative.

    Parameters
    ----------
    draws, log_prior
        (chain, draw): the quantity, and the logarithm of the prior's density.

    References
    ----------
    Kallioinen, Paananen, Burkner, Vehtari (2024), Detecting and diagnosing prior and likelihood
    sensitivity with power-scaling, Statistics and Computing 34.
    """
    if np.ptp(log_prior) < 1e-9:
        return 0.0  # a flat prior has no power
    low, high = POWERS
    weaker, stronger = (
        np.exp(array_stats.power_scale_lw(log_prior, alpha=power, axis=(-2, -1)))
        for power in POWERS
    )
    weaker, stronger = weaker / weaker.sum(), stronger / stronger.sum()
    return float(array_stats.power_scale_sense(draws, weaker, stronger, low, high))


def log_density(
    prior: Prior, values: np.ndarray, place: tuple[tuple[int, ...], tuple[int, ...]]
) -> np.ndarray:
    """Return the log-density of one entry's prior at values.

    Parameters
    ----------
    prior
        With a number for all entries, or one for each along their last dim.
    values
        Of any shape.
    place
        Where the entry stands, and the shape of all.
    """
    where, shape = place
    arguments = {
        name: np.broadcast_to(np.asarray(value, dtype=float), shape)[where]
        for name, value in prior.parameters
    }
    return np.asarray(pm.logp(getattr(pm, prior.dist).dist(**arguments), values).eval())


Place = tuple[tuple[int, ...], tuple[int, ...]]


def _entries(fit: Fit) -> Iterator[tuple[str, str, Place, np.ndarray]]:
    """Yield variable, label, place among all entries and draws (chain, draw) of each entry."""
    for name in dict.fromkeys([fit.spec.media_prior, fit.spec.unpaid_prior, "treatment_share"]):
        if name not in fit.posterior:
            continue
        values = fit.posterior[name].transpose(*SAMPLE, ...)
        dims = [d for d in values.dims if d not in SAMPLE]
        shape = tuple(values.sizes[d] for d in dims)
        array = values.to_numpy()
        for where in np.ndindex(shape):
            labels = [str(values[d].values[i]) for d, i in zip(dims, where, strict=True)]
            yield name, " ".join(labels), (where, shape), array[(..., *where)]
