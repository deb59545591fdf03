"""Engagement that changes over time: what was known at the start of each interval, and no later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def active(customer: Array, day: Array, starts: Array, lookback: float, customers: int) -> Array:
    """Return whether customers engaged in the time before each interval starts.

    An event counts for an interval that starts at s if s - lookback < day <= s, the interval's
    first day at risk being s + 1: nothing that happens within an interval is known at its start.

    Parameters
    ----------
    customer, day
        Of each event: position of the customer, and days since the origin (event,).
    starts
        Days since the origin at which intervals start, ascending (interval,).
    lookback
        Days for which an event counts.
    customers
        Number of customers.

    Returns
    -------
    ndarray
        (customer, interval), boolean.

    Examples
    --------
    >>> active(np.array([0]), np.array([7.0]), np.array([0.0, 7.0, 14.0]), 7.0, 1)
    array([[False,  True, False]])
    >>> active(np.array([0]), np.array([8.0]), np.array([0.0, 7.0, 14.0]), 7.0, 1)
    array([[False, False,  True]])
    """
    first = np.searchsorted(starts, day, side="left")
    after = np.searchsorted(starts, day + lookback, side="left")
    change = np.zeros((customers, len(starts) + 1), dtype=np.int32)
    np.add.at(change, (customer, first), 1)
    np.add.at(change, (customer, after), -1)
    return np.asarray(change[:, :-1].cumsum(axis=1) > 0)


def stretches(flags: Sequence[Array], starts: Array, stop: Array) -> tuple[Array, Array, Array]:
    """Return the stretches of time over which no flag changes.

    Parameters
    ----------
    flags
        Each (customer, interval).
    starts
        Of the intervals.
    stop
        Where each customer's spell ends (customer,).

    Returns
    -------
    customer, interval, end
        Of each stretch: whose it is, the interval with which it begins, and where it ends.
    """
    changed = np.zeros((len(stop), len(starts)), dtype=bool)
    changed[:, 0] = True
    for flag in flags:
        changed[:, 1:] |= flag[:, 1:] != flag[:, :-1]
    changed[:, 1:] &= starts[None, 1:] < stop[:, None]
    customer, interval = np.nonzero(changed)
    end = stop[customer].astype(float)
    inner = customer[1:] == customer[:-1]
    end[:-1][inner] = starts[interval[1:]][inner]
    return customer, interval, end
