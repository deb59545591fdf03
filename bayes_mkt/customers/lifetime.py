"""Purchases and spend together: what a customer will bring."""

from __future__ import annotations

from dataclasses import dataclass

import pymc as pm

from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.purchases import BGNBD, PurchaseModel
from bayes_mkt.customers.spend import GammaGamma

__all__ = ["Lifetime"]


@dataclass(frozen=True)
class Lifetime:
    """A model of purchases and, if wanted, one of spend, fitted to the same history.

    The two are independent of each other given the history; their answers are combined draw by
    draw.

    Parameters
    ----------
    purchases
        `BGNBD`, `MBGNBD` or `ParetoNBD`.
    spend
        `GammaGamma`; None models purchases alone.

    Examples
    --------
    >>> Lifetime(purchases=BGNBD()).spend is None
    True
    """

    purchases: PurchaseModel = BGNBD()
    spend: GammaGamma | None = None

    @property
    def on_demand(self) -> frozenset[str]:
        """Names of deterministics that are not stored."""
        spend = self.spend.on_demand if self.spend is not None else frozenset()
        return self.purchases.on_demand | spend

    def build(self, history: CustomerHistory) -> pm.Model:
        """Return the PyMC model of `history`, to read, extend or sample."""
        coords = self.purchases.coords(history)
        if self.spend is not None:
            coords = {**coords, **self.spend.coords(history)}
        with pm.Model(coords=coords) as model:
            self.purchases.add(history)
            if self.spend is not None:
                self.spend.add(history)
        return model
