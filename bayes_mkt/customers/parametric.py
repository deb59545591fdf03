"""Parametric survival: Weibull, log-normal and log-logistic times, accelerated by covariates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_mkt.customers.effects import EFFECT_PRIORS, Coding, effects
from bayes_mkt.customers.never import NEVER_PRIORS, check_never, never_logit
from bayes_mkt.customers.rows import (
    BY_ROW,
    ENDED,
    OPEN,
    Never,
    log_density,
    log_event,
    log_survival,
    observe,
)
from bayes_mkt.customers.spells import Spells, check_events, crude_rate
from bayes_mkt.dims import FEATURE, MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade

__all__ = ["ParametricSurvival"]

Array = NDArray[Any]
# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        **EFFECT_PRIORS,
        **NEVER_PRIORS,
        "intercept": Prior("Normal", mu=0.0, sigma=2.0),
        "shape": Prior("LogNormal", mu=0.0, sigma=0.5),
        "market_sd": Prior("HalfNormal", sigma=0.5),
    }
)
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "distribution": ("weibull", "log_normal", "log_logistic"),
        "markets": ("level", "none"),
        "effects": ("horseshoe", "normal"),
        "never": ("none", "market", "regression"),
    }
)


@dataclass(frozen=True, kw_only=True)
class ParametricSurvival:
    """Accelerated failure times, pooled over markets.

        log T = mu + x'b + g_m + e / k,    z = k (log t - mu - x'b - g_m),
        S(t) = exp(-e^z)  (weibull),   Phi(-z)  (log_normal),   1 / (1 + e^z)  (log_logistic),

    e of the standard extreme-value, normal or logistic distribution: an effect b multiplies all
    times by e^b. With never-returners S(t) = pi + (1 - pi) S(t).

    Parameters
    ----------
    distribution
        `"weibull"` (default), `"log_normal"` or `"log_logistic"`.
    markets
        g: `"level"` (default), N(0, market_sd); or `"none"`.
    effects, relevant
        b, as in `SecondPurchase`; default `"normal"`.
    never
        pi, as in `SecondPurchase`; default `"none"`.
    priors
        Replacements of default priors, by variable name. `shape` is k; `intercept` is mu less the
        log of the crude mean time (time at risk by events).

    Notes
    -----
    Where the data's `resolution` is above 0, an event at t adds log(S(t - resolution) - S(t));
    where it is 0, the log density at t. Left truncation divides by S(entry).

    References
    ----------
    Kalbfleisch and Prentice (2002), The statistical analysis of failure time data, chapter 3.

    Examples
    --------
    >>> ParametricSurvival(distribution="log_normal").never
    'none'
    """

    distribution: Literal["weibull", "log_normal", "log_logistic"] = "weibull"
    markets: Literal["level", "none"] = "level"
    effects: Literal["horseshoe", "normal"] = "normal"
    relevant: float | None = None
    never: Literal["none", "market", "regression"] = "none"
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset(
        {"survival", "linear_predictor", "never_probability", *BY_ROW.values()}
    )

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                choices = ", ".join(map(repr, allowed))
                raise SpecError(f"{name}={getattr(self, name)!r}: choose from {choices}.")
        object.__setattr__(self, "priors", checked_priors(self.priors, PRIORS))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def prior(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        return self.priors.get(name, PRIORS[name])

    def check(self, data: Spells) -> None:
        """Raise `SpecError` if this specification can't be built on `data`."""
        check_events(data)
        check_never(self, data)
        if data.episodic and self.distribution != "weibull":
            raise SpecError(
                f"distribution={self.distribution!r} can't have covariates that change in a spell. "
                "Use 'weibull', whose hazards are proportional, or SecondPurchase or Churn."
            )

    def build(self, data: Spells) -> pm.Model:
        """Return the PyMC model of `data`, to read, extend or sample.

        Raises
        ------
        SpecError
            If the specification doesn't fit the data.
        """
        self.check(data)
        with pm.Model(coords=self.coords(data)) as model:
            self.add(data)
        return model

    def coords(self, data: Spells) -> dict[str, Any]:
        """Return the coordinates that `add` needs in the model."""
        return {MARKET: list(data.markets), FEATURE: list(data.features)}

    def add(self, data: Spells) -> None:
        """Add variables and likelihood to the model in context."""
        market = pm.Data("market_of_cell", data.data["market_of_cell"].values)
        design = pm.Data("features", Coding.of(data).apply(data))
        scale = pm.Data("log_scale", -np.log(crude_rate(data)))
        location = self.prior("intercept").variable("intercept") + scale
        location = location + pt.zeros(design.shape[0])
        if data.features:
            location = location + pt.dot(design, effects(self, data))
        if len(data.markets) > 1 and self.markets == "level":
            sd = self.prior("market_sd").variable("market_sd")
            location = location + pm.Normal("market_effect", 0.0, sd, dims=MARKET)[market]
        pm.Deterministic("linear_predictor", location)
        shape = self.prior("shape").variable("shape")
        logit = never_logit(self, data)
        never = None if logit is None else logit.share(design, market)
        _likelihood(data, _Curve(self.distribution, location, shape), never)
        moment = pm.Data("moment", data.cuts)
        positive = moment > 0
        log_time = pt.log(pt.switch(positive, moment, 1.0))
        z = shape * (log_time[None, :] - location[:, None])
        total = pt.switch(positive[None, :], -LOG_SURVIVAL[self.distribution](z), 0.0)
        by_cell = None if never is None else never[:, None]
        pm.Deterministic("survival", pt.exp(log_survival(total, by_cell)))


