"""Hyperparameters of markets that borrow strength from each other; graphs only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.dims import MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

__all__ = ["by_profile", "correlated", "profile_dim"]

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

CORRELATION: Final = 2.0
MARKET_SD: Final = Prior("HalfNormal", sigma=0.5)
COVARIATE_EFFECT: Final = Prior("Normal", mu=0.0, sigma=0.5)


def profile_dim(history: CustomerHistory) -> str:
    """Return the dimension of hyperparameters: markets, or profiles where covariates split them."""
    return "profile" if history.covariates else MARKET


def by_profile(
    name: str,
    population: Mapping[str, Tensor],
    history: CustomerHistory,
    market_sd: Prior,
    effects: Mapping[str, Prior],
) -> dict[str, Tensor]:
    """Return each transformed hyperparameter by market, or by profile; each (profile,).

    With theta_m the vector of hyperparameters of market m on unbounded scales,

        theta_m ~ N(mu, diag(sd) R diag(sd)),    R ~ LKJ(2),

    written as a chain of Normals, each given those before it, so that the sampler can centre
    every one of them as far as its market's data go. Covariates add x'b to those in `effects`.

    Parameters
    ----------
    name
        Of the family of parameters, such as ``"purchase"``; begins the names of variables.
    population
        mu, by parameter, on unbounded scales.
    history
        Gives markets and profiles.
    market_sd
        Prior of the SD between markets, on the unbounded scales.
    effects
        Prior of the covariates' effects on those parameters that they move.
    """
    markets = len(history.markets)
    model = pm.modelcontext(None)
    theta = (
        {k: pt.broadcast_to(mu, (1,)) for k, mu in population.items()}
        if markets == 1
        else correlated(name, population, market_sd, MARKET)
    )
    if not history.covariates:
        return theta
    design, levels = _design(history)
    market = {m: i for i, m in enumerate(history.markets)}
    index = [market[str(m)] for m in history.data["cell_market"].to_numpy()]
    model.add_coords({"level": levels})
    x = model["design"] if "design" in model.named_vars else pm.Data("design", design)
    spread = {k: value[index] for k, value in theta.items()}
    for parameter, prior in effects.items():
        effect = prior.variable(f"{parameter}_effect", dims="level")
        spread[parameter] = spread[parameter] + pt.dot(x, effect)
    return spread


def correlated(
    name: str, population: Mapping[str, Tensor], spread_prior: Prior, dim: str
) -> dict[str, Tensor]:
    """Return theta of each entry of `dim`: correlated Normals around the population's values.

    The model in context needs the dimensions `dim`, ``{name}_parameter`` and, with the same labels,
    ``{name}_parameter_bis``.
    """
    sd = spread_prior.variable(f"{name}_{dim}_sd", dims=f"{name}_parameter")
    chol = _cholesky(f"{name}_{dim}_partial_correlation", len(population))
    standard: list[Tensor] = []
    theta: dict[str, Tensor] = {}
    for k, (parameter, mu) in enumerate(population.items()):
        mean = mu
        for j in range(k):
            mean = mean + sd[k] * chol[k][j] * standard[j]
        spread = sd[k] * chol[k][k]
        theta[parameter] = pm.Normal(f"{parameter}_{dim}", mean, spread, dims=dim)
        standard.append((theta[parameter] - mean) / spread)
    zero = pt.zeros(())
    rows = [pt.stack([*row, *[zero] * (len(chol) - len(row))]) for row in chol]
    matrix = pt.stack(rows)
    axes = (f"{name}_parameter", f"{name}_parameter_bis")
    pm.Deterministic(f"{name}_{dim}_correlation", pt.dot(matrix, matrix.T), dims=axes)
    return theta


def _cholesky(name: str, n: int) -> list[list[Tensor]]:
    """Return the lower triangle of the Cholesky factor of an LKJ(2) correlation matrix, by row.

    The matrix is made of independent partial correlations c_ij of i and j < i given those before j:
    (1 + c_ij) / 2 ~ Beta(e, e) with e = 2 + (n - 2 - j) / 2, j from 0, and
    L_ij = c_ij prod_{k<j} (1 - c_ik^2)^(1/2) (Lewandowski, Kurowicka, Joe 2009).
    """
    places = [(i, j) for i in range(1, n) for j in range(i)]
    shape = [CORRELATION + (n - 2 - j) / 2 for _, j in places]
    scaled = pm.Beta(name, alpha=np.array(shape), beta=np.array(shape), shape=len(places))
    partial = {place: 2 * scaled[k] - 1 for k, place in enumerate(places)}
    rows = []
    for i in range(n):
        row, left = [], pt.ones(())
        for j in range(i):
            row.append(partial[i, j] * left)
            left = left * pt.sqrt(1 - partial[i, j] ** 2)
        rows.append([*row, left])
    return rows


def _design(history: CustomerHistory) -> tuple[Any, list[str]]:
    """Return indicators of covariate labels (profile, level) but each covariate's first one."""
    columns, levels = [], []
    for name in history.covariates:
        labels = history.data[f"covariate_{name}"].to_numpy()
        for label in sorted(set(labels.tolist()))[1:]:
            columns.append((labels == label).astype(float))
            levels.append(f"{name}={label}")
    if not columns:
        raise SpecError(
            f"The covariates {', '.join(history.covariates)} have one label each: they explain "
            "nothing. Leave them out."
        )
    return np.stack(columns, axis=1), levels
