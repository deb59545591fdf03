"""Evenly spaced dates: which step they keep, and where they don't."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.frames import counted, listed

__all__ = ["find_period"]

Array = NDArray[Any]


def find_period(dates: Array) -> tuple[str | None, str | None]:
    """Return the step of sorted, distinct days as a pandas offset, or what breaks it.

    Days and weeks give multiples of ``"D"`` (``"1D"``, ``"7D"``); calendar months,
    quarters and years give multiples of ``"MS"`` where every date is the first of a
    month, of ``"ME"`` where every date is the last (``"MS"``, ``"3MS"``, ``"12ME"``).

    Parameters
    ----------
    dates
        Days as datetime64 (n_dates), two or more, ascending and distinct.

    Returns
    -------
    tuple
        ``(period, None)``, or ``(None, problem)`` where problem is a predicate and a remedy.

    Examples
    --------
    >>> find_period(np.array(["2024-01-01", "2024-01-08", "2024-01-15"], "datetime64[D]"))
    ('7D', None)
    >>> find_period(np.array(["2024-01-31", "2024-02-29", "2024-03-31"], "datetime64[D]"))
    ('ME', None)
    """
    days = np.asarray(dates).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    of_month = (days - months.astype("datetime64[D]")).astype(int)
    next_month = months + np.timedelta64(1, "M")
    last = next_month.astype("datetime64[D]") - np.timedelta64(1, "D")
    if np.all(of_month == 0):
        return _step(days, np.diff(months.astype(int)), "month", "MS")
    if np.all(days == last):
        return _step(days, np.diff(months.astype(int)), "month", "ME")
    steps = np.diff(days.astype(int))
    if len(days) > 2 and np.all(of_month == of_month[0]) and np.any(steps != steps[0]):
        return None, (
            f"falls on day {of_month[0] + 1} of the month throughout. Give monthly data "
            "the first or the last day of each month."
        )
    return _step(days, steps, "day", "D")


def _step(days: Array, steps: Array, unit: str, suffix: str) -> tuple[str | None, str | None]:
    """Return the one step as an offset, or the steps that differ from the usual one."""
    sizes, counts = np.unique(steps, return_counts=True)
    usual = int(sizes[np.argmax(counts)])
    if len(sizes) == 1:
        return (suffix if suffix != "D" and usual == 1 else f"{usual}{suffix}"), None
    uneven = np.flatnonzero(steps != usual)
    where = listed(
        f"{counted(int(steps[i]), unit)} from {days[i]} to {days[i + 1]}" for i in uneven
    )
    return None, (
        f"has {counted(len(uneven), 'uneven step')} where the usual one is "
        f"{counted(usual, unit)}: {where}. Dates must be evenly spaced over all regions "
        "together; add the periods that are missing everywhere (missing_sales='mask' lets "
        "their sales be empty) or correct dates off the grid."
    )