LOG_SURVIVAL: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "weibull": lambda z: -pt.exp(z),
        "log_normal": lambda z: pm.distributions.dist_math.normal_lcdf(0.0, 1.0, -z),
        "log_logistic": lambda z: -pt.softplus(z),
    }
)
# The log of the density of z, less that of survival: the log hazard on the scale of z.
LOG_RATE: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "weibull": lambda z, survived: z,
        "log_normal": lambda z, survived: -0.5 * z**2 - 0.5 * np.log(2.0 * np.pi) - survived,
        "log_logistic": lambda z, survived: -pt.softplus(-z),
    }
)


@dataclass(frozen=True)
class _Curve:
    """Survival of cells at the times of rows."""

    distribution: str
    location: Tensor
    shape: Tensor

    def z(self, name: str, cell: Tensor, times: Array) -> Tensor:
        """Return the standardised log time of rows; 0 stands in for times that aren't > 0."""
        log_time = pm.Data(f"{name}_log_time", np.log(np.where(times > 0, times, 1.0)))
        return self.shape * (log_time - self.location[cell])

    def total(self, name: str, cell: Tensor, times: Array) -> Tensor:
        """Return -log S of rows, 0 at time 0."""
        total = -LOG_SURVIVAL[self.distribution](self.z(name, cell, times))
        if (times > 0).all():
            return total
        return pt.switch(pm.Data(f"{name}_positive", times > 0), total, 0.0)


def _likelihood(data: Spells, curve: _Curve, never: Never | None) -> None:
    """Add the log-likelihood of the rows, each as often as it occurs."""
    rows = data.data
    happened = rows["event"].values > 0
    for name, chosen in ((ENDED, happened), (OPEN, ~happened)):
        if not chosen.any():
            continue
        cell = pm.Data(f"{name}_cell", rows["cell_of_row"].values[chosen])
        count = pm.Data(f"{name}_count", rows["count"].values[chosen])
        some = None if never is None else never[cell]
        times = rows["duration"].values[chosen]
        total = curve.total(name, cell, times)
        if name == OPEN:
            value = log_survival(total, some)
        elif data.resolution > 0:
            before = curve.total("before", cell, times - data.resolution)
            value = log_event(before, total - before, some)
        else:
            z = curve.z("at", cell, times)
            rate = LOG_RATE[curve.distribution](z, -total) + pt.log(curve.shape)
            value = log_density(total, rate - pm.Data("at_log", np.log(times)), some)
        entry = rows["entry"].values[chosen]
        if (entry > 0).any():
            value = value - log_survival(curve.total(f"{name}_entry", cell, entry), some)
        observe(name, count, value)
