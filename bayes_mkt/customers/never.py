"""The share of customers who never have the event, by market and covariates. Graphs only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.customers.baseline import customers_mean, shifted
from bayes_mkt.customers.rows import Never
from bayes_mkt.customers.scores import kaplan_meier
from bayes_mkt.dims import FEATURE, MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.customers.spells import Spells

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

EDGE = 0.02
NEVER_PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "never_level": Prior("Normal", mu=0.0, sigma=1.5),
        "never_effect": Prior("Normal", mu=0.0, sigma=0.5),
        "never_market_sd": Prior("HalfNormal", sigma=0.5),
    }
)


def check_never(spec: Any, data: Spells) -> None:
    """Raise `SpecError` if never-returners are asked for where covariates change in a spell."""
    if spec.never != "none" and data.episodic:
        raise SpecError(
            f"never={spec.never!r} needs covariates that don't change in a spell: the data have "
            "episodes. Use never='none', or leave the changing covariates out."
        )


@dataclass(frozen=True)
class NeverLogit:
    """The logit of never having the event.

    Attributes
    ----------
    by_market, effect
        By market (market,), and slopes (feature,) or None.
    typical
        The mean over the customers' markets, a scalar.
    """

    by_market: Tensor
    effect: Tensor | None
    typical: Tensor

    def share(self, design: Tensor, market: Tensor) -> Never:
        """Return the share among cells (cell,)."""
        logit = self.by_market[market]
        if self.effect is not None:
            logit = logit + pt.dot(design, self.effect)
        pm.Deterministic("never_probability", pt.sigmoid(logit))
        return Never.of(logit)


def never_logit(spec: Any, data: Spells, size: Tensor | None = None) -> NeverLogit | None:
    """Return the logit of the probability of never having the event; None if the model has none.

    logit pi = never_level + x'e + v_m, v_m ~ N(0, never_market_sd).

    Parameters
    ----------
    spec, data
        Specification and spells.
    size
        Share of the customers in each market of the data (market,): the mean over customers is then
        sampled, as `typical_never`, in place of `never_level`, which data know less well. None
        samples the latter.
    """
    if spec.never == "none":
        return None
    own, mean = pt.zeros(len(data.markets)), None
    if len(data.markets) > 1 and spec.markets != "none":
        sd = spec.prior("never_market_sd").variable("never_market_sd")
        own = pm.Normal("never_market_effect", 0.0, sd, dims=MARKET)
        mean = None if size is None else customers_mean(size, own)
    beyond = None if mean is None else -mean
    level = shifted(spec.prior("never_level"), "never_level", "typical_never", beyond)
    effect = None
    if spec.never == "regression" and data.features:
        effect = spec.prior("never_effect").variable("never_effect", dims=FEATURE)
    return NeverLogit(level + own, effect, level if mean is None else level + mean)


def beyond(
    data: Spells, size: Tensor, logit: NeverLogit | None, deviation: Tensor | None
) -> Tensor | None:
    """Return by how much the baseline lies above the curve that data know best.

    That is the log hazard seen in customers of all markets, whatever the share of never-returners.

    Parameters
    ----------
    data
        The spells.
    size
        Share of the customers in each market of the data (market,).
    logit, deviation
        Of never having the event, and of the markets' curves (market, interval or 1); None where
        the model has none.

    Returns
    -------
    Tensor or None
        (interval,); None where the two curves are the same.
    """
    parts = [] if logit is None else [lift(data, logit.typical)]
    if deviation is not None:
        parts.append(-customers_mean(size, deviation) + pt.zeros(len(data.cuts)))
    return sum(parts) if parts else None


def lift(data: Spells, logit: Tensor) -> Tensor:
    """Return by how much the log hazard of those who come some day exceeds what is seen.

    Of customers at risk at t, when the share S is left of all, a share 1 - pi / S will ever come.
    With h the hazard that is seen and f that of those who come,

        log f - log h = log S - log(S - pi).

    Data know h well, and pi hardly. S is the data's Kaplan-Meier estimate in the middle of each
    interval; to keep S - pi above 0, q = (x + sqrt(x^2 + 4 `EDGE`^2)) / 2 stands for x = S and for
    x = S - pi.

    Parameters
    ----------
    data
        The spells.
    logit
        Of the share pi, a scalar.

    Returns
    -------
    Tensor
        (interval,); 0 where pi is.
    """
    rows = data.data
    parts = [rows[name].values for name in ("duration", "event", "count", "entry")]
    before = np.concatenate([[0.0], data.cuts[:-1]])
    alive = pm.Data("seen_survival", kaplan_meier(*parts).at(0.5 * (before + data.cuts)))
    return pt.log(_above(alive)) - pt.log(_above(alive - pt.sigmoid(logit)))


def _above(x: Tensor) -> Tensor:
    """Return x where it is well above 0, and a small number above 0 elsewhere."""
    return 0.5 * (x + pt.sqrt(x**2 + 4.0 * EDGE**2))
