"""Log-densities of SciPy under the names and parameters that priors have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

import bayes_mkt as bm

Array = np.ndarray

LOG_DENSITY: Mapping[str, Callable[..., Array]] = {
    "Beta": lambda x, alpha, beta: stats.beta.logpdf(x, alpha, beta),
    "Exponential": lambda x, lam: stats.expon.logpdf(x, scale=1 / lam),
    "Gamma": lambda x, alpha, beta: stats.gamma.logpdf(x, alpha, scale=1 / beta),
    "HalfCauchy": lambda x, beta: stats.halfcauchy.logpdf(x, scale=beta),
    "HalfNormal": lambda x, sigma: stats.halfnorm.logpdf(x, scale=sigma),
    "HalfStudentT": lambda x, nu, sigma: np.log(2) + stats.t.logpdf(x, nu, scale=sigma),
    "LogNormal": lambda x, mu, sigma: stats.lognorm.logpdf(x, s=sigma, scale=np.exp(mu)),
    "Normal": lambda x, mu, sigma: stats.norm.logpdf(x, mu, sigma),
    "StudentT": lambda x, nu, mu, sigma: stats.t.logpdf(x, nu, loc=mu, scale=sigma),
    "TruncatedNormal": lambda x, mu, sigma, lower, upper: stats.truncnorm.logpdf(
        x, (lower - mu) / sigma, (upper - mu) / sigma, loc=mu, scale=sigma
    ),
    "Uniform": lambda x, lower, upper: stats.uniform.logpdf(x, lower, upper - lower),
}


def log_density(prior: bm.Prior, x: Array) -> Array:
    """Return the log-density of each entry of `x`."""
    parameters = {name: np.asarray(value) for name, value in prior.parameters}
    return LOG_DENSITY[prior.dist](x, **parameters)
