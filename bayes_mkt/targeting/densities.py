"""Log-densities of sums over equal customers, for PyMC's `CustomDist`, and draws of the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any


def binomial(value: Tensor, logit: Tensor, n: Tensor, constant: Tensor) -> Tensor:
    """Return the log-probability of `value` of n successes; `constant` is log (n choose value)."""
    return constant + value * logit - n * pt.softplus(logit)


def draw_binomial(
    logit: Any, n: Any, constant: Any, rng: Any = None, size: Any = None
) -> np.ndarray:
    """Return successes."""
    chance = 1.0 / (1.0 + np.exp(-np.asarray(logit)))
    return np.asarray(rng.binomial(np.asarray(n).astype(int), chance, size=size), dtype=float)


def gamma(total: Tensor, location: Tensor, shape: Tensor, n: Tensor, log_total: Tensor) -> Tensor:
    """Return the log-density of n gamma variables of mean exp(location), given their sums."""
    fixed = shape * (pt.log(shape) - location) - pt.gammaln(shape)
    return n * fixed + (shape - 1) * log_total - shape * total * pt.exp(-location)


def lognormal(
    log_total: Tensor, location: Tensor, sigma: Tensor, n: Tensor, squares: Tensor
) -> Tensor:
    """Return the log-density of n log-normal variables, given the sums of their logs."""
    errors = squares - 2 * location * log_total + n * location**2
    return -n * (pt.log(sigma) + 0.5 * np.log(2 * np.pi)) - log_total - errors / (2 * sigma**2)


def score(value: Tensor, step: Tensor, curvature: Tensor) -> Tensor:
    """Return the log-density of a score, N(curvature step, curvature), up to a constant in `step`.

    As a function of `step`, coefficients less those at which the score was taken, it is the
    second-order expansion of a log-likelihood with this score and curvature.
    """
    return pt.dot(value, step) - pt.dot(step, pt.dot(curvature, step)) / 2


def draw_score(step: Any, curvature: Any, rng: Any = None, size: Any = None) -> np.ndarray:
    """Return a score."""
    return np.asarray(rng.multivariate_normal(np.dot(curvature, step), curvature, size=size))


def draw_gamma(
    location: Any, shape: Any, n: Any, log_total: Any, rng: Any = None, size: Any = None
) -> np.ndarray:
    """Return the sum of n gamma variables."""
    return np.asarray(rng.gamma(shape * n, np.exp(location) / shape, size=size))


def draw_lognormal(
    location: Any, sigma: Any, n: Any, squares: Any, rng: Any = None, size: Any = None
) -> np.ndarray:
    """Return the sum of the logs of n log-normal variables."""
    return np.asarray(rng.normal(n * location, np.sqrt(n) * sigma, size=size))
