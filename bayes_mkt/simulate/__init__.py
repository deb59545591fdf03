"""Generators of data with known truth, one for each family of models."""

from __future__ import annotations

from bayes_mkt.simulate.customers import SimulatedCustomers, customers
from bayes_mkt.simulate.media_mix import SimulatedPanel, media_mix
from bayes_mkt.simulate.second_purchases import SimulatedPurchases, second_purchases

__all__ = [
    "SimulatedCustomers",
    "SimulatedPanel",
    "SimulatedPurchases",
    "customers",
    "media_mix",
    "second_purchases",
]
