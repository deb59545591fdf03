"""Hyperparameters of markets that borrow strength from each other; graphs only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.dims import MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

__all__ = ["by_profile", "checked_priors", "profile_dim"]

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

CORRELATION: Final = 2.0
MARKET_SD: Final = Prior("HalfNormal", sigma=0.5)
COVARIATE_EFFECT: Final = Prior("Normal", mu=0.0, sigma=0.5)


def profile_dim(history: CustomerHistory) -> str:
    """Return the dimension of hyperparameters: markets, or profiles where covariates split them."""
    return "profile" if history.covariates else MARKET


def checked_priors(
    given: Mapping[str, Prior], known: Mapping[str, Prior], unit: Sequence[str] = ()
) -> Mapping[str, Prior]:
    """Return the replacements of default priors, read-only, if their names and supports fit.

    Parameters
    ----------
    given, known
        Priors by variable; those given replace those known.
    unit
        Variables in (0, 1), which take a Beta or a Uniform prior.
    """
    for name, prior in given.items():
        if name not in known:
            raise SpecError(f"priors[{name!r}]: no such variable; choose from {sorted(known)}.")
        if known[name].positive and not prior.positive:
            raise SpecError(f"priors[{name!r}]: {prior} reaches below 0, {name} can't.")
        if name in unit and prior.dist not in ("Beta", "Uniform"):
            raise SpecError(f"priors[{name!r}]: {name} lies in (0, 1); give a Beta or a Uniform.")
    return MappingProxyType(dict(given))


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
        else _correlated(name, population, market_sd)
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


def _correlated(name: str, population: Mapping[str, Tensor], market_sd: Prior) -> dict[str, Tensor]:
    """Return theta of each market: correlated Normals around the population's values."""
    count = len(population)
    chol, _, _ = pm.LKJCholeskyCov(
        f"{name}_market_covariance",
        eta=CORRELATION,
        n=count,
        sd_dist=_distribution(market_sd, count),
        compute_corr=True,
        store_in_trace=False,
    )
    standard: list[Tensor] = []
    theta: dict[str, Tensor] = {}
    for k, (parameter, mu) in enumerate(population.items()):
        mean = mu
        for j in range(k):
            mean = mean + chol[k, j] * standard[j]
        effect = pm.Normal(f"{parameter}_market", mean, chol[k, k], dims=MARKET)
        standard.append((effect - mean) / chol[k, k])
        theta[parameter] = effect
    sd = pt.sqrt((chol**2).sum(axis=1))
    pm.Deterministic(f"{name}_market_sd", sd, dims=f"{name}_parameter")
    correlation = pt.dot(chol, chol.T) / (sd[:, None] * sd[None, :])
    dims = (f"{name}_parameter", f"{name}_parameter_bis")
    pm.Deterministic(f"{name}_market_correlation", correlation, dims=dims)
    return theta


def _distribution(prior: Prior, count: int) -> Any:
    """Return a prior as a distribution of `count` independent entries, outside of the model."""
    parameters = dict(prior.parameters)
    return getattr(pm, prior.dist).dist(**parameters, shape=count)


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
