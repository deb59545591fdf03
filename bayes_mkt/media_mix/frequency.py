"""Reach and frequency: how an average frequency saturates, and what a panel knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from bayes_mkt.dims import REGION
from bayes_mkt.media_mix.saturation import HillSaturation
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.media_mix.panel import MediaPanel

LEAST_HALF: Final = 0.1
"""The half-saturation of frequency lies above it."""


class FrequencySaturation:
    """Hill curve of average frequency, s(f) = f^q / (f^q + k^q), q and k estimated by channel.

    A slope q above 1 makes the curve S-shaped: a first contact does little, and there is a
    frequency that does most for the impressions. Parameters `frequency_half_above` (the
    half-saturation k less 0.1) and `frequency_slope`, with Meridian's priors.

    Examples
    --------
    >>> given = {"frequency_half_above": 1.9, "frequency_slope": 2.0}
    >>> round(float(FrequencySaturation().curve(2.0, given).eval()), 3)
    0.5
    """

    priors: Mapping[str, Prior] = MappingProxyType(
        {
            "frequency_half_above": Prior("LogNormal", mu=0.7, sigma=0.4),
            "frequency_slope": Prior("LogNormal", mu=0.7, sigma=0.4),
        }
    )

    def curve(self, frequency: Any, parameters: Mapping[str, Any]) -> Any:
        """Return s(f), in [0, 1), for f >= 0; parameters broadcast against f."""
        half = LEAST_HALF + parameters["frequency_half_above"]
        hill = {"half_saturation": half, "slope": parameters["frequency_slope"]}
        return HillSaturation(slope=None).curve(frequency, hill)


FREQUENCY = FrequencySaturation()


def filled_frequency(panel: MediaPanel) -> np.ndarray:
    """Return average frequency (region, date, frequency channel), also where nobody was reached.

    There it is the mean of the channel in the region (of all regions, where it never ran there):
    impressions over reach.
    """
    data = panel.data
    return filled(panel, data["frequency"].to_numpy(), data["exposure"].to_numpy())


def filled(panel: MediaPanel, frequency: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return frequency (region, date, frequency channel) of any dates, filled up by a panel's mean.

    Parameters
    ----------
    panel
        Whose mean it is.
    frequency, reach
        (region, date, channel).
    """
    places = frequency_places(panel)
    own, people = frequency[:, :, places], reach[:, :, places]
    usual = mean_frequency(panel)[:, places]
    return np.where((people > 0) & (own > 0), own, usual[:, None, :])


def frequency_places(panel: MediaPanel) -> list[int]:
    """Return where channels with reach and frequency stand among the channels."""
    own = panel.frequency_channels
    return [m for m, channel in enumerate(panel.channels) if channel in own]


def mean_frequency(panel: MediaPanel) -> np.ndarray:
    """Return impressions over reach (region, channel); 1 for a channel without frequency."""
    exposure = panel.data["exposure"].to_numpy()
    out = np.ones((exposure.shape[0], exposure.shape[2]))
    if not panel.frequency_channels:
        return out
    reach = exposure.sum(axis=1)
    seen = (exposure * np.nan_to_num(panel.data["frequency"].to_numpy())).sum(axis=1)
    common = seen.sum(axis=0) / np.maximum(reach.sum(axis=0), 1e-300)
    own = np.where(reach > 0, seen / np.maximum(reach, 1e-300), common)
    places = frequency_places(panel)
    out[:, places] = own[:, places]
    return out


def impressions(panel: MediaPanel) -> xr.DataArray:
    """Return what was delivered: reach times frequency, or exposure for the other channels."""
    exposure = panel.data["exposure"]
    if not panel.frequency_channels:
        return exposure
    return (exposure * panel.data["frequency"].fillna(1.0)).transpose(REGION, ...)
