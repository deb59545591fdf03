"""Ratios of gamma functions that keep their digits where both are astronomically large."""

from __future__ import annotations

from typing import Any

import pytensor.tensor as pt

__all__ = ["log_rising"]

LARGE = 1000.0


def log_rising(y: Any, x: Any) -> Any:
    """Return ln G(y + x) - ln G(y), y > 0, x >= 0, to an error of 1e-11 or of x in 1e15.

    Of the difference of two huge logarithms no digit may be left: beyond y of 1e15 it can be of any
    size and sign. Above 1,000 it is taken from Stirling's series, whose first left-out term is
    below 1 / (360 y^3):

        (y - 1/2) ln(1 + x/y) + x ln(y + x) - x + 1 / (12 (y + x)) - 1 / (12 y).
    """
    high = pt.maximum(y, LARGE)  # keeps the branch that isn't used finite
    low = pt.minimum(y, LARGE)
    series = (high - 0.5) * pt.log1p(x / high) + x * pt.log(high + x) - x
    series = series + (1.0 / (high + x) - 1.0 / high) / 12.0
    return pt.switch(y > LARGE, series, pt.gammaln(low + x) - pt.gammaln(low))
