"""Adstock: how the effect of one week's media is spread over the weeks that follow. No priors.

An adstock turns lagged exposure into carried exposure,

    a_t = sum_{l=0}^{max_lag} w_l x_{t-l},      sum_l w_l = 1,

so that a steady exposure of x is carried as x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.special import softmax

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

TINY = 1e-12


@dataclass(frozen=True)
class GeometricAdstock:
    """Geometric decay, w_l proportional to alpha^l (Jin et al. 2017, eq. 1).

    Parameters
    ----------
    max_lag
        Last period with an effect, >= 0; `max_lag + 1` weights.

    Notes
    -----
    Parameter `adstock_alpha` (channel): the share of an effect kept from one period to the
    next, in [0, 1). Half-life in periods: log(1/2) / log(alpha).

    Examples
    --------
    >>> GeometricAdstock(max_lag=2).weights({"adstock_alpha": [0.5]}).eval().round(3).tolist()
    [[0.571, 0.286, 0.143]]
    """

    max_lag: int = 8

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {"adstock_alpha": Prior("Uniform", lower=0.0, upper=1.0)}
    )

    def __post_init__(self) -> None:
        _check_lag(self.max_lag)

    def weights(self, parameters: Mapping[str, Any]) -> Any:
        """Return the weights (channel, lag); each row sums to one."""
        alpha = pt.as_tensor(parameters["adstock_alpha"])
        powers = alpha[:, None] ** pt.arange(self.max_lag + 1, dtype=alpha.dtype)
        return powers / powers.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class DelayedAdstock:
    """Decay around a later peak, w_l proportional to alpha^((l - d)^2) (Jin et al. 2017, eq. 2).

    Parameters
    ----------
    max_lag
        Last period with an effect, >= 0; `max_lag + 1` weights.

    Notes
    -----
    Parameters `adstock_alpha` (channel), in [0, 1): small where the effect lies close around its
    peak; and `adstock_delay` (channel), d, the lag of the peak in periods, uniform from 0 to
    `max_lag` if no other prior is given.

    Examples
    --------
    >>> DelayedAdstock(2).weights({"adstock_alpha": [0.5], "adstock_delay": [1.0]}).eval().tolist()
    [[0.25, 0.5, 0.25]]
    """

    max_lag: int = 8

    def __post_init__(self) -> None:
        _check_lag(self.max_lag, least=1)

    @property
    def priors(self) -> Mapping[str, Prior]:
        """Return the default priors of the parameters."""
        alpha = Prior("Uniform", lower=0.0, upper=1.0)
        delay = Prior("Uniform", lower=0.0, upper=float(self.max_lag))
        return {"adstock_alpha": alpha, "adstock_delay": delay}

    def weights(self, parameters: Mapping[str, Any]) -> Any:
        """Return the weights (channel, lag); each row sums to one."""
        alpha, delay = (pt.as_tensor(parameters[name])[:, None] for name in self.priors)
        # Near zero, where the logarithm has no bound, no weight but the largest is left anyway.
        return _shares(pt.log(pt.maximum(alpha, TINY)) * (_lags(self.max_lag) - delay) ** 2)


@dataclass(frozen=True)
class BinomialAdstock:
    """Decay that ends, w_l proportional to (1 - l / (max_lag + 1))^(1 / alpha - 1), as in Meridian.

    Above alpha = 1/2 the weights fall slowly at first and fast towards the last lag; a geometric
    decay never does.

    Parameters
    ----------
    max_lag
        Last period with an effect, >= 0; `max_lag + 1` weights.

    Notes
    -----
    Parameter `adstock_alpha` (channel), in (0, 1]: 1/2 is a straight line down, 1 is the same
    weight for all lags.

    Examples
    --------
    >>> BinomialAdstock(max_lag=1).weights({"adstock_alpha": [0.5]}).eval().round(3).tolist()
    [[0.667, 0.333]]
    """

    max_lag: int = 8

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {"adstock_alpha": Prior("Uniform", lower=0.0, upper=1.0)}
    )

    def __post_init__(self) -> None:
        _check_lag(self.max_lag)

    def weights(self, parameters: Mapping[str, Any]) -> Any:
        """Return the weights (channel, lag); each row sums to one."""
        alpha = pt.maximum(pt.as_tensor(parameters["adstock_alpha"]), TINY)[:, None]
        left = 1.0 - _lags(self.max_lag) / (self.max_lag + 1.0)
        return _shares((1.0 / alpha - 1.0) * np.log(left))


@dataclass(frozen=True)
class _Weibull:
    """What both forms with a Weibull distribution share: lags, shape and scale."""

    max_lag: int = 8

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {
            "adstock_shape": Prior("LogNormal", mu=0.0, sigma=0.5),
            "adstock_scale": Prior("LogNormal", mu=0.7, sigma=0.7),
        }
    )

    def __post_init__(self) -> None:
        _check_lag(self.max_lag)


@dataclass(frozen=True)
class WeibullPDFAdstock(_Weibull):
    """Density of a Weibull distribution, w_l proportional to f(l + 1), f with shape k and scale s.

    f(u) = (k / s) (u / s)^(k - 1) exp(-(u / s)^k): a shape above 1 has a delayed peak, one of 1
    or less decays from the first period. As in Robyn and pymc-marketing, but for their first
    stretching the densities to between 0 and 1, by which the smallest weight is zero.

    Parameters
    ----------
    max_lag
        Last period with an effect, >= 0; `max_lag + 1` weights.

    Notes
    -----
    Parameters `adstock_shape` and `adstock_scale` (channel), the scale in periods.

    Examples
    --------
    >>> values = {"adstock_shape": [1.0], "adstock_scale": [1.0]}
    >>> WeibullPDFAdstock(max_lag=1).weights(values).eval().round(3).tolist()
    [[0.731, 0.269]]
    """

    def weights(self, parameters: Mapping[str, Any]) -> Any:
        """Return the weights (channel, lag); each row sums to one."""
        shape, scale = (pt.as_tensor(parameters[name])[:, None] for name in self.priors)
        log_age = np.log(_lags(self.max_lag) + 1.0) - pt.log(scale)
        return _shares((shape - 1.0) * log_age - pt.exp(shape * log_age))


@dataclass(frozen=True)
class WeibullCDFAdstock(_Weibull):
    """Retention that changes with age, w_l proportional to prod_{u=1..l} (1 - F(u)), F as below.

    F(u) = 1 - exp(-(u / s)^k) is the Weibull distribution's, so that from period u - 1 to the next
    the share exp(-(u / s)^k) of an effect is kept (Robyn's "Weibull CDF").

    Parameters
    ----------
    max_lag
        Last period with an effect, >= 0; `max_lag + 1` weights.

    Notes
    -----
    Parameters `adstock_shape` and `adstock_scale` (channel), the scale in periods.

    Examples
    --------
    >>> values = {"adstock_shape": [1.0], "adstock_scale": [1.0]}
    >>> WeibullCDFAdstock(max_lag=1).weights(values).eval().round(3).tolist()
    [[0.731, 0.269]]
    """

    def weights(self, parameters: Mapping[str, Any]) -> Any:
        """Return the weights (channel, lag); each row sums to one."""
        shape, scale = (pt.as_tensor(parameters[name])[:, None] for name in self.priors)
        ages = _lags(self.max_lag)[1:]
        lost = pt.cumsum(pt.exp(shape * (np.log(ages) - pt.log(scale))), axis=1)
        return _shares(pt.concatenate([pt.zeros_like(shape), -lost], axis=1))


@dataclass(frozen=True)
class NoAdstock:
    """No carry-over: an exposure acts in its own period only.

    Examples
    --------
    >>> NoAdstock().max_lag
    0
    """

    max_lag: ClassVar[int] = 0
    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType({})

    def weights(self, parameters: Mapping[str, Any]) -> Any:
        """Return the weight of the period itself, one, for any number of channels: (1, 1)."""
        return pt.ones((1, 1))


Adstock = (
    GeometricAdstock
    | DelayedAdstock
    | BinomialAdstock
    | WeibullPDFAdstock
    | WeibullCDFAdstock
    | NoAdstock
)


def _check_lag(max_lag: int, least: int = 0) -> None:
    if isinstance(max_lag, bool) or not isinstance(max_lag, int) or max_lag < least:
        raise SpecError(
            f"max_lag={max_lag!r} must be an integer >= {least} (in periods of the panel)."
        )


def _lags(max_lag: int) -> np.ndarray:
    return np.arange(max_lag + 1.0)


def _shares(log_weights: Any) -> Any:
    """Return weights that sum to one along lags, of their logarithms up to a constant."""
    return softmax(log_weights, axis=1)
