"""Pareto-smoothed importance sampling: weights, their k-hat, and draws at random by weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from arviz_stats.base import array_stats

MAX_KHAT = 0.7
METHODS = {
    "laplace": "Laplace approximation",
    "pathfinder": "Pathfinder approximation",
    "reweighting": "draws of an earlier fit",
    "expansion": "draws of an expanded likelihood",
}
# The attrs of a DataTree that speak of weights.
MARKS = ("approximation", "khat", "psis_candidates", "psis_effective", "psis_modes")


@dataclass(frozen=True)
class Importance:
    """Where draws come from that were weighted rather than sampled, and how good the weights are.

    Attributes
    ----------
    method
        `"laplace"`, `"pathfinder"` or `"reweighting"`.
    khat
        Shape of the generalised Pareto distribution fitted to the largest weights: above `limit`
        the proposal misses part of the posterior, and weighted means are wrong without notice.
    candidates
        Draws that were weighted.
    effective
        ``1 / sum w^2`` of the smoothed weights w, which sum to one.
    modes
        Modes that were found apart from the one that the approximation stands on.
    """

    method: str
    khat: float
    candidates: int
    effective: float
    modes: int = 0

    @property
    def limit(self) -> float:
        """Return the largest k-hat that so many draws can bear: min(1 - 1/log10 S, 0.7)."""
        return min(1.0 - 1.0 / float(np.log10(max(self.candidates, 11))), MAX_KHAT)

    @property
    def usable(self) -> bool:
        """Return whether weighted means can be relied on."""
        return self.khat <= self.limit and self.modes == 0

    @property
    def reweighted(self) -> bool:
        """Return whether the draws were sampled, of another posterior."""
        return self.method in ("reweighting", "expansion")

    @property
    def origin(self) -> str:
        """Return what the draws are, in words."""
        return METHODS[self.method]

    def __str__(self) -> str:
        return (
            f"{self.origin}, PSIS k-hat {self.khat:.2f} (limit {self.limit:.2f}), "
            f"{self.effective:.0f} effective of {self.candidates} weighted draws"
        )

    @property
    def attrs(self) -> dict[str, Any]:
        """Return what a DataTree keeps of this, from which `importance_of` reads it."""
        figures = (self.method, self.khat, self.candidates, self.effective, self.modes)
        return dict(zip(MARKS, figures, strict=True))


def importance_of(attrs: Mapping[Any, Any]) -> Importance | None:
    """Return what a DataTree's attrs say of weighted draws; None if its draws were sampled."""
    if "approximation" not in attrs:
        return None
    return Importance(
        str(attrs["approximation"]),
        float(attrs["khat"]),
        int(attrs["psis_candidates"]),
        float(attrs["psis_effective"]),
        int(attrs["psis_modes"]),
    )


def smoothed(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    r"""Return Pareto-smoothed weights that sum to one, and k-hat.

    The largest ``min(S / 5, 3 sqrt(S))`` of S ratios are replaced by the expected order statistics
    of the generalised Pareto distribution fitted to them.

    Parameters
    ----------
    log_ratios
        (draw,), log p - log q up to a constant; NaN and -inf count as weight zero.

    Returns
    -------
    weights, khat
        (draw,), and the estimated shape; infinite where it can't be estimated: fewer than 25
        draws, or a tail of zeros. Equal ratios have k-hat zero.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling. Journal of
    Machine Learning Research 25.
    """
    known = np.where(np.isfinite(log_ratios), log_ratios, -np.inf)
    count = known.size
    if not np.isfinite(known).any():
        return np.full(count, 1.0 / max(count, 1)), np.inf
    known = known - known.max()
    plain = np.exp(known) / np.exp(known).sum()
    alive = np.isfinite(known)
    if np.ptp(known[alive]) < 1e-9 and alive.all():
        return plain, 0.0
    tail = int(min(count / 5, 3 * np.sqrt(count)))
    if tail < 5 or alive.sum() <= tail:
        return plain, np.inf
    # Zeros would break the sums of logarithms; so far down they weigh nothing.
    logs, khat = array_stats.psislw(-np.maximum(known, -700.0))
    if not np.isfinite(khat):
        return plain, np.inf
    weights = np.exp(np.asarray(logs))
    return weights / weights.sum(), float(khat)


def effective_size(weights: np.ndarray) -> float:
    """Return ``1 / sum w^2`` of weights that sum to one."""
    return float(1.0 / np.sum(weights**2))


def resampled(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return indices of `count` draws, each as often as its weight says, in ascending order.

    Systematic resampling: draw i comes up ``floor(count w_i)`` or one more times, which adds less
    noise than drawing each at random.

    Parameters
    ----------
    weights
        (draw,), summing to one.
    count
        Number of indices.
    rng
        Source of the one random number.

    Examples
    --------
    >>> resampled(np.array([0.5, 0.0, 0.5]), 4, np.random.default_rng(1)).tolist()
    [0, 0, 2, 2]
    """
    places = (np.arange(count) + rng.uniform()) / count
    reached = np.cumsum(weights)
    return np.minimum(np.searchsorted(reached / reached[-1], places), weights.size - 1)
