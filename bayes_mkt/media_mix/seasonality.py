"""What sales do over time without media: trend by knots, season by Fourier terms. No priors."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    order: int = 2

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


def knot_basis(n_dates: int, knots: int) -> np.ndarray:
    """Return the weights (date, knot) of a piecewise linear trend with equally spaced knots.

    The first knot is at the first date, the last at the last; each row sums to one. One knot
    is a constant.

    Raises
    ------
    SpecError
        If `knots` is not between 1 and the number of dates.

    Examples
    --------
    >>> knot_basis(3, 2).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    if isinstance(knots, bool) or not isinstance(knots, int) or not 1 <= knots <= n_dates:
        raise SpecError(f"knots={knots!r} must be an integer from 1 to the {n_dates} dates.")
    if knots == 1:
        return np.ones((n_dates, 1))
    places = np.linspace(0, n_dates - 1, knots)
    return np.stack([np.interp(np.arange(n_dates), places, row) for row in np.eye(knots)], axis=1)
