"""Intervals on which a baseline hazard is constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.errors import SpecError

Array = NDArray[Any]
COUNT = 24


def interval_ends(
    intervals: float | Sequence[float] | None, longest: float, resolution: float
) -> Array:
    """Return the ends of intervals that reach at least to `longest`, or the ends given.

    Parameters
    ----------
    intervals
        Length of each, or ascending ends; None takes about 24 of equal length.
    longest
        The longest time to reach.
    resolution
        Of times; lengths taken by default are multiples of it.

    Raises
    ------
    SpecError
        For lengths or ends that aren't ascending and > 0.

    Examples
    --------
    >>> interval_ends(7, 30, 1)
    array([ 7., 14., 21., 28., 35.])
    """
    step = resolution or longest / COUNT
    if intervals is None:
        intervals = max(float(np.ceil(longest / COUNT / step - 1e-9)), 1.0) * step
    if isinstance(intervals, str):
        raise SpecError(f"intervals={intervals!r} must be a length, or ascending ends.")
    given = np.asarray(intervals, dtype=float)
    if given.ndim == 0:
        if not given > 0:
            raise SpecError(f"intervals={intervals!r} must be > 0.")
        count = max(int(np.ceil(longest / given - 1e-9)), 1)
        return np.asarray(given * np.arange(1, count + 1))
    if given.ndim != 1 or not len(given) or given[0] <= 0 or np.any(np.diff(given) <= 0):
        raise SpecError(f"intervals={intervals!r} must be ascending ends > 0.")
    return given
