"""Generators of data with known truth, one for each family of models."""

from __future__ import annotations

from bayes_mkt.simulate.campaign import SimulatedCampaign, campaign
from bayes_mkt.simulate.media_mix import SimulatedPanel, media_mix
from bayes_mkt.simulate.purchases import SimulatedLog, purchase_log

__all__ = [
    "SimulatedCampaign",
    "SimulatedLog",
    "SimulatedPanel",
    "campaign",
    "media_mix",
    "purchase_log",
]
