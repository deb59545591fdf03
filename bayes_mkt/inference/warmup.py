"""What warmup learns, from the draws of all chains together: scale, step size, trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayes_mkt.inference.mode import Gradient, climb, curvature_scale

MAX_DENSE = 200
SLOW = 0.9
MAX_REACH = 8.0
MAX_LENGTH = 1000


@dataclass(frozen=True)
class Tuning:
    """The sampler's settings.

    Attributes
    ----------
    scale
        x = scale u makes the posterior of u roughly standard normal: a lower triangle
        (size, size), or a diagonal (size,) beyond `MAX_DENSE` dimensions.
    step_size
        Of the leapfrog integrator, on u.
    reach
        Longest trajectory in units of pi: a standard normal turns back after pi.
    """

    scale: np.ndarray
    step_size: float = 0.1
    reach: float = 1.0

    @property
    def longest(self) -> int:
        """Return the largest number of leapfrog steps of a trajectory."""
        return int(np.clip(np.ceil(self.reach * np.pi / self.step_size), 1, MAX_LENGTH))


def begin(
    gradient: Gradient, starts: np.ndarray, rng: np.random.Generator
) -> tuple[Tuning, np.ndarray]:
    """Return the first tuning and starting points near modes, one for each chain.

    Each chain climbs from its own start; the scale is that of the curvature at the best point,
    and each chain starts at a draw from that Gaussian around where it came to.

    Parameters
    ----------
    gradient
        Points (chain, size) to log-densities and gradients.
    starts
        (chain, size), with finite density.
    rng
        Source of the draws.
    """
    chains, size = starts.shape
    dense = size <= MAX_DENSE
    tops, values = climb(gradient, starts)
    scale = curvature_scale(gradient, tops[int(np.argmax(values))], chains, dense=dense)
    if scale is None:
        return Tuning(np.eye(size) if dense else np.ones(size)), starts
    noise = rng.normal(size=starts.shape)
    points = tops + (noise @ scale.T if dense else noise * scale)
    value, slope = gradient(points)
    fine = np.isfinite(value) & np.isfinite(slope).all(axis=1)
    return Tuning(scale), np.where(fine[:, None], points, tops)


def learn(tuning: Tuning, draws: np.ndarray, step_size: float, *, final: bool) -> Tuning:
    """Return the tuning that the latest draws suggest.

    Parameters
    ----------
    tuning
        The present one.
    draws
        (chain, draw, size), recent draws of all chains.
    step_size
        What step-size adaptation came to.
    final
        Whether only the step size may still change.
    """
    if final:
        return replace(tuning, step_size=step_size)
    scale = _scale(draws, dense=tuning.scale.ndim == 2)
    if scale is None:
        return replace(tuning, step_size=step_size)
    reach = tuning.reach
    if _autocorrelation(draws) > SLOW:
        reach = min(2.0 * reach, MAX_REACH)
    return Tuning(scale, step_size, reach)


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
    """Return the largest lag-1 autocorrelation of any variable, over chains."""
    centered = draws - draws.mean(axis=1, keepdims=True)
    variance = np.maximum((centered**2).sum(axis=(0, 1)), 1e-300)
    return float(((centered[:, 1:] * centered[:, :-1]).sum(axis=(0, 1)) / variance).max())
