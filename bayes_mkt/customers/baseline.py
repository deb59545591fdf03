"""The baseline hazard: how it moves over time, and how markets deviate from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_mkt.dims import MARKET
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.customers.spells import Spells

Array = NDArray[Any]
# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

SHAPES = 4  # smooth functions by which a market's curve may deviate from the common one
HSGP_TERMS = 12
# The SD of each effect by which markets differ.
SPREADS: Mapping[str, str] = MappingProxyType(
    {
        "market_effect": "market_sd",
        "shape_effect": "shape_sd",
        "never_market_effect": "never_market_sd",
    }
)


def walk_basis(steps: int, rank: int | None = None) -> Array:
    """Return B such that B z, z ~ N(0, 1), is a centred random walk of total variance about one.

    With C the cumulative sum over `steps` points, centred and divided by the root of their number,
    B = U S from its singular value decomposition: C z and B z have the same distribution, but the
    entries of z act on orthogonal curves, the smoothest first. The walk's SD from the first to the
    last point is one, however many points there are.

    Parameters
    ----------
    steps
        Number of points, >= 1.
    rank
        How many curves to keep; None keeps all ``steps - 1``.

    Returns
    -------
    ndarray
        (steps, rank).

    Examples
    --------
    >>> basis = walk_basis(5)
    >>> basis.shape
    (5, 4)
    >>> bool(abs(basis.sum(axis=0)).max() < 1e-12)
    True
    """
    if steps == 1:
        return np.zeros((1, 0))
    walk = np.tril(np.ones((steps, steps - 1)), k=-1) / np.sqrt(steps - 1.0)
    left, size, _ = np.linalg.svd(walk - walk.mean(axis=0), full_matrices=False)
    # Signs of singular vectors are arbitrary: the last entry is made positive.
    basis = left * size * np.where(left[-1] < 0, -1.0, 1.0)
    return np.ascontiguousarray(basis[:, :rank])


def common_curve(spec: Any, cuts: Array, beyond: Tensor | None = None) -> Tensor:
    """Return the log of the baseline hazard relative to its scale, (interval,).

    Parameters
    ----------
    spec
        The specification.
    cuts
        Ends of the intervals.
    beyond
        By how much this curve lies above the one that data know best (interval,), a function of
        other variables. Level and steps of that curve are sampled, as `typical_level` and
        `typical_step`; the priors are those of the baseline all the same. None samples the
        baseline itself.
    """
    mean = None if beyond is None else beyond.mean()
    level = shifted(spec.prior("baseline_level"), "baseline_level", "typical_level", mean)
    if len(cuts) == 1:
        return level[None]
    sd = spec.prior("baseline_sd").variable("baseline_sd")
    if spec.baseline == "hsgp":
        return level + _smooth(spec, cuts, sd)
    basis = walk_basis(len(cuts))
    pm.modelcontext(None).add_coord("walk", np.arange(basis.shape[1]))
    if beyond is None:
        step = pm.Normal("baseline_step", 0.0, sd, dims="walk")
    else:
        rise = pt.dot(pm.Data("walk_inverse", np.linalg.pinv(basis)), beyond)
        step = pm.Normal("typical_step", -rise, sd, dims="walk")
        step = pm.Deterministic("baseline_step", step + rise, dims="walk")
    return level + pt.dot(pm.Data("walk_basis", basis), step)


def shifted(prior: Prior, name: str, typical: str, beyond: Tensor | None) -> Tensor:
    """Return a scalar with its prior, sampled as what is left of it less `beyond`, if it is Normal.

    Parameters
    ----------
    prior
        Of the scalar.
    name, typical
        Of the scalar, and of what is sampled in its place.
    beyond
        A function of other variables; None samples the scalar itself.
    """
    if beyond is None or prior.dist != "Normal":
        return prior.variable(name)
    mean, sigma = (dict(prior.parameters)[part] for part in ("mu", "sigma"))
    return pm.Deterministic(name, pm.Normal(typical, mean - beyond, sigma) + beyond)


def market_shares(data: Spells) -> Array:
    """Return which share of the customers each market has (market,)."""
    rows = data.data
    market = rows["market_of_cell"].values[rows["cell_of_row"].values]
    count = np.bincount(market, rows["count"].values, minlength=len(data.markets))
    return np.asarray(count / count.sum())


def customers_mean(size: Tensor, by_market: Tensor) -> Tensor:
    """Return the mean over customers of what markets have, (market, ...) to (...).

    Parameters
    ----------
    size
        Share of the customers in each market of the data (market,).
    by_market
        Predictions may bring further markets, after those of the data; they count for nothing.
    """
    markets = len(pm.modelcontext(None).coords[MARKET])
    return pt.dot(size, by_market[:markets])


def market_curves(spec: Any, intervals: int) -> Tensor | None:
    """Return by how much each market's log hazard deviates, broadcastable to (market, interval)."""
    if spec.markets == "none":
        return None
    level = pm.Normal(
        "market_effect", 0.0, spec.prior("market_sd").variable("market_sd"), dims=MARKET
    )
    curve = level[:, None]
    if spec.markets == "level" or intervals == 1:
        return curve
    basis = walk_basis(intervals, SHAPES)
    pm.modelcontext(None).add_coord("shape", np.arange(basis.shape[1]))
    sd = spec.prior("shape_sd").variable("shape_sd")
    shape = pm.Normal("shape_effect", 0.0, sd, dims=(MARKET, "shape"))
    return curve + pt.dot(shape, pm.Data("shape_basis", basis).T)


def _smooth(spec: Any, cuts: Array, sd: Tensor) -> Tensor:
    """Return a Gaussian process over the intervals, by Hilbert space basis."""
    middle = 0.5 * (np.concatenate([[0.0], cuts[:-1]]) + cuts) / cuts[-1]
    scale = spec.prior("lengthscale").variable("lengthscale")
    process = pm.gp.HSGP(m=[HSGP_TERMS], c=1.5, cov_func=pm.gp.cov.Matern32(1, ls=scale))
    basis, root = process.prior_linearized((middle - 0.5)[:, None])
    pm.modelcontext(None).add_coord("wave", np.arange(HSGP_TERMS))
    step = pm.Normal("baseline_step", 0.0, sd * root, dims="wave")
    # Centred, as the walk is: the level is a variable of its own.
    return pt.dot(basis - basis.mean(axis=0), step)
