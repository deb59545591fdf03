"""The posteriors of the suite as PyMC models, the same objects for every system."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt

from benchmarks.peers import media, simulated
from benchmarks.peers.columns import GEO_ALL_CHANNELS, GEO_MEDIA

CDNOW = ("cdnow", "cdnow_customers_summary.csv")


def build(name: str, data: Path) -> pm.Model:
    """Return the model called `name`.

    Parameters
    ----------
    name
        One of `MODELS`.
    data
        The folder of real data sets.
    """
    return MODELS[name](data)


def kept(model: pm.Model) -> list[str]:
    """Return what is kept of a sampling: free variables, and what is made of them."""
    return [v.name for v in (*model.free_RVs, *model.deterministics)]


def eight_schools(data: Path) -> pm.Model:
    """Return the eight schools of Rubin (1981), non-centred."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        z = pm.Normal("z", 0.0, 1.0, shape=8)
        theta = pm.Deterministic("theta", mu + tau * z)
        pm.Normal("y", theta, simulated.SCHOOL_ERRORS, observed=simulated.SCHOOL_EFFECTS)
    return model


def funnel(data: Path) -> pm.Model:
    """Return the funnel of Neal (2003), non-centred: v ~ N(0, 3), x = exp(v / 2) z."""
    with pm.Model() as model:
        v = pm.Normal("v", 0.0, simulated.FUNNEL_SD)
        z = pm.Normal("z", 0.0, 1.0, shape=simulated.FUNNEL_SIZE)
        pm.Deterministic("x", pt.exp(v / 2.0) * z)
    return model


def normal(data: Path, size: int) -> pm.Model:
    """Return a normal distribution of correlated variables."""
    truth = simulated.correlated_normal(size)
    with pm.Model() as model:
        pm.MvNormal("x", mu=truth.mean, chol=truth.cholesky, shape=size)
    return model


def logistic(data: Path, groups: int) -> pm.Model:
    """Return a logistic regression with an intercept for each group, non-centred."""
    rows = simulated.grouped_outcomes(groups)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.5)
        tau = pm.HalfNormal("tau", 1.0)
        z = pm.Normal("z", 0.0, 1.0, shape=groups)
        beta = pm.Normal("beta", 0.0, 1.0, shape=rows.covariates.shape[1])
        group = pm.Data("group", rows.group)
        covariates = pm.Data("covariates", rows.covariates)
        logit = mu + tau * z[group] + pt.dot(covariates, beta)
        pm.Bernoulli("y", logit_p=logit, observed=rows.outcome)
    return model


def bgnbd(data: Path) -> pm.Model:
    """Return the BG/NBD model of Fader, Hardie & Lee (2005) on 2,357 customers of CDNOW.

    One term for each customer. Priors on rates a week and on the dropout's mean and strength:
    r ~ Weibull(2, 1), alpha ~ Weibull(2, 10), phi ~ U(0, 1), kappa ~ Pareto(1, 1); a = phi kappa,
    b = (1 - phi) kappa.
    """
    rows = pd.read_csv(data.joinpath(*CDNOW))
    with pm.Model() as model:
        r = pm.Weibull("r", 2.0, 1.0)
        alpha = pm.Weibull("alpha", 2.0, 10.0)
        phi = pm.Uniform("phi", 0.0, 1.0)
        kappa = pm.Pareto("kappa", 1.0, 1.0)
        a = pm.Deterministic("a", phi * kappa)
        b = pm.Deterministic("b", (1.0 - phi) * kappa)
        x, recency, age = (
            pm.Data(column, rows[column].to_numpy(float))
            for column in ("frequency", "recency", "T")
        )
        pm.Potential("purchases", _bgnbd_terms(x, recency, age, r, alpha, a, b).sum())
    return model


def _bgnbd_terms(x: Any, recency: Any, age: Any, r: Any, alpha: Any, a: Any, b: Any) -> Any:
    """Return the log-likelihood of each customer."""
    bought = pt.gammaln(r + x) - pt.gammaln(r) + r * pt.log(alpha)
    stayed = pt.gammaln(b + x) + pt.gammaln(a + b) - pt.gammaln(b) - pt.gammaln(a + b + x)
    alive = -(r + x) * pt.log(alpha + age)
    left = pt.log(a) - pt.log(b + pt.maximum(x, 1.0) - 1.0) - (r + x) * pt.log(alpha + recency)
    return bought + stayed + pt.where(x > 0.0, pt.logaddexp(alive, left), alive)


def geo_media(data: Path) -> pm.Model:
    """Return the geo model on `geo_media`, as Meridian writes it."""
    return media.model(media.read(data, GEO_MEDIA))


def geo_media_centred(data: Path) -> pm.Model:
    """Return the same posterior with region effects of controls written centred."""
    return media.model(media.read(data, GEO_MEDIA), centred=True)


def geo_all_channels(data: Path) -> pm.Model:
    """Return the geo model on `geo_all_channels`, with organic media and promotion."""
    return media.model(media.read(data, GEO_ALL_CHANNELS))


MODELS: dict[str, Callable[[Path], pm.Model]] = {
    "geo_media": geo_media,
    "geo_media_centred": geo_media_centred,
    "geo_all_channels": geo_all_channels,
    "bgnbd": bgnbd,
    "logistic": partial(logistic, groups=1000),
    "eight_schools": eight_schools,
    "normal": partial(normal, size=1000),
    "normal_100": partial(normal, size=100),
    "funnel": funnel,
}

NEEDS_DATA = frozenset({"geo_media", "geo_media_centred", "geo_all_channels", "bgnbd"})


def draws_of(values: Any, names: list[str]) -> dict[str, np.ndarray]:
    """Return the named draws of a dataset as arrays."""
    return {name: np.asarray(values[name]) for name in names}
