"""From jittered starts to where the posterior is: batched L-BFGS, and the curvature there.

Every chain climbs from its own start, so that a posterior of several modes still shows; all chains
share each evaluation of the compiled gradient, and nothing else is compiled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MEMORY = 10
MAX_CURVED = 4000
PROBES = 32

Gradient = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def climb(
    gradient: Gradient, starts: np.ndarray, *, iterations: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Return points of higher density, one for each start, and the log-density there.

    Parameters
    ----------
    gradient
        Points (chain, size) to log-densities (chain,) and gradients (chain, size).
    starts
        (chain, size), with finite density.
    iterations
        Of L-BFGS with a backtracking line search (Nocedal & Wright 2006, algorithm 7.5); few,
        so that a density without a maximum, such as a funnel, isn't followed to the end.
    """
    x = starts.copy()
    value, slope = gradient(x)
    steps: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    moving = np.ones(len(x), dtype=bool)
    for _ in range(iterations):
        direction = _direction(slope, steps, changes)
        uphill = (direction * slope).sum(axis=1)
        lost = uphill <= 0
        direction[lost], uphill[lost] = slope[lost], (slope[lost] ** 2).sum(axis=1)
        if not steps:
            direction /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1.0)
            uphill = (direction * slope).sum(axis=1)
        new, new_value, new_slope, took = _line(
            gradient, x, value, slope, direction, uphill, moving
        )
        gain = new_value - value
        steps = [*steps, new - x][-MEMORY:]
        changes = [*changes, slope - new_slope][-MEMORY:]
        x, value, slope = new, new_value, new_slope
        moving = moving & took & (gain > 1e-3)
        if not moving.any():
            break
    return x, value


def _direction(slope: np.ndarray, steps: list[np.ndarray], changes: list[np.ndarray]) -> np.ndarray:
    """Return the L-BFGS direction of ascent of each chain, by the two-loop recursion."""
    direction = slope.copy()
    used = []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        inner = (step * change).sum(axis=1)
        fit = inner > 1e-12 * np.linalg.norm(step, axis=1) * np.linalg.norm(change, axis=1)
        weight = np.where(fit, 1.0 / np.where(fit, inner, 1.0), 0.0)
        share = weight * (step * direction).sum(axis=1)
        direction -= share[:, None] * change
        used.append((step, change, weight, share, inner, fit))
    if used:
        _, change, _, _, inner, fit = used[0]
        scale = np.where(fit, inner / np.maximum((change**2).sum(axis=1), 1e-300), 1.0)
        direction *= scale[:, None]
    for step, change, weight, share, _, _ in reversed(used):
        back = weight * (change * direction).sum(axis=1)
        direction += (share - back)[:, None] * step
    return direction


def _line(
    gradient: Gradient,
    x: np.ndarray,
    value: np.ndarray,
    slope: np.ndarray,
    direction: np.ndarray,
    uphill: np.ndarray,
    moving: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return points after a backtracking step of each moving chain, and which chains moved."""
    new, new_value, new_slope = x.copy(), value.copy(), slope.copy()
    open_, size = moving.copy(), 1.0
    for _ in range(20):
        trial = np.where(open_[:, None], x + size * direction, new)
        at, rise = gradient(trial)
        enough = np.isfinite(at) & (at >= value + 1e-4 * size * uphill)
        taken = open_ & enough & np.isfinite(rise).all(axis=1)
        new[taken], new_value[taken], new_slope[taken] = trial[taken], at[taken], rise[taken]
        open_ &= ~taken
        if not open_.any():
            break
        size *= 0.5
    return new, new_value, new_slope, moving & ~open_


def curvature(gradient: Gradient, point: np.ndarray, chains: int) -> np.ndarray | None:
    """Return minus the Hessian of the log-density at a point, by central differences.

    Parameters
    ----------
    gradient
        As for `climb`; evaluated `chains` points at a time.
    point
        (size,).
    chains
        Points that one call takes.

    Returns
    -------
    ndarray or None
        (size, size); None where it isn't finite, or there are more than `MAX_CURVED` dimensions.
    """
    size = point.size
    if size > MAX_CURVED:
        return None
    widths = 1e-5 * (1.0 + np.abs(point))
    shifts = np.concatenate([np.diag(widths), -np.diag(widths)])
    rows = []
    for start in range(0, 2 * size, chains):
        part = shifts[np.arange(start, start + chains) % (2 * size)]
        rows.append(gradient(point + part)[1])
    slopes = np.concatenate(rows)[: 2 * size]
    hessian = -(slopes[:size] - slopes[size:]) / (2 * widths[:, None])
    return (hessian + hessian.T) / 2 if np.isfinite(hessian).all() else None


def curvature_diagonal(
    gradient: Gradient, point: np.ndarray, chains: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the diagonal (size,) of minus the Hessian at a point, roughly, for few gradients.

    With signs v drawn at random, the mean of v (H v) is the diagonal of H (Bekas, Kokiopoulou &
    Saad 2007); the error of each entry is its row's norm over the square root of `PROBES`.

    Parameters
    ----------
    gradient, point, chains
        As for `curvature`.
    rng
        Source of the signs.
    """
    widths = 1e-5 * (1.0 + np.abs(point))
    found = []
    for _ in range(-(-PROBES // chains)):
        signs = rng.choice((-1.0, 1.0), (chains, point.size))
        slopes = [gradient(point + side * widths * signs)[1] for side in (1.0, -1.0)]
        found.append((slopes[1] - slopes[0]) * signs / (2 * widths))
    return np.asarray(np.concatenate(found).mean(axis=0))


def curvature_scale(gradient: Gradient, point: np.ndarray, chains: int) -> np.ndarray | None:
    """Return the scale, a lower triangle, of the Gaussian with the curvature at a point.

    Directions that curve the wrong way are taken by the size of their curvature. None where
    `curvature` is.
    """
    hessian = curvature(gradient, point, chains)
    if hessian is None:
        return None
    values, axes = np.linalg.eigh(hessian)
    floor = max(1e-12, 1e-12 * float(np.abs(values).max()))
    root = axes / np.sqrt(np.maximum(np.abs(values), floor))
    upper = np.linalg.qr(root.T, mode="r")
    return np.asarray(upper.T * np.sign(np.diag(upper)))
