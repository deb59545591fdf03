"""What warmup learns, from the draws of all chains together: scale, step size, trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from bayes_mkt.inference.axes import axes_of
from bayes_mkt.inference.blocks import refreshed
from bayes_mkt.inference.fisher import fisher_covariance
from bayes_mkt.inference.metric import AlongAxes, Dense, InBlocks, Metric
from bayes_mkt.inference.mode import Gradient, curvature

MAX_DENSE = 200
SLOW = 0.9
QUICK = 0.5
# Means of chains that differ by more than this, in variances within them, are still apart. Slow
# chains that have arrived differ by less, even where they hardly move within a lesson.
APART = 30.0
# Log-densities of chains, or of one chain at two times, that differ by more than this, in spreads
# within so short a time, are those of chains on their way.
AFAR = 10.0
SPELLS = 4
# Acceptance that has fallen by more than this isn't what the step size was adapted to.
FALLEN = 0.4
LEAST_DRAWS = 40
LEAST_REACH, MAX_REACH = 0.85, 8.0
MAX_LENGTH = 1000
# Draws at which the gradient is asked for the axes.
MOST_SLOPES = 2000


@dataclass(frozen=True)
class Tuning:
    """The sampler's settings.

    Attributes
    ----------
    metric
        x = scale u makes the posterior of u roughly standard normal: `Dense` up to `MAX_DENSE`
        dimensions, beyond it `InBlocks` where the posterior falls into blocks, else `AlongAxes`.
    step_size
        Of the leapfrog integrator, on u.
    reach
        Longest trajectory in units of pi: a standard normal turns back after pi, and forgets most
        where trajectories end about half-way there.
    """

    metric: Metric
    step_size: float = 0.1
    reach: float = LEAST_REACH

    @property
    def longest(self) -> float:
        """Return the leapfrog steps of the longest trajectory; they need not be whole."""
        return float(np.clip(self.reach * np.pi / self.step_size, 1.0, MAX_LENGTH))


def look_again(tuning: Tuning, draws: np.ndarray, gradient: Gradient) -> tuple[Tuning, int]:
    """Return the tuning with a metric of where the chains are, and how many gradients that took.

    Parameters
    ----------
    tuning
        With blocks, or with axes; their number stays.
    draws
        (chain, draw, size), recent draws of all chains.
    gradient
        Points (chain, size) to log-densities and gradients.
    """
    metric = tuning.metric
    chains, _, size = draws.shape
    flat = draws.reshape(-1, size)
    sd = flat.std(axis=0)
    if not np.isfinite(sd).all() or (sd <= 0).any():
        return tuning, 0
    if isinstance(metric, InBlocks):
        found, asked = refreshed(metric, draws, gradient)
        return replace(tuning, metric=found), asked
    if isinstance(metric, Dense) or not metric.axes.shape[1]:
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
    return replace(tuning, metric=axes_of(precision, sd, metric.axes.shape[1])), asked


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
    metric = tuning.metric
    if isinstance(metric, Dense) or (isinstance(metric, AlongAxes) and not metric.axes.shape[1]):
        learnt = _scale(metric, draws)
        if learnt is None:
            return replace(tuning, step_size=step_size)
        metric = learnt
    # Slowness of trajectories that were kept short says nothing of those to come.
    slowest = QUICK if capped else _autocorrelation(lesson)
    reach = tuning.reach
    if slowest > SLOW:
        reach = min(2.0 * reach, MAX_REACH)
    elif slowest < QUICK:
        reach = max(0.5 * reach, LEAST_REACH)
    return replace(tuning, metric=metric, step_size=step_size, reach=reach)


def settled(lesson: np.ndarray) -> bool:
    """Return whether chains (chain, draw, size) move freely with what has been learnt so far."""
    return _autocorrelation(lesson) <= SLOW


def arrived(heights: np.ndarray) -> bool:
    """Return whether chains are where they stay, by their log-densities (chain, draw).

    On their way up, or some of them in a mode that others have left, they differ by much more than
    within a quarter of the time.
    """
    count = heights.shape[1] // SPELLS * SPELLS
    if not count:
        return True  # too short to tell
    spells = heights[:, heights.shape[1] - count :].reshape(len(heights), SPELLS, -1)
    if not np.isfinite(spells).all():
        return False
    apart = float(np.ptp(spells.mean(axis=2)))
    return apart <= AFAR * float(np.median(spells.std(axis=2)))


def strayed(acceptance: np.ndarray, target: float) -> bool:
    """Return whether a chain is where the step size doesn't suit, by acceptance (chain, draw)."""
    if acceptance.shape[1] < LEAST_DRAWS:
        return False
    later = np.nan_to_num(acceptance[:, acceptance.shape[1] // 2 :]).mean(axis=1)
    return bool(later.min() < target - FALLEN)


def _scale(metric: Metric, draws: np.ndarray) -> Metric | None:
    """Return the scale of pooled draws; None if degenerate.

    A full one is shrunk towards variables that aren't correlated: those of the density, or those
    that the present metric makes of them, whichever are correlated less. Shrunk towards the
    density's own, variables that all but determine each other would pass for freer than they are.
    """
    chains, length, size = draws.shape
    flat = draws.reshape(-1, size)
    sd = flat.std(axis=0)
    if not np.isfinite(sd).all() or (sd <= 0).any():
        return None
    if not isinstance(metric, Dense):
        return AlongAxes.plain(sd)
    count = chains * length
    # Draws are autocorrelated: about one in five counts.
    weight = count / (count + 5.0 * size)
    centered, root = (flat - flat.mean(axis=0)).T, np.asarray(metric.root)
    found = [_shrunk(centered, weight)]
    inside = solve_triangular(root, centered, lower=True)
    spread = inside.std(axis=1)
    if np.isfinite(spread).all() and (spread > 0).all():
        correlated, scale = _shrunk(inside, weight)
        found.append((correlated, root @ scale))
    return Dense(min(found, key=lambda one: one[0])[1])


def _shrunk(draws: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
    """Return how correlated variables are, and the root of their covariance with that shrunk.

    Parameters
    ----------
    draws
        (size, draw).
    weight
        Of the correlations found, the rest being that of none.
    """
    correlation = np.atleast_2d(np.corrcoef(draws))
    shrunk = weight * correlation + (1.0 - weight) * np.eye(len(draws))
    root = draws.std(axis=1)[:, None] * np.linalg.cholesky(shrunk)
    return float(np.sum(correlation**2)), root


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
