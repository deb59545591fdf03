"""What customers spend on a purchase: Gamma-Gamma, pooled over markets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_mkt.customers.condense import Evaluate, check_condense, condensed_once
from bayes_mkt.customers.gammas import log_rising
from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.pooling import (
    COVARIATE_EFFECT,
    MARKET_SD,
    by_profile,
    profile_dim,
)
from bayes_mkt.customers.purchases import profile_names
from bayes_mkt.customers.states import spend_rows
from bayes_mkt.errors import DataError
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade

__all__ = ["GammaGamma"]

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any
Array = NDArray[Any]

_PRIORS: Final = {
    "spend_mean": Prior("LogNormal", mu=0.0, sigma=1.0),
    "spend_shape": Prior("LogNormal", mu=1.0, sigma=1.0),
    "spend_tail": Prior("LogNormal", mu=1.0, sigma=1.0),
    "spend_market_sd": MARKET_SD,
}
_EFFECT: Final = "spend_mean_effect"


@dataclass(frozen=True)
class GammaGamma:
    r"""Gamma-Gamma: what a customer pays for a purchase varies around their own mean.

    A basket is Gamma(p, nu), and nu ~ Gamma(q, v) over customers. With the mean z of x repeat
    purchases:

        log L = lnG(px+q) - lnG(px) - lnG(q) + q ln v + (px-1) ln z + px ln x - (px+q) ln(xz + v).

    A market has theta = (ln spend_mean, ln spend_shape, ln spend_tail), with p = spend_shape,
    q = 1 + spend_tail, and v = spend_mean (q-1) / p, so that the mean basket over customers,
    p v / (q-1), is `spend_mean`. That is stated in multiples of the mean basket in the data: the
    priors then don't depend on the currency.

    Parameters
    ----------
    priors
        Replacements, by variable: `spend_mean` LN(0, 1) times the mean basket of the data,
        `spend_shape` LN(1, 1), `spend_tail` LN(1, 1), `spend_market_sd` N+(0.5); with covariates
        `spend_mean_effect` N(0, 0.5).
    condense
        As for the models of purchases: None fits every distinct history, a number is how far, in
        nats, a market's log-likelihood may be off for having few rows.

    Notes
    -----
    Only repeat purchases count, of customers who paid more than nothing for them. Spend is taken to
    be independent of how often customers buy; `check` tests that.

    References
    ----------
    Fader, Hardie, Lee (2005), RFM and CLV: using iso-value curves for customer base analysis,
    Journal of Marketing Research 42. Fader, Hardie (2013), The Gamma-Gamma model of monetary value.

    Examples
    --------
    >>> GammaGamma().parameters
    ('p', 'q', 'v')
    """

    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)
    condense: float | None = None

    parameters: ClassVar[tuple[str, ...]] = ("p", "q", "v")
    on_demand: ClassVar[frozenset[str]] = frozenset({"spend_log_likelihood"})

    def __post_init__(self) -> None:
        known = {**_PRIORS, _EFFECT: COVARIATE_EFFECT}
        object.__setattr__(self, "priors", checked_priors(self.priors, known))
        check_condense(self.condense)

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def build(self, history: CustomerHistory) -> pm.Model:
        """Return the PyMC model of `history`, to read, extend or sample."""
        with pm.Model(coords=self.coords(history)) as model:
            self.add(history)
        return model

    def coords(self, history: CustomerHistory) -> dict[str, Any]:
        """Return the coordinates of the model's dimensions."""
        names = [name for name in _PRIORS if not name.endswith("_market_sd")]
        return {
            profile_dim(history): profile_names(history),
            "market": list(history.markets),
            "spend_parameter": names,
            "spend_parameter_bis": names,
        }

    def add(self, history: CustomerHistory) -> None:
        """Add variables and likelihood to the model in context.

        Raises
        ------
        DataError
            If the history has no amounts, or nobody has bought again.
        """
        if not history.has_spend:
            raise DataError("The history has no amounts. Name their column by amount=.")
        rows = spend_rows(history)
        if not rows.weight.size:
            raise DataError(
                "Nobody bought again for more than nothing: there is no repeat purchase whose "
                "amount could be modelled. Leave out spend=, or take a longer history."
            )
        average = float(np.average(rows.columns["mean_spend"], weights=rows.weight))
        scale = pm.Data("spend_scale", average)
        if self.condense is not None:
            start = np.log([6.0, 4.0, 0.5 * average])
            rows, error = condensed_once(
                history, type(self), rows, _evaluate(), start, self.condense
            )
            pm.Data("spend_condensing_error", error)
        names = [name for name in _PRIORS if not name.endswith("_market_sd")]
        population = {name: pt.log(self._prior(name).variable(name)) for name in names}
        effects = {"spend_mean": self._prior(_EFFECT)}
        theta = by_profile("spend", population, history, self._prior("spend_market_sd"), effects)
        tail, p = pt.exp(theta["spend_tail"]), pt.exp(theta["spend_shape"])
        v = scale * pt.exp(theta["spend_mean"]) * tail / p
        dim = profile_dim(history)
        hyper = {
            name: pm.Deterministic(name, value, dims=dim)
            for name, value in (("p", p), ("q", 1.0 + tail), ("v", v))
        }
        profile = pm.Data("spend_profile", rows.profile)
        at = {name: hyper[name][profile] for name in self.parameters}
        count = pm.Data("spend_count", rows.columns["frequency"])
        each = _log_likelihood(at, count, pm.Data("mean_spend", rows.columns["mean_spend"]))
        summed = pt.dot(pm.Data("spend_weight", rows.weight), each)
        pm.Deterministic("spend_log_likelihood", summed)
        pm.Potential("spend", summed)

    def _prior(self, name: str) -> Prior:
        return self.priors.get(name, {**_PRIORS, _EFFECT: COVARIATE_EFFECT}[name])


def _log_likelihood(at: Mapping[str, Tensor], count: Tensor, paid: Tensor) -> Tensor:
    """Return the log-likelihood of customers with `count` repeat purchases of mean `paid`."""
    p, q, v = at["p"], at["q"], at["v"]
    # p x ln x and p x ln z together: what was spent in all.
    px, total = p * count, count * paid
    each = log_rising(px, q) - pt.gammaln(q) - pt.log(paid)
    return each - px * pt.log1p(v / total) - q * pt.log1p(total / v)


def _evaluate() -> Evaluate:
    """Return ``(logs of p, q, v, columns) -> log-likelihood`` of rows."""
    at = {name: pt.tensor(name, shape=(1,)) for name in GammaGamma.parameters}
    count, paid = pt.vectors("count", "paid")
    each = _log_likelihood(at, count, paid)
    compiled = pytensor.function([*at.values(), count, paid], each, mode="FAST_COMPILE")

    def evaluate(point: Array, columns: dict[str, Array]) -> Array:
        if point.ndim > 1:
            return np.stack([evaluate(one, columns) for one in point])
        values = [np.exp(point[i : i + 1]) for i in range(len(at))]
        return np.asarray(compiled(*values, columns["frequency"], columns["mean_spend"]))

    return evaluate
