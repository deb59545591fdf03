"""Where the chains begin: near modes, with a scale from the curvature there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bayes_mkt.inference.axes import axes_of
from bayes_mkt.inference.blocks import block_curvature, metric_in_blocks
from bayes_mkt.inference.density import Density, gradient_of
from bayes_mkt.inference.mass import with_mass
from bayes_mkt.inference.metric import Dense, InBlocks, Metric, unit
from bayes_mkt.inference.mode import (
    Gradient,
    climb,
    curvature,
    curvature_diagonal,
    curvature_scale,
)
from bayes_mkt.inference.pattern import arrow_in
from bayes_mkt.inference.state import State
from bayes_mkt.inference.warmup import MAX_DENSE, Tuning

DEPTH = 10.0
CLIMBS = (50, 100)
WIDEST = 1e3
NEARER = 5
LOST = 100.0  # and as many times `DEPTH` as there are dimensions
FALL = 3.0  # of a spread, in units of its logarithm


def begin(density: Density, starts: np.ndarray, rng: np.random.Generator) -> State:
    """Return the first tuning and starting points near modes, one for each chain.

    Each chain climbs from its own start; one that comes to a mode without any mass goes to the one
    of most. The scale is that of the curvature at the best point, and each chain starts at a draw
    from that Gaussian around where it came to, or there if the draw isn't plausible.

    Parameters
    ----------
    density
        What is sampled, in its first form.
    starts
        (chain, size), with finite density.
    rng
        Source of the draws.
    """
    chains, size = starts.shape
    compiled, count = gradient_of(density), 0

    def gradient(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal count
        count += len(points)
        return compiled(points)

    climb_from = _climb_near if size <= MAX_DENSE else _climb_far
    climbing = partial(climb_from, gradient, held=density.scales, rng=rng)
    tops, values = _found(gradient, climbing, density, starts)
    if size <= MAX_DENSE:
        places = with_mass(gradient, tops, values, rng)
        tops, values = tops[places], values[places]
    metric = _curved(gradient, tops[int(np.argmax(values))], chains, rng)
    if metric is None:
        tuning = Tuning(unit(size, MAX_DENSE))
    else:
        starts = _plausible(gradient, tops, values, metric, rng)
        # Beskos et al. (2013): what keeps the acceptance of a trajectory falls with the size so.
        tuning = Tuning(metric, step_size=size**-0.25)
    return State(starts, tuning, density.forms, gradients=count)


def _found(
    gradient: Gradient,
    climbing: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    density: Density,
    starts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of higher density, as `climb`, few of them hopelessly below the best one.

    Where a scale is an exponential of many variables, the density at random starts is as good as
    nothing, and so steep that no climb comes away. Chains that were lost start again half as far
    from the density's own start, a few times, and keep the highest of their places.
    """
    tops, values = climbing(starts)
    for _ in range(NEARER):
        lost = values < values.max() - LOST - DEPTH * starts.shape[1]
        if not lost.any():
            break
        starts = np.where(lost[:, None], 0.5 * (starts + density.start), tops)
        height, slope = gradient(starts)
        fine = np.isfinite(height) & np.isfinite(slope).all(axis=1)
        again, reached = climbing(np.where(fine[:, None], starts, tops))
        # Those that weren't lost have climbed enough: a funnel isn't followed to its end.
        better = lost & (reached > values)
        tops, values = np.where(better[:, None], again, tops), np.where(better, reached, values)
    return tops, values


