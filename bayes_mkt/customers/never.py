"""The share of customers who never have the event, by market and covariates. Graphs only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.customers.rows import Never
from bayes_mkt.dims import FEATURE, MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.customers.spells import Spells

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

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
    """The logit of never having the event: by market (market,), and slopes (feature,) or None."""

    by_market: Tensor
    effect: Tensor | None

    def share(self, design: Tensor, market: Tensor) -> Never:
        """Return the share among cells (cell,)."""
        logit = self.by_market[market]
        if self.effect is not None:
            logit = logit + pt.dot(design, self.effect)
        pm.Deterministic("never_probability", pt.sigmoid(logit))
        return Never.of(logit)


def never_logit(spec: Any, data: Spells) -> NeverLogit | None:
    """Return the logit of the probability of never having the event; None if the model has none.

    logit pi = never_level + x'e + v_m, v_m ~ N(0, never_market_sd).
    """
    if spec.never == "none":
        return None
    level = spec.prior("never_level").variable("never_level")
    effect = None
    if spec.never == "regression" and data.features:
        effect = spec.prior("never_effect").variable("never_effect", dims=FEATURE)
    if len(data.markets) > 1 and spec.markets != "none":
        sd = spec.prior("never_market_sd").variable("never_market_sd")
        logit = level + pm.Normal("never_market_effect", 0.0, sd, dims=MARKET)
    else:
        logit = level + pt.zeros(len(data.markets))
    return NeverLogit(logit, effect)
