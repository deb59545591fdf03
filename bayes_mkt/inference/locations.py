"""Where a prior has an effect on the scale on which it is sampled, and how widely; graphs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.transforms import LogOddsTransform, LogTransform

# A PyTensor variable; PyTensor's own types are too partial to help.
Graph = Any
Place = tuple[Graph, Graph]
# Mean and SD of the logarithm of a standard exponential and of a standard half-normal variable.
EXPONENTIAL = (-float(np.euler_gamma), float(np.pi / np.sqrt(6.0)))
HALF_NORMAL = (-0.5 * float(np.euler_gamma + np.log(2.0)), float(np.pi / np.sqrt(8.0)))


def _log_gamma(shape: Graph) -> Place:
    """Return mean and variance of the logarithm of a gamma variable of scale one, about."""
    # A square of a small integer would overflow its type.
    return pt.log(shape) - 0.5 / shape, (1.0 + 0.5 / shape) / shape


def _gamma(shape: Graph, scale: Graph) -> Place:
    mean, variance = _log_gamma(shape)
    return mean + pt.log(scale), pt.sqrt(variance)


def _inverse_gamma(shape: Graph, scale: Graph) -> Place:
    mean, variance = _log_gamma(shape)
    return pt.log(scale) - mean, pt.sqrt(variance)


def _beta(alpha: Graph, beta: Graph) -> Place:
    # The odds are those of two gamma variables.
    (first, some), (second, more) = _log_gamma(alpha), _log_gamma(beta)
    return first - second, pt.sqrt(some + more)


def _weibull(shape: Graph, scale: Graph) -> Place:
    return pt.log(scale) + EXPONENTIAL[0] / shape, EXPONENTIAL[1] / shape


def _same(mean: Graph, spread: Graph) -> Place:
    return mean, spread


# By the name of the random variable and its transform: from its parameters.
_PLACES: dict[tuple[str, type | None], Callable[..., Place]] = {
    ("NormalRV", None): _same,
    ("StudentTRV", None): lambda degrees, mean, spread: (mean, spread),
    ("LaplaceRV", None): _same,
    ("LogisticRV", None): _same,
    ("CauchyRV", None): _same,
    ("LogNormalRV", LogTransform): _same,
    ("GammaRV", LogTransform): _gamma,
    ("InvGammaRV", LogTransform): _inverse_gamma,
    ("WeibullBetaRV", LogTransform): _weibull,
    ("ExponentialRV", LogTransform): lambda scale: _weibull(pt.ones(()), scale),
    ("HalfNormalRV", LogTransform): lambda least, scale: (
        pt.log(scale) + HALF_NORMAL[0],
        pt.constant(HALF_NORMAL[1]),
    ),
    ("BetaRV", LogOddsTransform): _beta,
}


def place_of(rv: Graph, transform: Any) -> Place | None:
    """Return location and spread of a variable's entries as they are sampled, or None.

    Of a normal prior they are its mean and SD; of others with a location and a scale, these; of
    positive variables and shares, mean and SD of the logarithm or of the log-odds, in which the
    digamma function is log x - 1 / 2x and the trigamma function 1 / x + 1 / 2x^2.

    Parameters
    ----------
    rv
        A random variable of a PyMC model.
    transform
        Its transform, or None.
    """
    key = type(rv.owner.op).__name__, None if transform is None else type(transform)
    place = _PLACES.get(key)
    return None if place is None else place(*rv.owner.op.dist_params(rv.owner))
