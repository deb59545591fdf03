"""Draws of one posterior put to use for another: weighted by importance, or as starts of chains.

The posteriors belong to one specification under two data sets. Both log-densities are taken at
the same values of the parameters, so that whatever the data change in the model (scales, knots)
is part of the weight. A linear-Gaussian block that both models have is integrated out of both, and
drawn anew under the second: weights in the few dimensions that are left are far more even.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.inference.blocks import spanned
from bayes_mkt.inference.collect import LOG_DENSITY
from bayes_mkt.inference.density import Density, Layout, gradient_of
from bayes_mkt.inference.evaluate import (
    completed_points,
    log_densities,
    missing,
    prepare_completed_points,
    prepare_log_densities,
    stored_values,
)
from bayes_mkt.inference.garbage import uncollected
from bayes_mkt.inference.layout import flat_draws, layout_of_draws
from bayes_mkt.inference.metric import unit
from bayes_mkt.inference.prepared import marginal
from bayes_mkt.inference.psis import Importance, effective_size, resampled, smoothed
from bayes_mkt.inference.start import blocks_near
from bayes_mkt.inference.state import State
from bayes_mkt.inference.warmup import LEAST_REACH, MAX_DENSE, MAX_REACH, Tuning, learn

if TYPE_CHECKING:
    from bayes_mkt.inference.sampling import Settings, Start
    from bayes_mkt.inference.target import Target

# Share of effective draws beyond which moving the draws gains little.
EVEN = 0.75
# Entries of a block beyond which it isn't drawn for nothing.
LARGE = 1000


def reweighted(
    draws: xr.DataTree, old: Target, new: Target, settings: Settings, names: Sequence[str]
) -> tuple[Importance, xr.DataTree | None]:
    r"""Return draws of a new posterior, resampled from those of an old one.

    With theta what isn't integrated out, draw i of the old posterior has the weight

        w_i = p_new(y_new, theta_i) / p_old(y_old, theta_i),

    Pareto-smoothed. Where that makes the weights more even, the draws are first moved to the
    weighted mean, then stretched to the weighted SD, entry by entry of the unconstrained vector,
    with the Jacobian in the weight. Resampling keeps the order of the chains, so that copies stand
    beside each other, and the ESS of the result counts them for what they are.

    Parameters
    ----------
    draws
        Of the old posterior, converged.
    old, new
        The targets; their free variables have the same names and shapes.
    settings
        Of the result: seed, chains, draws (as many as there are, if None), collapse.
    names
        Variables to store.

    Returns
    -------
    importance, tree
        k-hat, and the draws in ArviZ layout; None in place of them if k-hat is too large.

    References
    ----------
    Paananen, Piironen, Buerkner, Vehtari (2021), Implicitly adaptive importance sampling.
    Statistics and Computing 31.
    """
    posterior = draws["posterior"].to_dataset()
    with uncollected():
        after = marginal(new, settings.collapse)
        known = _known(draws, after.layout)
        if known is None:
            before = marginal(old, settings.collapse)
            if before.layout != after.layout:
                before, after = old.density(), new.density()
        # Whatever JAX computes while programs are compiled waits for them: these come before.
        points = new.unconstrain(posterior, after.layout)
        at_old = old.unconstrain(posterior, after.layout)
        if known is None:
            prepare_log_densities(before)
        log_density = _prepared_density(new, after, settings.seed)
    ratios = log_new = np.full(len(points), np.nan)
    # Where the data move a variable's bounds, the two vectors mean different values.
    if np.allclose(points, at_old, rtol=1e-9, atol=1e-9, equal_nan=True):
        log_old = log_densities(before, points) if known is None else known
        points, log_new, ratios = _weighed(points, log_old, log_density)
    weights, khat = smoothed(ratios)
    importance = Importance("reweighting", khat, len(points), effective_size(weights))
    if not importance.usable:
        return importance, None
    chains = settings.n_chains
    shape = (chains, settings.draws or -(-len(points) // chains))
    rng = seeds.generator(settings.seed, "resampling")
    chosen = resampled(weights, shape[0] * shape[1], rng)
    _, vectors = completed_points(new, after, settings.seed, points[chosen])
    values = stored_values(new, names, vectors, shape)
    statistics = {
        "log_ratio": ratios[chosen].reshape(shape),
        LOG_DENSITY: log_new[chosen].reshape(shape),
    }
    tree = layout_of_draws(new.model, names, values, statistics)
    tree.attrs.update(importance.attrs, sampled=list(after.layout.names))
    return importance, tree


def _prepared_density(
    posterior: Target, density: Density, seed: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the log-density (draw,) at points, of the program that completes them as well.

    Where the block is large, to complete points takes longer than to compile a second program.
    """
    prepare_completed_points(posterior, density)
    if missing(posterior, density) > LARGE:
        prepare_log_densities(density)
        return partial(log_densities, density)
    return lambda points: completed_points(posterior, density, seed, points)[0]


