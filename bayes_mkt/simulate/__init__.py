"""Generators of data with known truth, one for each family of models."""

from __future__ import annotations

from bayes_mkt.simulate.media_mix import SimulatedPanel, media_mix

__all__ = ["SimulatedPanel", "media_mix"]
