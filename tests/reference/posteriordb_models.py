"""Models of posteriordb, in PyMC, by name; each takes the data and names what is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

Data = dict[str, Any]
MODELS: dict[str, Callable[[Data], pm.Model]] = {}


def register(name: str) -> Callable[[Callable[[Data], pm.Model]], Callable[[Data], pm.Model]]:
    def add(build: Callable[[Data], pm.Model]) -> Callable[[Data], pm.Model]:
        MODELS[name] = build
        return build

    return add


def _linear(y: Any, design: np.ndarray, *, flat: bool) -> pm.Model:
    with pm.Model() as model:
        beta = pm.Flat("beta", shape=design.shape[1])
        sigma = pm.HalfFlat("sigma") if flat else pm.HalfCauchy("sigma", 2.5)
        pm.Normal("y", pt.dot(design, beta), sigma, observed=np.asarray(y, dtype=float))
    return model


def _columns(*columns: Any) -> np.ndarray:
    return np.column_stack([np.asarray(c, dtype=float) for c in columns])


@register("arK-arK")
def ark(data: Data) -> pm.Model:
    y, k = np.asarray(data["y"]), data["K"]
    past = np.column_stack([y[k - i - 1 : len(y) - i - 1] for i in range(k)])
    with pm.Model() as model:
        alpha = pm.Normal("alpha", 0, 10)
        beta = pm.Normal("beta", 0, 10, shape=k)
        sigma = pm.HalfCauchy("sigma", 2.5)
        pm.Normal("y", alpha + pt.dot(past, beta), sigma, observed=y[k:])
    return model


@register("arma-arma11")
def arma(data: Data) -> pm.Model:
    y = np.asarray(data["y"])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 10)
        phi = pm.Normal("phi", 0, 2)
        theta = pm.Normal("theta", 0, 2)
        sigma = pm.HalfCauchy("sigma", 2.5)
        first = y[0] - (mu + phi * mu)
        errors = [first]
        # err_t = y_t - mu - phi y_{t-1} - theta err_{t-1} is a triangular linear system.
        known = pt.concatenate([first[None], y[1:] - mu - phi * y[:-1]])
        lower = pt.eye(len(y)) + theta * pt.as_tensor(np.eye(len(y), k=-1))
        errors = pt.linalg.solve_triangular(lower, known, lower=True, b_ndim=1)
        pm.Potential("likelihood", pm.logp(pm.Normal.dist(0, sigma), errors).sum())
    return model


@register("diamonds-diamonds")
def diamonds(data: Data) -> pm.Model:
    x, y = np.asarray(data["X"], dtype=float), np.asarray(data["Y"], dtype=float)
    means = x[:, 1:].mean(axis=0)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 1, shape=data["K"] - 1)
        intercept = pm.StudentT("Intercept", nu=3, mu=8, sigma=10)
        sigma = pm.HalfStudentT("sigma", nu=3, sigma=10)
        pm.Normal("y", intercept + pt.dot(x[:, 1:] - means, b), sigma, observed=y)
        pm.Deterministic("b_Intercept", intercept - pt.dot(means, b))
    return model


@register("earnings-earn_height")
def earn_height(data: Data) -> pm.Model:
    return _linear(data["earn"], _columns(np.ones(data["N"]), data["height"]), flat=True)


@register("earnings-logearn_height_male")
def logearn_height_male(data: Data) -> pm.Model:
    design = _columns(np.ones(data["N"]), data["height"], data["male"])
    return _linear(np.log(data["earn"]), design, flat=True)


@register("eight_schools-eight_schools_noncentered")
def eight_schools(data: Data) -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        z = pm.Normal("z", 0, 1, shape=data["J"])
        theta = pm.Deterministic("theta", mu + tau * z)
        pm.Normal("y", theta, np.asarray(data["sigma"], float), observed=np.asarray(data["y"]))
    return model


@register("gp_pois_regr-gp_regr")
def gp_regr(data: Data) -> pm.Model:
    x, y = np.asarray(data["x"], dtype=float), np.asarray(data["y"], dtype=float)
    distance = (x[:, None] - x[None, :]) ** 2
    with pm.Model() as model:
        rho = pm.Gamma("rho", 25, 4)
        alpha = pm.HalfNormal("alpha", 2)
        sigma = pm.HalfNormal("sigma", 1)
        cov = alpha**2 * pt.exp(-distance / (2 * rho**2)) + sigma * np.eye(len(x))
        pm.MvNormal("y", np.zeros(len(x)), cov, observed=y)
    return model


@register("kidiq-kidscore_interaction")
def kidscore_interaction(data: Data) -> pm.Model:
    hs, iq = np.asarray(data["mom_hs"], float), np.asarray(data["mom_iq"], float)
    return _linear(data["kid_score"], _columns(np.ones(data["N"]), hs, iq, hs * iq), flat=False)


@register("kidiq-kidscore_momhs")
def kidscore_momhs(data: Data) -> pm.Model:
    return _linear(data["kid_score"], _columns(np.ones(data["N"]), data["mom_hs"]), flat=False)


@register("kilpisjarvi_mod-kilpisjarvi")
def kilpisjarvi(data: Data) -> pm.Model:
    with pm.Model() as model:
        alpha = pm.Normal("alpha", data["pmualpha"], data["psalpha"])
        beta = pm.Normal("beta", data["pmubeta"], data["psbeta"])
        sigma = pm.HalfFlat("sigma")
        x = np.asarray(data["x"], dtype=float)
        pm.Normal("y", alpha + beta * x, sigma, observed=np.asarray(data["y"], dtype=float))
    return model


@register("low_dim_gauss_mix-low_dim_gauss_mix")
def low_dim_gauss_mix(data: Data) -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal(
            "mu", 0, 2, shape=2, transform=pm.distributions.transforms.ordered, initval=[-1.0, 1.0]
        )
        sigma = pm.HalfNormal("sigma", 2, shape=2)
        theta = pm.Beta("theta", 5, 5)
        parts = [pm.Normal.dist(mu[0], sigma[0]), pm.Normal.dist(mu[1], sigma[1])]
        weights = pt.stack([theta, 1 - theta])
        pm.Mixture("y", weights, parts, observed=np.asarray(data["y"]))
    return model


@register("mesquite-logmesquite_logvash")
def logmesquite_logvash(data: Data) -> pm.Model:
    d1, d2 = np.asarray(data["diam1"]), np.asarray(data["diam2"])
    height, total = np.asarray(data["canopy_height"]), np.asarray(data["total_height"])
    design = _columns(
        np.ones(data["N"]),
        np.log(d1 * d2 * height),
        np.log(d1 * d2),
        np.log(d1 / d2),
        np.log(total),
        data["group"],
    )
    return _linear(np.log(data["weight"]), design, flat=True)


@register("nes2000-nes")
def nes(data: Data) -> pm.Model:
    age = np.asarray(data["age_discrete"])
    design = _columns(
        np.ones(data["N"]),
        data["real_ideo"],
        data["race_adj"],
        age == 2,
        age == 3,
        age == 4,
        data["educ1"],
        data["gender"],
        data["income"],
    )
    return _linear(data["partyid7"], design, flat=True)


@register("sblri-blr")
def blr(data: Data) -> pm.Model:
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 10, shape=data["D"])
        sigma = pm.HalfNormal("sigma", 10)
        x = np.asarray(data["X"], dtype=float)
        pm.Normal("y", pt.dot(x, beta), sigma, observed=np.asarray(data["y"], dtype=float))
    return model