def _known(draws: xr.DataTree, layout: Layout) -> np.ndarray | None:
    """Return the log-density (draw,) that a run noted of its draws, if it sampled this vector."""
    statistics = draws["sample_stats"].to_dataset()
    sampled = [str(name) for name in np.atleast_1d(draws.attrs.get("sampled", []))]
    if LOG_DENSITY not in statistics or sampled != list(layout.names):
        return None
    return flat_draws(statistics, LOG_DENSITY)


def _weighed(
    points: np.ndarray, log_old: np.ndarray, log_density: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return draws (draw, size), moved where that helps, their log-densities and log-ratios."""
    log_volume = 0.0
    log_new = log_density(points)
    ratios = log_new - log_old
    effective = effective_size(smoothed(ratios)[0])
    for stretch in (False, True):
        if effective > EVEN * len(points):
            break
        moved, factor = _matched(points, smoothed(ratios)[0], stretch=stretch)
        volume = log_volume + float(np.log(factor).sum())
        at_moved = log_density(moved)
        trial = at_moved - log_old + volume
        found = effective_size(smoothed(trial)[0])
        if not found > effective:
            break
        points, log_new, ratios, effective, log_volume = moved, at_moved, trial, found, volume
    return points, log_new, ratios


def _matched(
    points: np.ndarray, weights: np.ndarray, *, stretch: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return draws moved to their weighted mean, or also stretched to their weighted SD.

    What the weights say is believed as far as it exceeds its own error.

    Returns
    -------
    moved, factor
        (draw, size), and by how much each entry is stretched (size,).
    """
    size = effective_size(weights)
    known = np.isfinite(points).all(axis=0)
    used = np.where(known, points, 0.0)
    mean, sd = used.mean(axis=0), np.maximum(used.std(axis=0), 1e-300)
    target = weights @ used
    shift = np.where(known, _believed((target - mean) / sd, 1.0 / size) * sd, 0.0)
    factor = np.ones(points.shape[1])
    if stretch:
        spread = np.sqrt(weights @ (used - target) ** 2)
        log_ratio = np.log(np.maximum(spread, 1e-300) / sd)
        factor = np.where(known, np.exp(_believed(log_ratio, 0.5 / size)), 1.0)
    moved = points + shift + (factor - 1.0) * (used - mean)
    return moved, factor


def _believed(found: np.ndarray, variance: float) -> np.ndarray:
    """Return estimates shrunk towards zero, to zero within their error (James-Stein)."""
    return np.asarray(found * np.maximum(1.0 - variance / np.maximum(found**2, 1e-300), 0.0))


def start_from(draws: xr.DataTree, seed: int) -> Start:
    """Return the start of a run from draws of a similar posterior.

    Chains start at draws picked at random; the scale is that of all draws together, in the
    coordinates in which the new run moves (beyond `MAX_DENSE` dimensions, and where the posterior
    falls into blocks, that of draws and curvature together), and step size and length of
    trajectories are those of the old run, where it kept them.

    Parameters
    ----------
    draws
        Posterior draws of the model's free variables, and sample statistics.
    seed
        For the choice of draws.
    """
    posterior = draws["posterior"].to_dataset()
    statistics = draws["sample_stats"].to_dataset()
    sizes = (posterior.sizes["chain"], posterior.sizes["draw"])

    def start(target: Target, density: Density, chains: int) -> State:
        points = target.unconstrain(posterior, density.layout)
        flat = density.sampled(points)
        fine = np.isfinite(flat).all(axis=1)
        flat = flat[np.flatnonzero(fine)[np.cumsum(fine) - 1]]
        density, moved = density.reformed(flat.reshape(*sizes, -1))
        size = moved.shape[-1]
        first = Tuning(unit(size, MAX_DENSE), *_pace(statistics))
        tuning = learn(first, moved, moved, first.step_size, final=False)
        rng = seeds.generator(seed, "initial positions")
        order = rng.permutation(len(flat))
        pool = moved.reshape(-1, size)[order[: max(50, 2 * chains)]]
        possible = pool[np.isfinite(log_densities(density, pool))]
        starts = np.resize(possible if len(possible) else pool, (chains, size))
        if size > MAX_DENSE:
            found, asked = blocks_near(gradient_of(density), starts, rng)
            if found is not None:
                tuning = replace(tuning, metric=spanned(found, moved.reshape(-1, size)))
            return State(starts, tuning, density.forms, gradients=asked)
        return State(starts, tuning, density.forms)

    return start


def _pace(statistics: xr.Dataset) -> tuple[float, float]:
    """Return step size and reach of a run of Hamiltonian Monte Carlo, or those to begin with."""
    if not {"step_size", "n_steps"} <= set(statistics):
        return 0.1, LEAST_REACH
    step = float(statistics["step_size"].max())
    reach = float(statistics["n_steps"].max()) * step / np.pi
    return step, float(np.clip(reach, LEAST_REACH, MAX_REACH))