def _climb_near(
    gradient: Gradient, starts: np.ndarray, held: Sequence[int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of higher density, as `climb`.

    Where data say very much of many effects, the first steps from afar can throw their spread to
    nearly nothing, a place so steep that a chain never leaves it. If a chain comes there, or ends
    hopelessly below the best one, all climb again, first with the spreads held, and each keeps the
    higher of its two places.
    """
    tops, values = climb(gradient, starts)
    spreads = list(held)
    fallen = tops[:, spreads] < starts[:, spreads] - FALL
    behind = values < values.max() - DEPTH * starts.shape[1]
    if not spreads or not (fallen.any() or behind.any()):
        return tops, values
    again, _ = _climb_far(gradient, starts, held, rng)
    again, reached = climb(gradient, again)
    better = reached > values
    return np.where(better[:, None], again, tops), np.where(better, reached, values)


def _climb_far(
    gradient: Gradient, starts: np.ndarray, held: Sequence[int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of higher density in many dimensions, as `climb`.

    Each variable is measured by its curvature at the best point so far, without which L-BFGS takes
    several times the gradients. The spread of many effects is held where it was: the mode of these
    together lies far from the mass of the posterior, at a spread so large that none of the
    standardised effects is far from zero, or at none.
    """
    tops, values = starts, gradient(starts)[0]
    for iterations in CLIMBS:
        best = tops[int(np.argmax(values))]
        curve = np.abs(curvature_diagonal(gradient, best, len(starts), rng))
        unit = np.where(np.isfinite(curve), np.maximum(curve, 1.0), 1.0) ** -0.5
        unit[list(held)] = 0.0
        steps, values = climb(
            partial(_in_units, gradient, tops, unit), np.zeros_like(tops), iterations=iterations
        )
        tops = tops + steps * unit
    return tops, values


def _in_units(
    gradient: Gradient, origin: np.ndarray, unit: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return log-density and gradient in u, where x = origin + unit u."""
    value, slope = gradient(origin + u * unit)
    return value, slope * unit


def _curved(
    gradient: Gradient, best: np.ndarray, chains: int, rng: np.random.Generator
) -> Metric | None:
    """Return the metric of the Gaussian with the curvature at a point; None if it has none."""
    if best.size <= MAX_DENSE:
        scale = curvature_scale(gradient, best, chains)
        return None if scale is None else Dense(scale)
    found, _ = blocks_near(gradient, np.repeat(best[None], chains, axis=0), rng)
    if found is not None:
        return found
    hessian = curvature(gradient, best, chains)
    return None if hessian is None else axes_of(hessian, np.ones(best.size))


def blocks_near(
    gradient: Gradient, points: np.ndarray, rng: np.random.Generator
) -> tuple[InBlocks | None, int]:
    """Return the metric in blocks of the mean curvature at points, and the gradients it took.

    None where the density has no blocks, or the curvature isn't finite.

    Parameters
    ----------
    gradient
        Points (chain, size) to log-densities and gradients.
    points
        (chain, size).
    rng
        Of what is moved to find them.
    """
    asked = 0

    def counted(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal asked
        asked += len(at)
        return gradient(at)

    chains = len(points)
    curve = np.abs(curvature_diagonal(counted, points[0], chains, rng))
    known = np.where(np.isfinite(curve) & (curve > 0), curve, 1.0) ** -0.5
    known = np.minimum(known, WIDEST * (1.0 + np.abs(points[0])))
    arrow = arrow_in(counted, points[0], known, chains, rng)
    whole = None if arrow is None else block_curvature(counted, points, arrow)
    found = None if arrow is None or whole is None else metric_in_blocks(whole, arrow)
    return found, asked


def _plausible(
    gradient: Gradient,
    tops: np.ndarray,
    values: np.ndarray,
    metric: Metric,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a draw around each of `tops`, or that itself where the draw isn't plausible."""
    points = tops + np.asarray(metric.stretched(rng.normal(size=tops.shape)))
    value, slope = gradient(points)
    # A draw of a normal lies size / 2 below its top on average. One that lies far deeper shows that
    # the density isn't normal there: too steep a place for any step size, where a chain would stay.
    fine = (value >= values - tops.shape[1] - DEPTH) & np.isfinite(slope).all(axis=1)
    return np.where(fine[:, None], points, tops)
