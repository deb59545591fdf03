"""Generators of data with known truth, one for each family of models."""

from __future__ import annotations

from bayes_mkt.simulate.campaign import SimulatedCampaign, campaign
from bayes_mkt.simulate.media_mix import SimulatedPanel, media_mix

__all__ = ["SimulatedCampaign", "SimulatedPanel", "campaign", "media_mix"]
