"""What is expected of the alive at few ages, for customers of every age: Chebyshev interpolation.

Given hyperparameters, what customers who are alive will do depends on their count and on their age
alone, and on age smoothly. So many states that agree in profile and count share a few ages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.customers.states import Rows

__all__ = ["Ages", "shared_ages"]

Array = NDArray[Any]
NODES: Final = 14


@dataclass(frozen=True)
class Ages:
    """Where to compute, and how every state gets its value from that.

    Parameters
    ----------
    points
        Profile, count and age of each point (point,).
    key
        Each state's block of points (state,); None if a state's value is that of one point.
    weights
        Of the block's points for each state (state, node); or each state's point (state,).
    """

    points: tuple[Array, Array, Array]
    key: Array | None
    weights: Array

    def spread(self, values: Array) -> Array:
        """Return values of points (draw, point, ...) for states (draw, state, ...)."""
        if self.key is None:
            return np.asarray(values[:, self.weights])
        tail = values.shape[2:]
        blocks = values.reshape(len(values), -1, NODES, *tail)
        out = np.zeros((len(values), self.key.size, *tail))
        for k in range(NODES):
            weight = self.weights[:, k].reshape(-1, *[1] * len(tail))
            out += weight * blocks[:, self.key, k]
        return out


def shared_ages(rows: Rows, least: Array, nodes: int = NODES) -> Ages:
    """Return the points at which to compute, whichever are fewer: the rows, or shared ages.

    Parameters
    ----------
    rows
        Of the purchase likelihood.
    least
        The smallest alpha among the draws, by profile: expectations vary with ln(alpha + T).

    Notes
    -----
    Blocks are profile and count; their points are Chebyshev's in ln(alpha + T). With 14 of them
    what is interpolated is within 1e-6 of its value in ordinary cases; the tests measure it.
    """
    x, age = rows.columns["frequency"], rows.columns["age"]
    real = rows.weight > 0
    frame = pd.DataFrame({"profile": rows.profile[real], "x": x[real], "age": age[real]})
    key = frame.groupby(["profile", "x"], sort=True).ngroup().to_numpy()
    count = int(key.max()) + 1
    if count * nodes >= real.sum():
        points = rows.profile[real], x[real], age[real]
        return Ages(points, None, rows.index)
    scale = least[frame["profile"]]
    place = np.log(scale + frame["age"].to_numpy())
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, key, place)
    np.maximum.at(high, key, place)
    half = np.maximum(0.5 * (high - low), 1e-9)
    angle = np.pi * (np.arange(nodes) + 0.5) / nodes
    where = np.cos(angle)
    first = np.zeros(count, dtype=int)
    first[key[::-1]] = np.arange(key.size)[::-1]
    grid = np.exp(0.5 * (high + low)[:, None] + half[:, None] * where)
    ages = np.maximum(grid - scale[first][:, None], 0.0)
    z = (place - 0.5 * (high + low)[key]) / half[key]
    weights = barycentric(np.clip(z, -1.0, 1.0), where, (-1.0) ** np.arange(nodes) * np.sin(angle))
    profile, counts = (np.repeat(frame[n].to_numpy()[first], nodes) for n in ("profile", "x"))
    return Ages((profile, counts, ages.ravel()), key[rows.index], weights[rows.index])


def barycentric(z: Array, nodes: Array, factors: Array) -> Array:
    """Return the weights of values at `nodes` for each of `z`, (z, node); they sum to 1."""
    apart = z[:, None] - nodes
    hit = np.abs(apart) < 1e-14
    raw = factors / np.where(hit, 1.0, apart)
    weights = raw / raw.sum(axis=1, keepdims=True)
    exact = hit.any(axis=1)
    weights[exact] = hit[exact]
    return np.asarray(weights)
