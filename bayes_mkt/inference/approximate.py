"""First looks at a posterior: Laplace and Pathfinder, weighted by importance, k-hat as verdict.

Both put a normal distribution q, or a mixture of several, in place of the posterior p, draw from
it, and weigh each draw by p / q. Where the weights are even enough (see `psis`), draws resampled
by weight represent the posterior; where they are not, the draws are those of q, and say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from bayes_mkt import seeds
from bayes_mkt.errors import SamplingError
from bayes_mkt.inference.density import Density, gradient_of, initial_positions
from bayes_mkt.inference.evaluate import log_densities
from bayes_mkt.inference.lowrank import LOG_2PI, LowRank, along_path
from bayes_mkt.inference.mode import MAX_CURVED, Gradient, climb, curvature_scale
from bayes_mkt.inference.psis import Importance, effective_size, resampled, smoothed

PATHS = 8
CLIMB = 500
LEAST_CANDIDATES = 8000
TRIALS = 20
NEWTON_STEPS = 3
APART = 4.0
COMPARABLE = 10.0


@dataclass(frozen=True)
class Approximation:
    """Draws of an approximation, and what their weights say of it.

    Attributes
    ----------
    draws
        (draw, size), on the sampled vector: resampled by weight where `importance.usable`, else
        as they come from the approximation.
    log_density
        (draw,), of the posterior at each, up to a constant.
    importance
        Method, k-hat, and effective draws.
    """

    draws: np.ndarray
    log_density: np.ndarray
    importance: Importance


def approximate(density: Density, method: str, *, seed: int, draws: int) -> Approximation:
    r"""Return draws by Laplace's method or by Pathfinder.

    `"laplace"`: q = N(m, H^-1), with m the highest point that several climbs find and H the
    curvature of -log p there. `"pathfinder"`: each of several L-BFGS climbs gives a normal
    distribution at every point of its path; the one with the largest ELBO stands for the path,
    and q is the mixture of all paths with equal shares, so that a mode that many paths find
    doesn't count more often than one that few do.

    Parameters
    ----------
    density
        What a sampler would see: the model less its linear-Gaussian block.
    method
        `"laplace"` or `"pathfinder"`.
    seed
        Integer.
    draws
        Number of draws to return; at least `LEAST_CANDIDATES`, or twice as many, are weighted.

    Raises
    ------
    SamplingError
        If no starting point has a finite density, or no normal distribution can be found.

    References
    ----------
    Zhang, Carpenter, Gelman, Vehtari (2022), Pathfinder: parallel quasi-Newton variational
    inference. Journal of Machine Learning Research 23. The mixture in place of each path's own
    density: Veach & Guibas (1995), Optimally combining sampling techniques.
    """
    rng = seeds.generator(seed, method)
    starts = initial_positions(density, chains=PATHS, rng=rng)
    count = max(LEAST_CANDIDATES, 2 * draws)
    propose = _laplace if method == "laplace" else _pathfinder
    points, log_proposal, modes = propose(density, starts, count, rng)
    log_posterior = log_densities(density, points)
    weights, khat = smoothed(log_posterior - log_proposal)
    importance = Importance(method, khat, count, effective_size(weights), modes)
    if importance.usable:
        chosen = rng.permutation(resampled(weights, draws, rng))
    else:
        chosen = rng.permutation(np.flatnonzero(np.isfinite(log_posterior)))[:draws]
        if chosen.size < draws:
            raise SamplingError(
                f"The {method} approximation lies where the density isn't finite: "
                f"{count - np.isfinite(log_posterior).sum()} of {count} draws. Use sampler='hmc'."
            )
    return Approximation(points[chosen], log_posterior[chosen], importance)


def _laplace(
    density: Density, starts: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return draws of the normal distribution at the mode, its log-density, and other modes."""
    gradient = gradient_of(density)
    tops, values = climb(gradient, starts, iterations=CLIMB)
    mode, scale = _polished(gradient, tops[int(np.argmax(values))])
    noise = rng.normal(size=(count, mode.size))
    log_proposal = -0.5 * (noise**2).sum(axis=1) - np.log(np.diag(scale)).sum()
    distance = np.linalg.norm(solve_triangular(scale, (tops - mode).T, lower=True), axis=0)
    others = (distance > APART) & (values > values.max() - COMPARABLE)
    points = mode + noise @ scale.T
    return points, log_proposal - 0.5 * mode.size * LOG_2PI, int(others.sum())


def _polished(gradient: Gradient, mode: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode after Newton steps, and the scale there."""
    steps = 0
    while True:
        scale = curvature_scale(gradient, mode, PATHS)
        if scale is None:
            raise SamplingError(
                "sampler='laplace' needs a finite curvature at the mode, and at most "
                f"{MAX_CURVED:,} sampled dimensions (here {mode.size}). "
                "Use sampler='hmc' or 'pathfinder'."
            )
        better = _newton(gradient, mode, scale) if steps < NEWTON_STEPS else None
        if better is None:
            return mode, scale
        mode, steps = better, steps + 1


def _newton(gradient: Gradient, mode: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """Return a higher point, one Newton step away; None where none is."""
    pair = np.stack([mode] * PATHS)
    value, slope = gradient(pair)
    step = scale @ (scale.T @ slope[0])
    pair[1] = mode + step
    trial, _ = gradient(pair)
    return pair[1] if trial[1] > value[0] + 1e-6 else None


def _pathfinder(
    density: Density, starts: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return draws of the mixture over paths, and its log-density."""
    best = [
        normal
        for path in _paths(gradient_of(density), starts)
        if (normal := _highest_elbo(density, along_path(*path), rng)) is not None
    ]
    if not best:
        raise SamplingError(
            "sampler='pathfinder': no path gave a normal distribution with a finite density. "
            "Use sampler='hmc'."
        )
    sizes = [len(part) for part in np.array_split(np.arange(count), len(best))]
    points = np.concatenate([q.draw(n, rng) for q, n in zip(best, sizes, strict=True)])
    parts = np.stack([q.log_density(points) for q in best])
    shares = np.log(np.asarray(sizes) / count)
    return points, np.asarray(logsumexp(parts + shares[:, None], axis=0)), 0


def _paths(gradient: Gradient, starts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return points and gradients along the climb from each start."""
    seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def recorded(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = gradient(points)
        seen.append((points.copy(), value, slope))
        return value, slope

    climb(recorded, starts, iterations=CLIMB)
    points, values, slopes = (np.stack(parts) for parts in zip(*seen, strict=True))
    paths = []
    for chain in range(len(starts)):
        kept, highest = [], -np.inf
        for index, value in enumerate(values[:, chain]):
            # What a line search tried and left is no higher than where it came from.
            if value > highest and np.isfinite(slopes[index, chain]).all():
                kept.append(index)
                highest = value
        paths.append((points[kept, chain], slopes[kept, chain]))
    return paths


def _highest_elbo(
    density: Density, normals: list[LowRank], rng: np.random.Generator
) -> LowRank | None:
    """Return the normal distribution with the largest mean of log p - log q over its own draws."""
    if not normals:
        return None
    draws = [normal.draw(TRIALS, rng) for normal in normals]
    log_posterior = log_densities(density, np.concatenate(draws)).reshape(len(normals), TRIALS)
    elbo = np.array(
        [
            np.mean(p - q.log_density(x))
            for p, q, x in zip(log_posterior, normals, draws, strict=True)
        ]
    )
    elbo = np.where(np.isfinite(elbo), elbo, -np.inf)
    return normals[int(np.argmax(elbo))] if np.isfinite(elbo.max()) else None
