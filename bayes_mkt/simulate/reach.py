"""Impressions as reach and frequency, and what a frequency does, with known truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_mkt import seeds
from bayes_mkt.dims import CHANNEL
from bayes_mkt.simulate.spend import STREAM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Contacts", "contacts"]

MOST_REACHED = 0.9


@dataclass(frozen=True)
class Contacts:
    """Reach and frequency of the last channels, and the truth behind them.

    Attributes
    ----------
    reach, frequency
        (region, week, channel): people reached, and impressions per person reached (0 where
        nobody was).
    half_saturation, slope
        (channel,), of the Hill curve of frequency.
    """

    reach: Array
    frequency: Array
    half_saturation: Array
    slope: Array

    @property
    def effect(self) -> Array:
        """Return s(f), the share of the full effect that a frequency has."""
        power = self.frequency**self.slope
        return power / (power + self.half_saturation**self.slope)

    def truth(self, channels: int) -> dict[str, tuple[tuple[str, ...], Any, str]]:
        """Return the curve of frequency over all channels, NaN for those without."""
        own = self.reach.shape[2]
        if not own:
            return {}
        before = np.full(channels - own, np.nan)
        half, slope = (np.concatenate([before, v]) for v in (self.half_saturation, self.slope))
        return {
            "frequency_half_saturation": ((CHANNEL,), half, "impressions per person reached"),
            "frequency_slope": ((CHANNEL,), slope, "1"),
        }


def contacts(seed: int, impressions: Array, population: Array, count: int) -> Contacts:
    """Return reach and frequency of the last `count` channels of impressions.

    With i impressions a head and c the share of people whom a channel can reach in a region and
    week, reach a head is ``c (1 - exp(-i / c))``; c is a share of the channel's usual i, uniform
    on (0.3, 1) by channel, with a log-normal error of 40 %, and at most 0.9. Half-saturation is
    0.1 + LogNormal(0.7, 0.4), the slope LogNormal(0.7, 0.4).
    """
    rng = seeds.generator(seed, STREAM + "reach")
    own = impressions[:, :, impressions.shape[2] - count :]
    a_head = own / population[:, None, None]
    usual = np.array([np.median(x[x > 0]) for x in np.moveaxis(a_head, 2, 0)])
    share = rng.uniform(0.3, 1.0, size=count) * usual
    room = np.minimum(share * np.exp(0.4 * rng.normal(size=own.shape)), MOST_REACHED)
    reached = room * -np.expm1(-a_head / room) * population[:, None, None]
    reach = np.where(own > 0, np.clip(np.floor(reached), 1.0, own), 0.0)
    frequency = np.where(own > 0, own / np.maximum(reach, 1.0), 0.0)
    half = 0.1 + rng.lognormal(0.7, 0.4, size=count)
    return Contacts(reach, frequency, half, rng.lognormal(0.7, 0.4, size=count))
