"""Generators of data with known truth, one for each family of models."""

from __future__ import annotations

from bayes_mkt.simulate.customers import SimulatedCustomers, customers
from bayes_mkt.simulate.media_mix import SimulatedPanel, media_mix

__all__ = ["SimulatedCustomers", "SimulatedPanel", "customers", "media_mix"]
