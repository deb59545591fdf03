"""From the panel's units to the model's, and lags of exposure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    from bayes_mkt.media_mix.panel import MediaPanel


@dataclass(frozen=True)
class Scaling:
    """Constants that turn a panel's units into the model's, computed from the panel itself.

    Attributes
    ----------
    population
        Heads by region (region,); ones where the panel has no population.
    exposure
        Median of each channel's non-zero exposure per head (channel,).
    sales_center, sales_sd
        Mean and standard deviation of sales per head over the observed region-weeks.
    control_center, control_sd
        The same of each control (control,).
    """

    population: np.ndarray
    exposure: np.ndarray
    sales_center: float
    sales_sd: float
    control_center: np.ndarray
    control_sd: np.ndarray

    @classmethod
    def of(cls, panel: MediaPanel) -> Scaling:
        """Return the scaling of `panel`.

        Raises
        ------
        SpecError
            If a channel never ran, or sales or a control are constant: they have no scale.
        """
        data = panel.data
        if "population" in data:
            population = data["population"].to_numpy().astype(float)
        else:
            population = np.ones(data.sizes["region"])
        per_head = data["exposure"].to_numpy() / population[:, None, None]
        positive = np.where(per_head > 0, per_head, np.nan)
        sales = data["sales"].to_numpy() / population[:, None]
        observed = panel.observed.to_numpy()
        seen = data["controls"].to_numpy()[observed]
        _check_scales(panel, per_head, sales[observed], seen)
        return cls(
            population=population,
            exposure=np.nanmedian(positive, axis=(0, 1)),
            sales_center=float(np.nanmean(sales)),
            sales_sd=float(np.nanstd(sales)),
            control_center=seen.mean(axis=0),
            control_sd=seen.std(axis=0),
        )

    def scale_exposure(self, exposure: np.ndarray) -> np.ndarray:
        """Return exposure per head in units of its median, (region, date, channel)."""
        return np.asarray(exposure / self.population[:, None, None] / self.exposure)

    def worth(self, panel: MediaPanel) -> np.ndarray:
        """Return the revenue of one unit of the model's mean (region, date), 0 where unobserved."""
        return np.asarray(_price(panel) * self.population[:, None] * self.sales_sd)

    def scale_controls(self, controls: np.ndarray) -> np.ndarray:
        """Return standardised controls (region, date, control), 0 where missing."""
        return np.asarray(np.nan_to_num((controls - self.control_center) / self.control_sd))


def revenue(panel: MediaPanel) -> np.ndarray:
    """Return the revenue of all observed sales (region,)."""
    sales = np.nan_to_num(panel.data["sales"].to_numpy())
    return np.asarray((sales * _price(panel)).sum(axis=1))


def _price(panel: MediaPanel) -> np.ndarray:
    """Return the revenue of a sale (region, date), 0 where sales are not observed."""
    observed = panel.observed.to_numpy()
    if "revenue_per_sale" not in panel.data:
        return observed.astype(float)
    price = np.nan_to_num(panel.data["revenue_per_sale"].to_numpy(), nan=0.0)
    return np.where(observed, price, 0.0)


def _check_scales(
    panel: MediaPanel, exposure: np.ndarray, sales: np.ndarray, controls: np.ndarray
) -> None:
    """Raise unless every channel ran, and sales and controls vary over the observed rows."""
    for channel, values in zip(panel.channels, np.moveaxis(exposure, -1, 0), strict=True):
        if not values.any():
            raise SpecError(f"Channel {channel!r} has no exposure in the panel; drop it.")
    named = zip(panel.controls, controls.T, strict=True)
    columns = {"Sales per head": sales} | {f"Control {name!r}": column for name, column in named}
    for name, column in columns.items():
        if not np.ptp(column) > 0:
            raise SpecError(f"{name}: the same value, {column[0]:g}, throughout the panel.")


def lags(exposure: np.ndarray, max_lag: int) -> np.ndarray:
    """Return exposure of the `max_lag` periods before and of each period itself.

    Parameters
    ----------
    exposure
        (region, date, channel).
    max_lag
        The longest lag in periods.

    Returns
    -------
    ndarray
        (channel, region, date, lag); exposure before the first date is zero.

    Examples
    --------
    >>> lags(np.array([[[1.0], [2.0]]]), 1)[0, 0].tolist()
    [[1.0, 0.0], [2.0, 1.0]]
    """
    regions, dates, channels = exposure.shape
    out = np.zeros((channels, regions, dates, max_lag + 1))
    by_channel = np.moveaxis(exposure, -1, 0)
    for lag in range(min(max_lag, dates - 1) + 1):
        out[:, :, lag:, lag] = by_channel[:, :, : dates - lag]
    return out
