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

import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior


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


Adstock = GeometricAdstock | NoAdstock


def _check_lag(max_lag: int) -> None:
    if isinstance(max_lag, bool) or not isinstance(max_lag, int) or max_lag < 0:
        raise SpecError(f"max_lag={max_lag!r} must be an integer >= 0 (in periods of the panel).")
