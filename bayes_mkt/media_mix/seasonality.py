"""What comes back every year: season by Fourier terms, events by date. No priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from bayes_mkt.errors import SpecError

DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Fourier:
    """Yearly seasonality, sum_{k=1}^{order} a_k sin(2 pi k d / 365.25) + b_k cos(...), d the day.

    Parameters
    ----------
    order
        Number of harmonics, >= 1; the season has 2 x order coefficients.
    by_region
        Whether each region has a season of its own, a_gk ~ N(a_k, season_sd), pooled; by default
        one season serves all.
    """

    order: int = 2
    by_region: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.order, bool) or not isinstance(self.order, int) or self.order < 1:
            raise SpecError(f"Fourier order={self.order!r} must be an integer >= 1.")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the terms, sine then cosine of each harmonic."""
        return tuple(f"{f}{k}" for k in range(1, self.order + 1) for f in ("sin", "cos"))

    def basis(self, dates: pd.DatetimeIndex) -> np.ndarray:
        """Return the terms at `dates`, (date, 2 x order); days are counted from 2000-01-01.

        Examples
        --------
        >>> Fourier(1).basis(pd.DatetimeIndex(["2000-01-01"])).tolist()
        [[0.0, 1.0]]
        """
        days = (dates - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=1)
        angles = 2 * np.pi * np.asarray(days)[:, None] / DAYS_A_YEAR * np.arange(1, self.order + 1)
        return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(dates), -1)


@dataclass(frozen=True)
class Events:
    """Holidays and promotions of known date, each an effect on the period that holds it.

        event_tk = 1 if a date of event k lies in period t, else 0.

    Parameters
    ----------
    dates
        Name of the event -> its dates, past ones and those of the forecast.
    spread
        Periods before and after that have effects of their own: 1 adds ``"<name> -1"`` and
        ``"<name> +1"``.

    Raises
    ------
    SpecError
        If an event has no date, or one that can't be read.

    Examples
    --------
    >>> Events({"easter": ["2024-03-31"]}, spread=1).names
    ('easter -1', 'easter', 'easter +1')
    """

    dates: Mapping[str, Sequence[str]] = field(hash=False)
    spread: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.spread, bool) or not isinstance(self.spread, int) or self.spread < 0:
            raise SpecError(f"Events spread={self.spread!r} must be an integer >= 0.")
        given = dict(self.dates)
        if not given:
            raise SpecError("Events: no event is named; leave events out.")
        plain = {}
        for name, dates in given.items():
            listed = (dates,) if isinstance(dates, str) else tuple(dates)
            if not listed:
                raise SpecError(f"Events: {name!r} has no date.")
            plain[str(name)] = tuple(_day(name, date) for date in listed)
        object.__setattr__(self, "dates", MappingProxyType(plain))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return type(self), (dict(self.dates), self.spread)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the terms."""
        shifts = range(-self.spread, self.spread + 1)
        return tuple(f"{name} {k:+d}" if k else name for name in self.dates for k in shifts)

    def basis(self, dates: pd.DatetimeIndex, period: str) -> np.ndarray:
        """Return the terms (date, term) for periods of length `period` that begin at `dates`.

        A period named by the last day of a month ends on it.
        """
        one = pd.tseries.frequencies.to_offset(period)
        day = pd.Timedelta(days=1)
        begins = dates - one + day if period.endswith("ME") else dates
        end = dates[-1] + day if period.endswith("ME") else dates[-1] + one
        edges = np.asarray([*begins, end], dtype="datetime64[ns]")
        columns = []
        for days in self.dates.values():
            place = np.searchsorted(edges, np.asarray(days, "datetime64[ns]"), side="right") - 1
            for shift in range(-self.spread, self.spread + 1):
                inside = place + shift
                seen = (place >= 0) & (place < len(dates)) & (inside >= 0) & (inside < len(dates))
                column = np.zeros(len(dates))
                column[inside[seen]] = 1.0
                columns.append(column)
        return np.stack(columns, axis=1)


def _day(name: str, date: str) -> str:
    try:
        day = pd.Timestamp(date)
        if not pd.isna(day):
            return str(day.date())
    except (TypeError, ValueError):
        pass
    raise SpecError(f"Events: {date!r} of {name!r} is not a date. Write it as '2024-03-31'.")
