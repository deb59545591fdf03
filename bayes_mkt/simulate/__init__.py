"""Generators of data with known truth, one for each family of models."""

from __future__ import annotations

from bayes_mkt.simulate.campaign import SimulatedCampaign, campaign
from bayes_mkt.simulate.customers import SimulatedCustomers, customers
from bayes_mkt.simulate.media_mix import SimulatedPanel, media_mix
from bayes_mkt.simulate.purchases import SimulatedLog, purchase_log
from bayes_mkt.simulate.second_purchases import SimulatedPurchases, second_purchases

__all__ = [
    "SimulatedCampaign",
    "SimulatedCustomers",
    "SimulatedLog",
    "SimulatedPanel",
    "SimulatedPurchases",
    "campaign",
    "customers",
    "media_mix",
    "purchase_log",
    "second_purchases",
]
