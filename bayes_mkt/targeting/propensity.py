"""The propensity specification: who buys of a product set in the days after a date."""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True)
class Propensity:
    """A hierarchical logistic model of purchases by product set, with log-normal spend.

    For customer i, product set s and date t, with x the centred design of the binned features
    (recency, frequency and value of the customer; recency and frequency within the set) and u the
    set's attributes, both as of the close of t,

        logit P(i buys of s within `horizon` days of t)
            = intercept + u_st' attribute_effect + parent_p(s) + set_s + window_st
              + x_ist' (feature + slope_s + attribute_slope u_st)
        feature_k ~ N(0, feature_sd_g(k)),  slope_sk ~ N(0, slope_sd_g(k)),
        parent_p ~ N(0, parent_sd),  set_s ~ N(0, set_sd),  window_st ~ N(0, window_sd)

    with attribute_slope_km ~ N(0, attribute_slope_sd_g(k)) if `attribute_slopes`, else zero; and
    for those who buy, log spend ~ N(spend_intercept + u' spend_attribute_effect + spend_set_s + x'
    (spend_feature + spend_slope_s), spend_sigma), with spend_slope_sk ~ N(0, spend_slope_sd_g(k))
    if `spend_slopes`, else zero. A set that the model has never seen, of new products
    even, has its attributes' part, its parent's, and fresh draws of the rest.

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
    attribute_slopes: bool = False
    spend_slopes: bool = False
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset({"probability", "buyer_spend"})

    def __post_init__(self) -> None:
        for name in ("horizon", "dates", "lookback", "min_buyers", "bins", "set_bins"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name}={getattr(self, name)!r} must be at least 1.")
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
        n, k = found.customers.astype(float), found.buyers.astype(float)
        with pm.Model(coords=_coords(found)) as model:
            design = pm.Data("design", found.encoding.design(found.codes))
            attributes = pm.Data("attributes", found.attributes)
            place = {
                "set": pm.Data("set_of", found.set_of),
                "parent": pm.Data("parent_of", found.parent_of),
                "window": pm.Data("window_of", np.arange(len(found.set_of))),
            }
            logit = _logit(self, found, design, attributes, place)
            pm.Deterministic("probability", pt.sigmoid(logit))
            pm.CustomDist(
                "bought",
                logit,
                pm.Data("customers", n),
                pm.Data("log_choose", log_choose(n, k)),
                logp=binomial,
                random=draw_binomial,
                observed=pm.Data("buyers", k),
            )
            _spend(self, found, design, attributes, place["set"])
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


def _logit(
    spec: Propensity, found: Windows, design: Tensor, attributes: Tensor, place: dict[str, Tensor]
) -> Tensor:
    """Return the log-odds of buying (cell, window)."""
    group = _group(found)
    own = spec.prior("attribute_effect").variable("attribute_effect", dims="attribute")
    level = spec.prior("intercept").variable("intercept") + pt.dot(attributes, own)
    for name in ("parent", "set", "window"):
        sd = spec.prior(f"{name}_sd").variable(f"{name}_sd")
        level = level + pm.Normal(f"{name}_effect", 0.0, sd, dims=name)[place[name]]
    feature_sd = spec.prior("feature_sd").variable("feature_sd", dims="group")
    feature = pm.Normal("feature_effect", 0.0, feature_sd[group], dims="column")
    slope_sd = spec.prior("slope_sd").variable("slope_sd", dims="group")
    slope = pm.Normal("slope", 0.0, slope_sd[group][:, None], dims=("column", "set"))
    slopes = feature[:, None] + slope[:, place["set"]]
    if spec.attribute_slopes:
        sd = spec.prior("attribute_slope_sd").variable("attribute_slope_sd", dims="group")
        dims = ("column", "attribute")
        by_attribute = pm.Normal("attribute_slope", 0.0, sd[group][:, None], dims=dims)
        slopes = slopes + pt.matmul(by_attribute, attributes.T)
    return level[None, :] + pt.matmul(design, slopes)


def _spend(
    spec: Propensity, found: Windows, design: Tensor, attributes: Tensor, set_of: Tensor
) -> None:
    """Add the amounts of buyers, by their sums."""
    own = spec.prior("spend_attribute_effect").variable("spend_attribute_effect", dims="attribute")
    sd = spec.prior("spend_feature_sd").variable("spend_feature_sd", dims="group")
    feature = pm.Normal("spend_feature", 0.0, sd[_group(found)], dims="column")
    set_sd = spec.prior("spend_set_sd").variable("spend_set_sd")
    of_set = pm.Normal("spend_set", 0.0, set_sd, dims="set")
    level = spec.prior("spend_intercept").variable("spend_intercept") + of_set[set_of]
    slopes = feature[:, None]
    if spec.spend_slopes:
        slope_sd = spec.prior("spend_slope_sd").variable("spend_slope_sd", dims="group")
        spread = slope_sd[_group(found)][:, None]
        own_slope = pm.Normal("spend_slope", 0.0, spread, dims=("column", "set"))
        slopes = slopes + own_slope[:, set_of]
    mean = (level + pt.dot(attributes, own))[None, :] + pt.matmul(design, slopes)
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
