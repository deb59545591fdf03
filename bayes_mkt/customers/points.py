"""Times as places in the intervals of a piecewise constant hazard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Points:
    """Times, each as an interval and the share of it that has passed.

    Attributes
    ----------
    piece
        Position of the interval (n,); a time at an interval's end belongs to it.
    part
        Share of the interval that has passed, in [0, 1] (n,).
    """

    piece: Array
    part: Array


def locate(cuts: Array, times: Array) -> Points:
    """Return where `times` lie among intervals that end at `cuts`.

    Examples
    --------
    >>> found = locate(np.array([7.0, 14.0]), np.array([0.0, 7.0, 8.0, 14.0]))
    >>> found.piece
    array([0, 0, 1, 1])
    >>> found.part[[0, 1, 3]]
    array([0., 1., 1.])
    """
    starts = np.concatenate([[0.0], cuts[:-1]])
    piece = np.minimum(np.searchsorted(cuts, times - 1e-9), len(cuts) - 1)
    return Points(piece, (times - starts[piece]) / (cuts - starts)[piece])
