"""Saturation: diminishing returns of carried exposure. No coefficients: curves rise to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

HALF = Prior("TruncatedNormal", mu=0.8, sigma=0.8, lower=0.1, upper=10.0)


@dataclass(frozen=True)
class HillSaturation:
    """Hill curve, h(x) = x^s / (x^s + k^s), k the half-saturation, s the slope (Jin et al. 2017).

    With the default slope it is the Michaelis-Menten curve, x / (x + k).

    Parameters
    ----------
    slope
        Fixed slope s > 0; the default 1 gives a concave curve. `None` estimates a slope for
        each channel: above 1 the curve is S-shaped, which data seldom show.

    Notes
    -----
    Parameters `half_saturation` (channel), the exposure with half the full effect, in units of
    the median of the channel's non-zero exposure per head; and `slope` (channel) where estimated.

    Examples
    --------
    >>> HillSaturation().curve(2.0, {"half_saturation": 2.0}).eval().item()
    0.5
    """

    slope: float | None = 1.0

    def __post_init__(self) -> None:
        if self.slope is not None and not self.slope > 0:
            raise SpecError(f"slope={self.slope!r} must be > 0, or None to estimate it.")

    @property
    def priors(self) -> Mapping[str, Prior]:
        """Return the default priors of the parameters."""
        slope = {} if self.slope is not None else {"slope": Prior("LogNormal", mu=0.0, sigma=0.4)}
        return {"half_saturation": HALF, **slope}

    def curve(self, x: Any, parameters: Mapping[str, Any]) -> Any:
        """Return h(x), in [0, 1), for x >= 0; parameters broadcast against x."""
        half = parameters["half_saturation"]
        if self.slope == 1.0:
            return pt.as_tensor(x) / (x + half)
        slope = parameters["slope"] if self.slope is None else self.slope
        ratio = _power(pt.as_tensor(x) / half, slope)
        return ratio / (1.0 + ratio)


class _ByHalfSaturation:
    """Curves with one parameter, `half_saturation`: the exposure with half the full effect."""

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType({"half_saturation": HALF})


@dataclass(frozen=True)
class ExponentialSaturation(_ByHalfSaturation):
    """Exponential approach, h(x) = 1 - 2^(-x / k) = 1 - exp(-lambda x), lambda = log(2) / k.

    Notes
    -----
    Parameter `half_saturation` (channel), k, in units of the median of the channel's non-zero
    exposure per head.

    Examples
    --------
    >>> ExponentialSaturation().curve(2.0, {"half_saturation": 1.0}).eval().round(3).item()
    0.75
    """

    def curve(self, x: Any, parameters: Mapping[str, Any]) -> Any:
        """Return h(x), in [0, 1), for x >= 0; parameters broadcast against x."""
        return -pt.expm1(-np.log(2.0) * pt.as_tensor(x) / parameters["half_saturation"])


@dataclass(frozen=True)
class LogisticSaturation(_ByHalfSaturation):
    """Logistic curve, h(x) = (1 - exp(-lambda x)) / (1 + exp(-lambda x)), lambda = log(3) / k.

    It equals tanh(lambda x / 2), so that with the half-saturation as parameter the tanh curve of
    other packages, tanh(x / c) with c = 2 / lambda, is this one. Compared with the Hill curve of
    equal half-saturation it is straighter at first and sooner full.

    Notes
    -----
    Parameter `half_saturation` (channel), k, in units of the median of the channel's non-zero
    exposure per head.

    Examples
    --------
    >>> LogisticSaturation().curve(2.0, {"half_saturation": 1.0}).eval().round(3).item()
    0.8
    """

    def curve(self, x: Any, parameters: Mapping[str, Any]) -> Any:
        """Return h(x), in [0, 1), for x >= 0; parameters broadcast against x."""
        return pt.tanh(0.5 * np.log(3.0) * pt.as_tensor(x) / parameters["half_saturation"])


@dataclass(frozen=True)
class PowerSaturation:
    """Power law, h(x) = x^q with 0 < q < 1: returns diminish, but the effect has no bound.

    Notes
    -----
    Parameter `exponent` (channel), q: the percentage by which the effect grows for each percent
    of exposure. A coefficient is then the effect at an exposure of 1.

    Examples
    --------
    >>> PowerSaturation().curve(4.0, {"exponent": 0.5}).eval().item()
    2.0
    """

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {"exponent": Prior("Beta", alpha=3.0, beta=3.0)}
    )

    def curve(self, x: Any, parameters: Mapping[str, Any]) -> Any:
        """Return h(x) for x >= 0; parameters broadcast against x."""
        return _power(x, parameters["exponent"])


@dataclass(frozen=True)
class NoSaturation:
    """A straight line, h(x) = x: every unit of exposure does as much as the first.

    Examples
    --------
    >>> NoSaturation().curve(2.0, {}).eval().item()
    2.0
    """

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType({})

    def curve(self, x: Any, parameters: Mapping[str, Any]) -> Any:
        """Return x."""
        return pt.as_tensor(x)


Saturation = (
    HillSaturation | ExponentialSaturation | LogisticSaturation | PowerSaturation | NoSaturation
)


def _power(x: Any, exponent: Any) -> Any:
    """Return x^exponent, and zero with derivatives of zero where x is."""
    # There the power's own derivatives are 0 * log 0 in the exponent, and infinite in x below 1.
    positive = pt.gt(x, 0)
    return pt.switch(positive, pt.switch(positive, x, 1.0) ** exponent, 0.0)
