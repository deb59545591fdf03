"""How good forecasts P(T > t) of any origin are: Brier, Uno's C, AUC, calibration by tenth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.customers.scores import auc, brier, concordance, kaplan_meier

Array = NDArray[Any]
TENTHS = 10
REPLICATES = 400


@dataclass(frozen=True)
class Outcome:
    """What became of the scored customers.

    Attributes
    ----------
    duration, event
        How long each was followed, and whether that ended with the event (customer,).
    stratum
        Groups within which censoring is taken to be independent of the event (customer,), as
        positions; zeros for one group.
    """

    duration: Array
    event: Array
    stratum: Array

    def brier(self, survival: Array, times: Array, weight: Array | None = None) -> Array:
        """Return the Brier score at each time, weighted for censoring within strata."""
        count = np.ones(len(self.duration)) if weight is None else weight
        out = np.zeros(len(times))
        for own in self._strata():
            rows = (self.duration[own], self.event[own], count[own])
            censored = kaplan_meier(*rows, censoring=True)
            if count[own].sum() > 0:
                out += brier(*rows, survival[own], times, censored) * count[own].sum()
        return out / count.sum()

    def observed(self, times: Array) -> Array:
        """Return P(T > t), Kaplan-Meier's within strata, averaged over the customers (time,)."""
        parts = [
            kaplan_meier(self.duration[own], self.event[own]).at(times) * len(own)
            for own in self._strata()
        ]
        return np.asarray(np.sum(parts, axis=0) / len(self.duration))

    def _strata(self) -> list[Array]:
        return [np.flatnonzero(self.stratum == s) for s in np.unique(self.stratum)]


def integrated(scores: Array, times: Array) -> float:
    """Return the mean over the span of the times, by trapezoids."""
    return float(np.trapezoid(scores, times) / (times[-1] - times[0]))


def figures(outcome: Outcome, survival: Array, times: Array, marked: Array) -> dict[str, Any]:
    """Return the scores of forecasts (customer, time).

    Brier scores and calibration stand at the times `marked`, which are among `times`; the
    calibration error is the mean over tenths of risk of |forecast - Kaplan-Meier|.

    Raises
    ------
    ValueError
        If nobody is followed beyond the last time: a score there would count events alone.
    """
    if not outcome.duration.max() > times[-1]:
        raise ValueError(f"Nobody is followed beyond {times[-1]:g}.")
    one = np.ones(len(outcome.duration))
    rows = (outcome.duration, outcome.event, one)
    censored = kaplan_meier(*rows, censoring=True)
    pooled = Outcome(outcome.duration, outcome.event, np.zeros(len(one), dtype=int))
    at = np.searchsorted(times, marked)
    seen = outcome.observed(marked)
    area = auc(*rows, 1.0 - survival[:, at], marked, censored)
    wide = tenths(outcome, survival, times, marked)
    found: dict[str, Any] = {
        "integrated_brier": integrated(pooled.brier(survival, times), times),
        "integrated_brier_in_strata": integrated(outcome.brier(survival, times), times),
        "concordance": concordance(*rows, 1.0 - survival[:, -1], float(times[-1]), censored),
    }
    for k, t in enumerate(marked):
        found[f"auc_{t:g}"] = float(area[k])
        found[f"bias_{t:g}"] = float(survival[:, at[k]].mean() - seen[k])
        found[f"calibration_error_{t:g}"] = float(
            np.mean([abs(r["forecast"] - r["observed"]) for r in wide if r["time"] == t])
        )
    return found


def tenths(outcome: Outcome, survival: Array, times: Array, marked: Array) -> list[dict[str, Any]]:
    """Return forecast and Kaplan-Meier P(T > t) by tenth of risk, the highest risk first.

    Equal forecasts are in random order: that of the data may be by duration.
    """
    rows = []
    shuffled = np.random.default_rng(1).permutation(len(survival))
    for t in marked:
        own = survival[:, int(np.searchsorted(times, t))]
        order = shuffled[np.argsort(own[shuffled], kind="stable")]
        for tenth, part in enumerate(np.array_split(order, TENTHS)):
            curve = kaplan_meier(outcome.duration[part], outcome.event[part])
            rows.append(
                {
                    "time": float(t),
                    "tenth": tenth,
                    "forecast": float(own[part].mean()),
                    "observed": float(curve.at(np.array([t]))[0]),
                    "observed_se": float(curve.error(np.array([t]))[0]),
                    "followed_so_long": int((outcome.duration[part] >= t).sum()),
                }
            )
    return rows


def against(
    outcome: Outcome, forecasts: Mapping[str, Array], name: str, times: Array, seed: int
) -> dict[str, list[float]]:
    """Return each forecast's integrated Brier score less that of `name`, with a 90 % interval.

    The interval is that of a bootstrap over the scored customers, the same ones for both; what
    another split of the data would change isn't in it.
    """
    rng = np.random.default_rng(seed)
    n = len(outcome.duration)
    weights = [np.ones(n), *(np.bincount(rng.integers(0, n, n), minlength=n).astype(float)
                             for _ in range(REPLICATES))]  # fmt: skip
    scores = {
        key: np.array([integrated(outcome.brier(survival, times, w), times) for w in weights])
        for key, survival in forecasts.items()
    }
    out = {}
    for key, values in scores.items():
        if key != name:
            apart = values - scores[name]
            low, high = np.quantile(apart[1:], [0.05, 0.95])
            out[key] = [float(apart[0]), float(low), float(high)]
    return out
