"""Scores of forecasts of times under censoring, on weighted rows: plain NumPy, no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "auc", "brier", "concordance", "kaplan_meier"]

Array = NDArray[Any]
CHUNK = 2**22


@dataclass(frozen=True)
class Curve:
    """A step function that starts at one and falls at some times.

    Attributes
    ----------
    times, values
        Where it steps, ascending, and what it is from there on (step,).
    variance
        Greenwood's variance of each value (step,).
    """

    times: Array
    values: Array
    variance: Array

    def at(self, times: Array) -> Array:
        """Return the values at `times`, a step at t included."""
        return self._look(self.values, 1.0, np.searchsorted(self.times, times, side="right"))

    def before(self, times: Array) -> Array:
        """Return the values just before `times`."""
        return self._look(self.values, 1.0, np.searchsorted(self.times, times, side="left"))

    def error(self, times: Array) -> Array:
        """Return the standard errors at `times`."""
        index = np.searchsorted(self.times, times, side="right")
        return np.sqrt(self._look(self.variance, 0.0, index))

    @staticmethod
    def _look(values: Array, start: float, index: Array) -> Array:
        return np.concatenate([[start], values])[index]


def kaplan_meier(
    duration: Array,
    event: Array,
    weight: Array | None = None,
    entry: Array | None = None,
    *,
    censoring: bool = False,
) -> Curve:
    """Return the Kaplan-Meier estimate of survival, prod_{t_i <= t} (1 - d_i / n_i).

    Parameters
    ----------
    duration, event
        End of each spell, and whether it ended with the event (n,).
    weight
        How often each occurs (n,); None means once.
    entry
        Where observation begins (n,); None means 0. At risk at t: entry < t <= duration.
    censoring
        Estimate the distribution of censoring times instead; at a tie events come first.

    Examples
    --------
    >>> curve = kaplan_meier(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1, 1, 0, 0]))
    >>> curve.at(np.array([0.5, 1.0, 2.5]))
    array([1.  , 0.75, 0.5 ])
    """
    happened = event.astype(bool)
    count = np.ones(len(duration)) if weight is None else weight
    times, place = np.unique(duration, return_inverse=True)
    deaths = np.bincount(place, count * happened, minlength=len(times))
    ends = np.bincount(place, count, minlength=len(times))
    at_risk = ends[::-1].cumsum()[::-1]
    if entry is not None:
        order = np.argsort(entry)
        joined = np.concatenate([[0.0], count[order].cumsum()])
        at_risk = joined[np.searchsorted(entry[order], times, side="left")] - (ends.cumsum() - ends)
    lost = deaths
    if censoring:
        at_risk, lost = at_risk - deaths, ends - deaths
    keep = lost > 0
    times, n, d = times[keep], at_risk[keep], lost[keep]
    values = np.cumprod(1.0 - d / n)
    left = np.maximum(n * (n - d), 1e-300)
    variance = np.where(values > 0, values**2 * np.cumsum(d / left), 0.0)
    return Curve(times, values, variance)


def brier(
    duration: Array, event: Array, weight: Array, survival: Array, times: Array, censored: Curve
) -> Array:
    """Return the Brier score at each time, weighted for censoring (Graf and others, 1999).

        mean of S(t)^2 1{T <= t, event} / G(T-) + (1 - S(t))^2 1{T > t} / G(t)

    Parameters
    ----------
    duration, event, weight
        Of each row (n,).
    survival
        Forecast of P(T > t) (n, time).
    times
        (time,).
    censored
        G, the estimate of the censoring distribution.

    Returns
    -------
    ndarray
        (time,).
    """
    early = (duration[:, None] <= times) & event.astype(bool)[:, None]
    late = duration[:, None] > times
    own = np.where(event.astype(bool), censored.before(duration), 1.0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = np.where(early, survival**2 / own, 0.0)
        wrong += np.where(late, (1.0 - survival) ** 2 / censored.at(times), 0.0)
    return np.asarray(weight @ wrong / weight.sum())


def concordance(
    duration: Array, event: Array, weight: Array, risk: Array, tau: float, censored: Curve
) -> float:
    """Return Uno's C: how often, of two customers, the one with the higher risk is first.

    Pairs with T_i < T_j, T_i < tau, i's event observed, weighted by G(T_i-)^-2; ties of risk
    count half.

    References
    ----------
    Uno, Cai, Pencina, D'Agostino, Wei (2011), Statistics in Medicine 30.
    """
    first = np.flatnonzero(event.astype(bool) & (duration < tau))
    worth = weight[first] / censored.before(duration[first]) ** 2
    agreed = total = 0.0
    size = max(CHUNK // max(len(duration), 1), 1)
    for start in range(0, len(first), size):
        i, w = first[start : start + size], worth[start : start + size]
        pairs = (duration[None, :] > duration[i, None]) * weight[None, :]
        above = (risk[i, None] > risk[None, :]) + 0.5 * (risk[i, None] == risk[None, :])
        agreed += float(w @ (pairs * above).sum(axis=1))
        total += float(w @ pairs.sum(axis=1))
    return agreed / total if total > 0 else float("nan")


def auc(
    duration: Array, event: Array, weight: Array, risk: Array, times: Array, censored: Curve
) -> Array:
    """Return the AUC at each time: those with the event by t against those without.

    `risk` (n, time) may differ between times.

    Cumulative cases weighted by 1 / G(T-), dynamic controls; ties of risk count half.

    References
    ----------
    Uno, Cai, Tian, Wei (2007), JASA 102.
    """
    out = np.full(len(times), np.nan)
    for k, t in enumerate(times):
        case = event.astype(bool) & (duration <= t)
        control = duration > t
        if not case.any() or not control.any():
            continue
        order = np.argsort(risk[control, k], kind="stable")
        values = risk[control, k][order]
        below = np.concatenate([[0.0], weight[control][order].cumsum()])
        low = below[np.searchsorted(values, risk[case, k], side="left")]
        high = below[np.searchsorted(values, risk[case, k], side="right")]
        worth = weight[case] / censored.before(duration[case])
        out[k] = worth @ (0.5 * (low + high)) / (worth.sum() * below[-1])
    return out
