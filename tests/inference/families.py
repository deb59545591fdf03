"""Models whose group effects have other priors than the normal one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm

GROUPS = 6
Y = np.array([2.8, 0.8, -0.3, 0.7, 0.1, 1.2])
# Each with a sampled location, or shape, and a sampled positive scale.
FAMILIES: dict[str, Callable[[Any, Any], Any]] = {
    "StudentT": lambda a, b: pm.StudentT("effect", nu=4.0, mu=a, sigma=b, shape=GROUPS),
    "Laplace": lambda a, b: pm.Laplace("effect", a, b, shape=GROUPS),
    "Logistic": lambda a, b: pm.Logistic("effect", a, b, shape=GROUPS),
    "Cauchy": lambda a, b: pm.Cauchy("effect", a, b, shape=GROUPS),
    "LogNormal": lambda a, b: pm.LogNormal("effect", a, b, shape=GROUPS),
    "Gamma": lambda a, b: pm.Gamma("effect", pm.math.exp(a), b, shape=GROUPS),
    "InverseGamma": lambda a, b: pm.InverseGamma("effect", pm.math.exp(a), b, shape=GROUPS),
    "Weibull": lambda a, b: pm.Weibull("effect", pm.math.exp(a), b, shape=GROUPS),
    "Exponential": lambda a, b: pm.Exponential("effect", scale=b, shape=GROUPS),
    "HalfNormal": lambda a, b: pm.HalfNormal("effect", b, shape=GROUPS),
    "Beta": lambda a, b: pm.Beta("effect", pm.math.exp(a), b, shape=GROUPS),
}


def family(name: str) -> Callable[[], None]:
    """A model whose effects have a prior other than the normal one."""

    def build() -> None:
        effect = FAMILIES[name](pm.Normal("a", 1.0, 0.5), pm.HalfNormal("b", 1.0))
        pm.Normal("y", effect, 1.0, observed=Y)

    build.__name__ = f"model_{name}"
    return build
