"""Tails of draws so heavy that a mean or an SD of them is no estimate."""

from __future__ import annotations

import numpy as np

from bayes_mkt.inference.psis import smoothed

# SDs from the mean: about where the furthest of ten thousand draws of an exponential lies.
FAR = 10.0


def tail_shapes(values: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return k-hat (parameter,) of the heavier tail; NaN where no draw lies far from the mean.

    k-hat is the shape of the generalised Pareto distribution fitted to the largest draws, of which
    moments below the 1/k-th are finite: above 0.5 there is no variance, so that the SD of more
    draws would be larger still, and the error of their mean isn't what it is said to be; above 1
    there is no mean.

    Parameters
    ----------
    values
        (chain, draw, parameter).
    mean, sd
        (parameter,), of all draws.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling. Journal of
    Machine Learning Research 25.
    """
    shapes = np.full(len(mean), np.nan)
    room = FAR * sd
    with np.errstate(invalid="ignore"):  # what isn't finite has another finding
        above = values.max(axis=(0, 1)) - mean > room
        below = mean - values.min(axis=(0, 1)) > room
    for i in np.flatnonzero((above | below) & np.isfinite(sd) & (sd > 0)):
        flat = values[:, :, i].ravel()
        # Exceedances don't care where the axis begins: from the other end all are positive.
        sides = [flat - flat.min()] * bool(above[i]) + [flat.max() - flat] * bool(below[i])
        with np.errstate(divide="ignore"):
            shapes[i] = max(smoothed(np.log(side))[1] for side in sides)
    return shapes
