"""Which campaigns fall within one period of contact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.errors import SpecError

__all__ = ["days_of", "windows_of"]

Array = NDArray[Any]


def days_of(per: str) -> int:
    """Return a period of whole days as their number.

    Raises
    ------
    SpecError
        If it isn't one.

    Examples
    --------
    >>> days_of("7D")
    7
    """
    try:
        days = pd.Timedelta(per) / pd.Timedelta("1D")
    except ValueError:
        days = 0.0
    if days < 1 or days != int(days):
        raise SpecError(f"per={per!r} is no number of days. Give one such as '7D'.")
    return int(days)


def windows_of(days: Array, length: int) -> list[Array]:
    """Return the campaigns that lie within `length` days of each other, largest groups only.

    Examples
    --------
    >>> [window.tolist() for window in windows_of(np.array([0, 3, 6, 9, 30]), 7)]
    [[0, 1, 2], [1, 2, 3], [4]]
    """
    found: list[Array] = []
    for first in np.unique(days):
        inside = np.flatnonzero((days >= first) & (days < first + length))
        if not any(np.isin(inside, other).all() for other in found):
            found.append(inside)
    return found
