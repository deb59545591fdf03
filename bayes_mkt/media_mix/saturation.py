"""Saturation: diminishing returns of carried exposure. No coefficients: curves rise to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior


@dataclass(frozen=True)
class HillSaturation:
    """Hill curve, h(x) = x^s / (x^s + k^s), k the half-saturation, s the slope (Jin et al. 2017).

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
        half = Prior("TruncatedNormal", mu=0.8, sigma=0.8, lower=0.1, upper=10.0)
        slope = {} if self.slope is not None else {"slope": Prior("LogNormal", mu=0.0, sigma=0.4)}
        return {"half_saturation": half, **slope}

    def curve(self, x: Any, parameters: Mapping[str, Any]) -> Any:
        """Return h(x), in [0, 1), for x >= 0; parameters broadcast against x."""
        half = parameters["half_saturation"]
        if self.slope == 1.0:
            return pt.as_tensor(x) / (x + half)
        slope = parameters["slope"] if self.slope is None else self.slope
        # At x = 0 the power's derivative in the slope is 0 * log 0: kept away from it.
        positive = pt.gt(x, 0)
        ratio = (pt.switch(positive, x, 1.0) / half) ** slope
        return pt.switch(positive, ratio / (1.0 + ratio), 0.0)


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


Saturation = HillSaturation | NoSaturation
