"""The propensity specification: who buys of a product set in the days after a date."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade
from bayes_mkt.targeting.cells import log_choose
from bayes_mkt.targeting.densities import binomial, draw_binomial, draw_lognormal, lognormal
from bayes_mkt.targeting.windows import Windows, windows

if TYPE_CHECKING:
    from bayes_mkt.targeting.log import PurchaseLog

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "intercept": Prior("Normal", mu=-2.0, sigma=3.0),
        "attribute_effect": Prior("Normal", mu=0.0, sigma=1.0),
        "feature_sd": Prior("LogNormal", mu=-0.7, sigma=0.7),
        "slope_sd": Prior("LogNormal", mu=-1.6, sigma=0.7),
        "attribute_slope_sd": Prior("LogNormal", mu=-2.3, sigma=0.7),
        "parent_sd": Prior("LogNormal", mu=-1.6, sigma=0.7),
        "set_sd": Prior("LogNormal", mu=-1.6, sigma=0.7),
        "window_sd": Prior("LogNormal", mu=-2.3, sigma=0.7),
        "spend_intercept": Prior("Normal", mu=0.0, sigma=1.0),
        "spend_attribute_effect": Prior("Normal", mu=0.0, sigma=0.5),
        "spend_feature_sd": Prior("LogNormal", mu=-2.3, sigma=0.7),
        "spend_slope_sd": Prior("LogNormal", mu=-2.3, sigma=0.7),
        "spend_set_sd": Prior("LogNormal", mu=-2.3, sigma=0.7),
        "spend_sigma": Prior("HalfNormal", sigma=1.0),
    }
)
SIZES = (
    "horizon",
    "dates",
    "lookback",
    "min_buyers",
    "bins",
    "set_bins",
    "event_bins",
    "taste_bins",
)


@dataclass(frozen=True, kw_only=True)
class Propensity:
    """A hierarchical logistic model of purchases by product set, with log-normal spend.

    For customer i, product set s and date t, with x the centred design of the binned features
    (recency, frequency and value of the customer; recency and frequency within the set, and the
    customer's taste for it, by factors of what customers buy; of a log
    with browsing events also the customer's recency-weighted visits of the set, and of the rest of
    the group that it lies in) and u the set's attributes, both as of the close of t,

        logit P(i buys of s within `horizon` days of t)
            = window_level_st + x_ist' (slope_s + attribute_slope u_st)
        window_level_st ~ N(set_level_s + (u_st - m_s)' attribute_effect, window_sd)
        set_level_s ~ N(parent_level_p(s) + m_s' attribute_effect, set_sd)
        parent_level_p ~ N(intercept, parent_sd)
        slope_sk ~ N(feature_effect_k, slope_sd_g(k)),  feature_effect_k ~ N(0, feature_sd_g(k))

    with m_s the mean of the set's u over the training dates, g(k) the feature of column k, and
    attribute_slope_km ~ N(0, attribute_slope_sd_g(k)) if `attribute_slopes`, else zero; and for
    those who buy,

        log spend ~ N(spend_level_s + (u_st - m_s)' spend_attribute_effect + x' spend_slope_s,
                      spend_sigma)
        spend_level_s ~ N(spend_intercept + m_s' spend_attribute_effect, spend_set_sd)

    with spend_slope_sk ~ N(spend_feature_k, spend_slope_sd_g(k)) if `spend_slopes`, else
    spend_feature_k itself. A set that the model has never seen has its attributes' part and its
    parent's; the rest of its level and its slopes are drawn given who bought of it in the last
    windows of the log, or afresh if nothing of it was sold before these.

    Parameters
    ----------
    horizon
        Days after the date that count.
    dates
        Training dates, `horizon` days apart, the last one `horizon` days before the log's end.
    lookback
        Days before a date from which features are read.
    level
        Level of the catalogue whose groups are the product sets of training, `"product"` for
        products themselves; None takes the finest level.
    min_buyers
        Sets with fewer buyers by the last date are left out of training.
    bins, set_bins
        Of the features of a customer, and of a customer with a set.
    event_half_life
        Days after which a browsing event counts half.
    event_bins
        Of customers' visits, beside one for none.
    factors
        Of customers' tastes, as `targeting.tastes` defines them; 0 leaves tastes out.
    taste_bins
        Of customers' tastes for a set.
    event_weights
        Kind of event -> what one of them counts, >= 0; other kinds count 1.
    attribute_slopes
        Whether what tells customers apart may matter more or less by a set's attributes: so that a
        set of new products has slopes of its own too.
    spend_slopes
        Whether it may tell more of the amounts in some sets than in others.
    priors
        Replacements of default priors, by variable name.

    Notes
    -----
    It says who buys, not who buys because of a campaign: for that, `Uplift`. It holds if the days
    after the campaign are like those after the training dates.

    References
    ----------
    Gelman, Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models, ch. 14.

    Examples
    --------
    >>> Propensity(horizon=28).dates
    3
    """

    horizon: int = 14
    dates: int = 3
    lookback: int = 182
    level: str | None = None
    min_buyers: int = 20
    bins: int = 3
    set_bins: int = 5
    event_half_life: float = 7.0
    event_bins: int = 2
    factors: int = 8
    taste_bins: int = 3
    event_weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    attribute_slopes: bool = False
    spend_slopes: bool = False
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset({"probability", "buyer_spend"})

    def __post_init__(self) -> None:
        for name in SIZES:
            if getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)!r} must be at least 1.")
        if self.factors < 0:
            raise SpecError(f"factors={self.factors!r} must be at least 0.")
        if not self.event_half_life > 0:
            raise SpecError(f"event_half_life={self.event_half_life!r} must be above 0.")
        for kind, weight in self.event_weights.items():
            if not (weight >= 0 and math.isfinite(weight)):
                raise SpecError(f"event_weights[{kind!r}]={weight!r} must be finite and >= 0.")
        object.__setattr__(self, "event_weights", MappingProxyType(dict(self.event_weights)))
        object.__setattr__(self, "priors", checked_priors(self.priors, PRIORS))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def prior(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        return self.priors.get(name, PRIORS[name])

    def build(self, log: PurchaseLog) -> pm.Model:
        """Return the PyMC model of a log, to read, extend or sample.

        Raises
        ------
        SpecError
            If the specification doesn't fit the log.
        """
        found = windows(self, log)
        # Most cells have customers in few windows: those that have none say nothing.
        cell, window = np.nonzero(found.customers)
        n, k = (part[cell, window].astype(float) for part in (found.customers, found.buyers))
        with pm.Model(coords=_coords(found)) as model:
            design = pm.Data("design", found.encoding.design(found.codes))
            attributes = pm.Data("attributes", found.attributes)
            set_of = pm.Data("set_of", found.set_of)
            level = _levels(self, found)[pm.Data("window_of", np.arange(len(found.set_of)))]
            logit = level[None, :] + pt.matmul(design, _own(self, found, attributes, set_of))
            pm.Deterministic("probability", pt.sigmoid(logit))
            pm.CustomDist(
                "bought",
                logit[pm.Data("cell", cell), pm.Data("window_of_cell", window)],
                pm.Data("customers", n),
                pm.Data("log_choose", log_choose(n, k)),
                logp=binomial,
                random=draw_binomial,
                observed=pm.Data("buyers", k),
            )
            _spend(self, found, design, attributes, set_of)
        return model


def _coords(found: Windows) -> dict[str, Any]:
    return {
        "set": list(found.sets),
        "parent": list(found.parents),
        "attribute": list(found.names),
        "column": list(found.encoding.columns),
        "group": list(dict.fromkeys(found.encoding.groups)),
        "window": np.arange(len(found.set_of)),
    }


def _group(found: Windows) -> np.ndarray:
    groups = list(dict.fromkeys(found.encoding.groups))
    return np.array([groups.index(g) for g in found.encoding.groups])


def _own(spec: Propensity, found: Windows, attributes: Tensor, set_of: Tensor) -> Tensor:
    """Return the slopes of each window (column, window)."""
    slopes = _slopes(spec, found, ("feature_effect", "feature_sd"), ("slope", "slope_sd"))
    slopes = slopes[:, set_of]
    if spec.attribute_slopes:
        sd = spec.prior("attribute_slope_sd").variable("attribute_slope_sd", dims="group")
        dims = ("column", "attribute")
        by_attribute = pm.Normal("attribute_slope", 0.0, sd[_group(found)][:, None], dims=dims)
        slopes = slopes + pt.matmul(by_attribute, attributes.T)
    return slopes


def _levels(spec: Propensity, found: Windows) -> Tensor:
    """Return the log-odds of the average customer (window,).

    Each level is drawn about the one above: what a set sold leaves little doubt of its own level,
    and of the sums of effects that make it up, but much of the effects one by one.
    """
    effect = spec.prior("attribute_effect").variable("attribute_effect", dims="attribute")
    sds = {n: spec.prior(f"{n}_sd").variable(f"{n}_sd") for n in ("parent", "set", "window")}
    intercept = spec.prior("intercept").variable("intercept")
    parent = pm.Normal("parent_level", intercept, sds["parent"], dims="parent")
    mean = parent[found.parent_of] + pt.dot(found.typical, effect)
    of_set = pm.Normal("set_level", mean, sds["set"], dims="set")
    moved = pt.dot(found.attributes - found.typical[found.set_of], effect)
    return pm.Normal("window_level", of_set[found.set_of] + moved, sds["window"], dims="window")


def _slopes(
    spec: Propensity, found: Windows, mean: tuple[str, str], own: tuple[str, str]
) -> Tensor:
    """Return the slopes of each set about their means (column, set), by the variables' names."""
    group = _group(found)
    sd = spec.prior(mean[1]).variable(mean[1], dims="group")
    center = pm.Normal(mean[0], 0.0, sd[group], dims="column")
    spread = spec.prior(own[1]).variable(own[1], dims="group")
    dims = ("column", "set")
    return pm.Normal(own[0], center[:, None], spread[group][:, None], dims=dims)


def _spend(
    spec: Propensity, found: Windows, design: Tensor, attributes: Tensor, set_of: Tensor
) -> None:
    """Add the amounts of buyers, by their sums."""
    own = spec.prior("spend_attribute_effect").variable("spend_attribute_effect", dims="attribute")
    intercept = spec.prior("spend_intercept").variable("spend_intercept")
    set_sd = spec.prior("spend_set_sd").variable("spend_set_sd")
    typical = pm.Data("typical", found.typical)
    center = intercept + pt.dot(typical, own)
    level = pm.Normal("spend_level", center, set_sd, dims="set")[set_of]
    mean_names = ("spend_feature", "spend_feature_sd")
    if spec.spend_slopes:
        slopes = _slopes(spec, found, mean_names, ("spend_slope", "spend_slope_sd"))[:, set_of]
    else:
        sd = spec.prior(mean_names[1]).variable(mean_names[1], dims="group")
        slopes = pm.Normal(mean_names[0], 0.0, sd[_group(found)], dims="column")[:, None]
    moved = pt.dot(attributes - typical[set_of], own)
    mean = (level + moved)[None, :] + pt.matmul(design, slopes)
    sigma = spec.prior("spend_sigma").variable("spend_sigma")
    unit = pm.Data("spend_unit", found.unit)
    pm.Deterministic("buyer_spend", unit * pt.exp(mean + sigma**2 / 2))
    cell, window = found.spend[:, 0].astype(int), found.spend[:, 1].astype(int)
    pm.CustomDist(
        "spent",
        mean[pm.Data("spend_cell", cell), pm.Data("spend_window", window)],
        sigma,
        pm.Data("spend_buyers", found.spend[:, 2]),
        pm.Data("spend_squares", found.spend[:, 4]),
        logp=lognormal,
        random=draw_lognormal,
        observed=pm.Data("spend_logs", found.spend[:, 3]),
    )
