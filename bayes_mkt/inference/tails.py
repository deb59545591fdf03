"""Tails of draws so heavy that a mean or an SD of them is no estimate."""

from __future__ import annotations

import numpy as np
from arviz_stats.base import array_stats

# SDs from the mean: about where the furthest of ten thousand draws of an exponential lies.
FAR = 10.0


def tail_shapes(values: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Return k-hat (parameter,) of the tail that reaches further; NaN where none reaches far.

    k-hat is the shape of the generalised Pareto distribution fitted to the ``3 sqrt(S)`` largest of
    S draws, of which moments below the 1/k-th are finite: above 0.5 there is no variance, so that
    the SD of more draws would be larger still, and the error of their mean isn't what it is said to
    be; above 1 there is no mean.

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
    with np.errstate(invalid="ignore"):  # what isn't finite has another finding
        above, below = values.max(axis=(0, 1)) - mean, mean - values.min(axis=(0, 1))
        far = (np.maximum(above, below) > FAR * sd) & np.isfinite(sd) & (sd > 0)
    for i in np.flatnonzero(far):
        draws = values[:, :, i]
        side = "right" if above[i] >= below[i] else "left"
        extreme = draws.max() if side == "right" else draws.min()
        if (draws == extreme).sum() < int(3 * np.sqrt(draws.size)):  # else a lump, and no tail
            shapes[i] = array_stats.pareto_khat(
                draws, chain_axis=0, draw_axis=1, r_eff=1.0, tail=side
            )
    return shapes
