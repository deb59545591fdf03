"""What data say of each group effect, as if it had been observed with noise; learnt from draws.

Of theta ~ N(mu, s) data are taken to say t ~ N(theta, 1 / tau), where t may be a line in what else
is told of the group. tau, t0 and the line's slopes are those under which draws of the effects are
likeliest, given their means and SDs.
"""

from __future__ import annotations

import numpy as np

from bayes_mkt.inference.effects import conditional

WEIGHTS = np.geomspace(1e-2, 1e4, 13)
GAIN = 0.02
RIDGE = 1e-6


def learn(
    effect: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    factor: np.ndarray,
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tau, t0 (effect,) and b (effect, partner) under which draws of effects are likeliest.

    Parameters
    ----------
    effect, mean, sd, factor
        (draw, effect).
    rows
        Theta of the effects' partners, by row (draw, row, partner); None where they have none.
    """
    size = effect.shape[1]
    steps: tuple[np.ndarray | None, ...] = (None,) if rows is None else (None, rows)
    unit = 1.0 / np.maximum(np.median((sd * factor) ** 2, axis=0), 1e-300)
    tau, t = np.zeros(size), np.zeros(size)
    b = np.zeros((size, 0 if rows is None else rows.shape[2]))
    best = _score(effect, mean, sd, factor, tau, t)
    for partners in steps:
        # The simpler form stays where the other is hardly better.
        best = best + GAIN
        for weight in WEIGHTS:
            trial = weight * unit
            # Given tau, t is a regression of the effect on the share of it that the data decide.
            center, width = conditional(trial, 0.0, mean, sd, factor)
            slope = trial * sd**2 * factor / (1.0 + trial * (sd * factor) ** 2) / width
            start, line, places = _line(slope, (effect - center) / width, partners)
            score = _score(effect, mean, sd, factor, trial, places)
            better = np.isfinite(score) & (score > best)
            best = np.where(better, score, best)
            tau, t = np.where(better, trial, tau), np.where(better, start, t)
            if line is not None:
                b = np.where(better[:, None], line, b)
    return tau, t, b


def _line(
    slope: np.ndarray, effect: np.ndarray, rows: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return t0, b, and t of each draw, by least squares: effect = slope (t0 + sum_k b_k theta_k).

    Parameters
    ----------
    slope, effect
        (draw, effect).
    rows
        theta (draw, row, partner).
    """
    if rows is None:
        start = (slope * effect).sum(axis=0) / np.maximum((slope**2).sum(axis=0), 1e-300)
        return start, None, start
    middle, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    count, (draws, length, _) = rows.shape[2] + 1, rows.shape
    x = np.concatenate([np.ones((draws, length, 1)), (rows - middle) / spread], axis=2)
    by_row = slope.reshape(draws, length, -1)
    moments = np.einsum("dre,drk,drl->rekl", by_row**2, x, x, optimize=True)
    sums = np.einsum("dre,drk->rek", by_row * effect.reshape(by_row.shape), x, optimize=True)
    size = np.maximum(np.trace(moments, axis1=2, axis2=3), 1e-300)
    moments = moments + (RIDGE * size)[..., None, None] * np.eye(count)
    found = np.linalg.solve(moments, sums[..., None])[..., 0]
    places = np.einsum("drk,rek->dre", x, found, optimize=True).reshape(effect.shape)
    line = found[..., 1:] / spread[:, None]
    start = found[..., 0] - (line * middle[:, None]).sum(axis=2)
    return start.ravel(), line.reshape(-1, count - 1), places


def _score(
    effect: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    factor: np.ndarray,
    tau: np.ndarray,
    t: np.ndarray,
) -> np.ndarray:
    """Return the mean log-density (effect,) of the draws, up to a constant."""
    center, width = conditional(tau, t, mean, sd, factor)
    return np.asarray(-(np.log(width) + 0.5 * ((effect - center) / width) ** 2).mean(axis=0))
