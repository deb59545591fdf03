"""What warmup learns, from the draws of all chains together: scale, step size, trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayes_mkt.inference.axes import axes_of
from bayes_mkt.inference.fisher import fisher_covariance
from bayes_mkt.inference.mode import Gradient, curvature

MAX_DENSE = 200
SLOW = 0.9
QUICK = 0.5
# Means of chains that differ by more than this, in variances within them, are still apart. Slow
# chains that have arrived differ by less, even where they hardly move within a lesson.
APART = 30.0
MAX_REACH = 8.0
MAX_LENGTH = 1000
# Draws at which the gradient is asked for the axes.
MOST_SLOPES = 2000


@dataclass(frozen=True)
class Tuning:
    """The sampler's settings.

    Attributes
    ----------
    scale
        x = scale u makes the posterior of u roughly standard normal: a lower triangle
        (size, size), or a diagonal (size,) beyond `MAX_DENSE` dimensions.
    axes, stretch
        (size, axis) and (axis,): with a diagonal, x = scale (u + axes (stretch - 1) axes' u)
        stretches some orthonormal directions; None stretches none.
    step_size
        Of the leapfrog integrator, on u.
    reach
        Longest trajectory in units of pi: a standard normal turns back after pi.
    """

    scale: np.ndarray
    step_size: float = 0.1
    reach: float = 1.0
    axes: np.ndarray | None = None
    stretch: np.ndarray | None = None

    def stretched(self, u: np.ndarray) -> np.ndarray:
        """Return x (..., size) of u."""
        if self.scale.ndim == 2:
            return np.asarray(u @ self.scale.T)
        if self.axes is not None and self.stretch is not None:
            u = u + ((u @ self.axes) * (self.stretch - 1.0)) @ self.axes.T
        return np.asarray(u * self.scale)

    def pulled(self, slope: np.ndarray) -> np.ndarray:
        """Return the gradient (..., size) in u of a gradient in x."""
        if self.scale.ndim == 2:
            return np.asarray(slope @ self.scale)
        slope = slope * self.scale
        if self.axes is not None and self.stretch is not None:
            slope = slope + ((slope @ self.axes) * (self.stretch - 1.0)) @ self.axes.T
        return np.asarray(slope)

    def along_axes(self, hessian: np.ndarray, unit: np.ndarray, count: int | None = None) -> Tuning:
        """Return the tuning of a Gaussian with a precision matrix; see `axes_of`."""
        scale, axes, stretch = axes_of(hessian, unit, count)
        return replace(self, scale=scale, axes=axes, stretch=stretch)

    @property
    def longest(self) -> int:
        """Return the largest number of leapfrog steps of a trajectory."""
        return int(np.clip(np.ceil(self.reach * np.pi / self.step_size), 1, MAX_LENGTH))


def look_again(tuning: Tuning, draws: np.ndarray, gradient: Gradient) -> tuple[Tuning, int]:
    """Return the tuning with axes of where the chains are, and how many gradients that took.

    Parameters
    ----------
    tuning
        With axes; their number stays.
    draws
        (chain, draw, size), recent draws of all chains.
    gradient
        Points (chain, size) to log-densities and gradients.
    """
    chains, _, size = draws.shape
    flat = draws.reshape(-1, size)
    sd = flat.std(axis=0)
    if tuning.axes is None or not np.isfinite(sd).all() or (sd <= 0).any():
        return tuning, 0
    hessian = curvature(gradient, flat.mean(axis=0), chains)
    if hessian is None:
        return tuning, 0
    count = min(len(flat), MOST_SLOPES) // chains * chains
    some = flat[np.linspace(0, len(flat) - 1, count).round().astype(int)]
    slopes = np.concatenate([gradient(part)[1] for part in some.reshape(-1, chains, size)])
    asked = 2 * size + count
    if not np.isfinite(slopes).all():
        return tuning, asked
    covariance = fisher_covariance(hessian * sd[:, None] * sd, some / sd, slopes * sd)
    precision = np.linalg.inv(covariance) / sd[:, None] / sd
    return tuning.along_axes(precision, sd, tuning.axes.shape[1]), asked


def learn(
    tuning: Tuning,
    draws: np.ndarray,
    lesson: np.ndarray,
    step_size: float,
    *,
    final: bool,
    capped: bool = False,
) -> Tuning:
    """Return the tuning that the latest draws suggest.

    Parameters
    ----------
    tuning
        The present one.
    draws
        (chain, draw, size), recent draws of all chains: the scale's.
    lesson
        (chain, draw, size), the very latest, by the present tuning: the trajectories'.
    step_size
        What step-size adaptation came to.
    final
        Whether only the step size may still change.
    capped
        Whether the lesson's trajectories were kept shorter than `reach` asks.
    """
    if final:
        return replace(tuning, step_size=step_size)
    scale = tuning.scale
    if tuning.axes is None:
        learnt = _scale(draws, dense=scale.ndim == 2)
        if learnt is None:
            return replace(tuning, step_size=step_size)
        scale = learnt
    # Slowness of trajectories that were kept short says nothing of those to come.
    slowest = QUICK if capped else _autocorrelation(lesson)
    reach = tuning.reach
    if slowest > SLOW:
        reach = min(2.0 * reach, MAX_REACH)
    elif slowest < QUICK:
        reach = max(0.5 * reach, 1.0)
    return replace(tuning, scale=scale, step_size=step_size, reach=reach)


def settled(lesson: np.ndarray) -> bool:
    """Return whether chains (chain, draw, size) move freely with what has been learnt so far."""
    return _autocorrelation(lesson) <= SLOW


def _scale(draws: np.ndarray, *, dense: bool) -> np.ndarray | None:
    """Return the scale of pooled draws, shrunk towards their diagonal; None if degenerate."""
    chains, length, size = draws.shape
    flat = draws.reshape(-1, size)
    sd = flat.std(axis=0)
    if not np.isfinite(sd).all() or (sd <= 0).any():
        return None
    if not dense:
        return sd
    count = chains * length
    correlation = np.atleast_2d(np.corrcoef(flat, rowvar=False))
    # Draws are autocorrelated: about one in five counts.
    weight = count / (count + 5.0 * size)
    shrunk = weight * correlation + (1.0 - weight) * np.eye(size)
    return sd[:, None] * np.linalg.cholesky(shrunk)


def _autocorrelation(draws: np.ndarray) -> float:
    """Return the largest lag-1 autocorrelation of any variable on which the chains agree.

    Chains on their way to each other, or all along one way, are not slow: their common drift is
    taken out, and what they don't agree on yet says nothing.
    """
    time = np.arange(draws.shape[1]) - 0.5 * (draws.shape[1] - 1)
    # About the mean of all: within so few draws a slow chain hardly leaves its own.
    centered = draws - draws.mean(axis=(0, 1))
    drift = time @ centered.mean(axis=0) / (time @ time)
    centered = centered - time[:, None] * drift
    variance = np.maximum((centered**2).mean(axis=(0, 1)), 1e-300)
    between = centered.mean(axis=1).var(axis=0)
    agreed = between <= APART * (variance - between)
    if not agreed.any():
        return QUICK
    covariance = (centered[:, 1:] * centered[:, :-1]).mean(axis=(0, 1))
    return float((covariance / variance)[agreed].max())
