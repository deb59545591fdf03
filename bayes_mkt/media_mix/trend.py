"""Slow movements: a trend by knots, and smooth functions of time by an HSGP. No priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior


def knots_ahead(n_dates: int, knots: int, ahead: int) -> int:
    """Return how many knots beyond the last one a trend needs for `ahead` more periods.

    Examples
    --------
    >>> knots_ahead(n_dates=105, knots=5, ahead=30)
    2
    """
    if knots < 3 or ahead <= 0:
        return 0
    return int(np.ceil(ahead / ((n_dates - 1) / (knots - 1))))


def knot_basis(n_dates: int, knots: int, ahead: int = 0) -> np.ndarray:
    """Return the weights (date, knot) of a piecewise linear trend with equally spaced knots.

    The first knot is at the first date, the last at the last; each row sums to one. One knot
    is a constant.

    Parameters
    ----------
    n_dates, knots
        Dates and knots.
    ahead
        Periods after the last date: a constant stays, a line (two knots) goes on, and more knots
        get `knots_ahead` further ones at the same distance.

    Raises
    ------
    SpecError
        If `knots` is not between 1 and the number of dates.

    Examples
    --------
    >>> knot_basis(3, 2).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    >>> knot_basis(3, 2, ahead=1)[-1].tolist()
    [-0.5, 1.5]
    """
    if isinstance(knots, bool) or not isinstance(knots, int) or not 1 <= knots <= n_dates:
        raise SpecError(f"knots={knots!r} must be an integer from 1 to the {n_dates} dates.")
    times = np.arange(n_dates + ahead)
    if knots == 1:
        return np.ones((len(times), 1))
    if knots == 2:
        share = times / (n_dates - 1)
        return np.stack([1.0 - share, share], axis=1)
    count = knots + knots_ahead(n_dates, knots, ahead)
    places = np.arange(count) * ((n_dates - 1) / (knots - 1))
    return np.stack([np.interp(times, places, row) for row in np.eye(count)], axis=1)


@dataclass(frozen=True)
class HSGP:
    """A smooth function of time: a Matern-5/2 Gaussian process in the Hilbert-space approximation.

        f(t) = sum_j sqrt(S(w_j)) phi_j(t) b_j,   b_j ~ N(0, 1),   w_j = pi j / (2 L),
        phi_j(t) = sin(w_j (t + L)) / sqrt(L),
        S(w) = amplitude^2 (16/3) 5^(5/2) / l (5 / l^2 + w^2)^-3,

    with t from -1 to 1 over the panel and L the boundary.

    Parameters
    ----------
    terms
        Number of basis functions: the shorter the length-scale, the more are needed (about
        2.65 L / l; Riutort-Mayol et al. 2023, eq. 12).
    boundary
        L, > 1. Forecasts reach to 0.9 L.

    References
    ----------
    Solin & Sarkka (2020), Hilbert space methods for reduced-rank Gaussian process regression.
    Riutort-Mayol, Burkner, Andersen, Solin, Vehtari (2023), Practical Hilbert space approximate
    Bayesian Gaussian processes for probabilistic programming.

    Examples
    --------
    >>> HSGP(terms=12).basis(104).shape
    (104, 12)
    """

    terms: int = 15
    boundary: float = 1.5

    def __post_init__(self) -> None:
        if isinstance(self.terms, bool) or not isinstance(self.terms, int) or self.terms < 1:
            raise SpecError(f"HSGP terms={self.terms!r} must be an integer >= 1.")
        if not self.boundary > 1:
            raise SpecError(f"HSGP boundary={self.boundary!r} must be > 1.")

    def priors(self, name: str, amplitude: float) -> Mapping[str, Prior]:
        """Return default priors of `<name>_amplitude` and `<name>_lengthscale`.

        The length-scale is in units of half the panel's length: a median of a half.
        """
        return {
            f"{name}_amplitude": Prior("HalfNormal", sigma=amplitude),
            f"{name}_lengthscale": Prior("LogNormal", mu=-0.7, sigma=0.5),
        }

    @property
    def frequencies(self) -> np.ndarray:
        """Return w_j (term,)."""
        return np.asarray(np.pi * np.arange(1, self.terms + 1) / (2.0 * self.boundary))

    def basis(self, n_dates: int, ahead: int = 0) -> np.ndarray:
        """Return phi (date, term), for the panel's dates and periods after them.

        Raises
        ------
        SpecError
            If these reach beyond the boundary.
        """
        times = np.arange(n_dates + ahead) / max(n_dates - 1, 1) * 2.0 - 1.0
        if times[-1] > 0.9 * self.boundary:
            need = np.ceil(times[-1] / 0.9 * 10) / 10
            raise SpecError(
                f"HSGP(boundary={self.boundary}) can't forecast {ahead} periods after {n_dates}. "
                f"Fit with boundary={need:g} or more."
            )
        inside = self.frequencies * (times[:, None] + self.boundary)
        return np.asarray(np.sin(inside) / np.sqrt(self.boundary))

    def scale(self, amplitude: Any, lengthscale: Any) -> Any:
        """Return sqrt(S(w_j)) of each term, (..., term), for parameters (...)."""
        amplitude, length = (pt.as_tensor(v)[..., None] for v in (amplitude, lengthscale))
        shape = 5.0 / length**2 + pt.as_tensor(self.frequencies) ** 2
        density = 16.0 / 3.0 * 5.0**2.5 / length**5 * shape**-3.0
        return amplitude * pt.sqrt(density)
