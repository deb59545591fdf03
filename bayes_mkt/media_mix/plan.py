"""A media plan: spend and exposure by region, date and channel, and what else is known ahead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.media_mix.frequency import impressions, mean_frequency
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.media_mix.plan_frame import PlanRows, read_plan

YEAR = {"D": 365.25, "MS": 12.0, "ME": 12.0}


@dataclass(frozen=True, eq=False, repr=False)
class MediaPlan:
    """Media on consecutive dates of a panel's calendar, past or to come.

    Parameters
    ----------
    data
        The layout of `MediaPanel.data`, sales left out of account.

    Notes
    -----
    Where a plan gives spend alone, exposure follows at the price that the panel paid: its spend
    per unit of exposure by channel and region, over all of its dates. A channel with reach and
    frequency has a price per impression; its frequency is then the panel's mean, and what spend
    changes is reach.

    Examples
    --------
    >>> frame = pd.DataFrame({"week": pd.date_range("2024-01-01", periods=8, freq="7D"),
    ...     "revenue": [9.0, 12, 11, 15, 9, 10, 14, 8], "tv": [0.0, 3, 1, 5, 0, 0, 4, 0]})
    >>> panel = MediaPanel.from_frame(frame, sales="revenue", spend={"tv": "tv"}, date="week")
    >>> MediaPlan.repeat(panel, horizon=2)
    MediaPlan(2024-02-26 to 2024-03-04, 1 region, spend tv 4)
    """

    data: xr.Dataset

    @classmethod
    def observed(
        cls, panel: MediaPanel, start: str | None = None, end: str | None = None
    ) -> MediaPlan:
        """Return what ran in the panel from `start` to `end`, both included."""
        return cls(panel.between(start, end).data)

    @classmethod
    def repeat(cls, panel: MediaPanel, horizon: int, back: int | None = None) -> MediaPlan:
        """Return today's mix, for `horizon` periods after the panel.

        Each period has the media, controls and prices of the period `back` before it.

        Parameters
        ----------
        panel
            The data.
        horizon
            Number of periods, >= 1.
        back
            How many periods before; by default a year where the panel is as long, else the last
            `horizon` periods (or all, again and again, where it is shorter).
        """
        count = whole(horizon, "horizon", 1)
        dates = panel.dates
        year = round(periods_a_year(panel))
        if back is None:
            back = year if len(dates) >= year else min(count, len(dates))
        back = whole(back, "back", 1)
        if back > len(dates):
            raise SpecError(f"back={back} reaches before the panel of {len(dates)} dates.")
        source = len(dates) - back + np.arange(count) % back
        data = panel.data.isel({DATE: source}).assign_coords({DATE: ahead(panel, count)})
        empty = xr.full_like(data["sales"], np.nan)
        return cls(data.assign(sales=empty))

    @classmethod
    def from_frame(
        cls,
        frame: object,
        panel: MediaPanel,
        *,
        date: str,
        region: str | None = None,
        spend: Mapping[str, str] | None = None,
        exposure: Mapping[str, str] | None = None,
        reach: Mapping[str, str] | None = None,
        frequency: Mapping[str, str] | None = None,
        controls: Iterable[str] = (),
        revenue_per_sale: str | None = None,
    ) -> MediaPlan:
        """Read a plan from a frame with one row for each region and date.

        Parameters
        ----------
        frame
            Any frame that `MediaPanel.from_frame` reads.
        panel
            The data that the plan is for: its regions, channels, controls, prices.
        date, region
            Columns of dates (the panel's own, or those that follow it) and of regions.
        spend, exposure, reach, frequency
            Channel -> column; a channel named in none has no media in the plan. Reach and
            frequency come together, for channels that have them in the panel.
        controls, revenue_per_sale
            Columns, with the panel's names. Those left out are as in `MediaPlan.repeat`.

        Raises
        ------
        DataError
            If the rows don't give every region on every date, a name isn't the panel's, or the
            dates don't lie on the panel's calendar.
        """
        rows = read_plan(
            frame,
            panel,
            date=date,
            region=region,
            spend=spend,
            exposure=exposure,
            reach=reach,
            frequency=frequency,
            controls=controls,
            revenue_per_sale=revenue_per_sale,
        )
        return cls._on_calendar(panel, rows.dates)._filled(panel, rows)

    @classmethod
    def _on_calendar(cls, panel: MediaPanel, dates: pd.DatetimeIndex) -> MediaPlan:
        """Return the panel's own media, or those repeated, on dates of its calendar."""
        last = panel.dates[-1]
        horizon = 0
        if dates[-1] > last:
            horizon = int((_far(panel, dates[-1]) < dates[-1]).sum()) + 1
        known = panel.data.drop_vars("sales")
        if horizon:
            later = cls.repeat(panel, horizon).data.drop_vars("sales")
            static = [name for name in known.data_vars if DATE not in known[name].dims]
            known = xr.concat([known, later], DATE, data_vars="minimal").assign(
                {name: panel.data[name] for name in static}
            )
        off = [date for date in dates if date not in known.indexes[DATE]]
        if off:
            raise DataError(
                f"date of the plan: {off[0].date()} isn't on the panel's calendar, which has "
                f"{panel.dates[0].date()} to {last.date()} by {panel.period} and goes on likewise. "
                "Give periods that begin as the panel's do."
            )
        chosen = known.sel({DATE: dates})
        empty = np.full((chosen.sizes[REGION], chosen.sizes[DATE]), np.nan)
        return cls(chosen.assign(sales=((REGION, DATE), empty)))

    def _filled(self, panel: MediaPanel, rows: PlanRows) -> MediaPlan:
        """Return the plan with the media, controls and prices of its rows."""
        data = self.data.transpose(REGION, DATE, ...).copy(deep=True)
        cost, usual = prices(panel), mean_frequency(panel)
        money, units = np.zeros(data["spend"].shape), np.zeros(data["exposure"].shape)
        times = np.full(units.shape, np.nan)
        for m, channel in enumerate(panel.channels):
            price, often = cost[:, None, m], usual[:, None, m]
            spent, seen = rows.spend.get(channel), rows.exposure.get(channel)
            if channel in rows.reach:
                seen, often = rows.reach[channel], rows.frequency[channel]
            if spent is None and seen is not None:
                spent = seen * price * np.where(seen > 0, often, 0.0)
            if spent is not None:
                money[:, :, m] = spent
                units[:, :, m] = spent / (price * often) if seen is None else seen
            if channel not in panel.paid_channels:
                money[:, :, m] = np.nan
            if channel in panel.frequency_channels:
                times[:, :, m] = np.where(units[:, :, m] > 0, often, 0.0)
        data["spend"].values[:] = money
        data["exposure"].values[:] = units
        if panel.frequency_channels:
            data["frequency"].values[:] = times
        for name, values in rows.controls.items():
            data["controls"].loc[{"control": name}] = values
        if rows.revenue_per_sale is not None and "revenue_per_sale" in data:
            data["revenue_per_sale"].values[:] = rows.revenue_per_sale
        return MediaPlan(data)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """First days of the periods."""
        return pd.DatetimeIndex(self.data[DATE].values)

    @property
    def spend(self) -> xr.DataArray:
        """Spend (region, date, channel); NaN for a channel without spend."""
        return self.data["spend"]

    def times(self, factor: float | Mapping[str, float] | xr.DataArray) -> MediaPlan:
        """Return the plan with media multiplied: all, by channel, or by an array.

        Parameters
        ----------
        factor
            A number, a mapping of channel to number (others stay), or an array of dims of
            ``region, date, channel``.

        Examples
        --------
        >>> from bayes_mkt.simulate import media_mix
        >>> world = media_mix(regions=2, weeks=10, channels=2, seed=1, max_lag=2)
        >>> plan = MediaPlan.observed(MediaPanel.from_frame(world.frame, **world.columns))
        >>> float(plan.times({"tv": 2.0}).spend.sum() / plan.spend.sum()) > 1.0
        True
        """
        channels = self.data[CHANNEL].values.tolist()
        if isinstance(factor, Mapping):
            unknown = [name for name in factor if name not in channels]
            if unknown:
                raise SpecError(f"plan.times: no channel {unknown[0]!r}; it has {channels}.")
            values = [float(factor.get(name, 1.0)) for name in channels]
            factor = xr.DataArray(values, coords={CHANNEL: channels})
        array = factor if isinstance(factor, xr.DataArray) else xr.DataArray(float(factor))
        if not bool((np.isfinite(array) & (array >= 0)).all()):
            raise SpecError("plan.times: factors must be numbers >= 0.")
        media = {
            name: (self.data[name] * array).transpose(REGION, DATE, CHANNEL)
            for name in ("spend", "exposure")
        }
        return MediaPlan(self.data.assign(media))

    def without(self, channels: Iterable[str] | str | None = None) -> MediaPlan:
        """Return the plan with some channels off, or with no media at all."""
        names = self.data[CHANNEL].values.tolist()
        off = names if channels is None else [channels] if isinstance(channels, str) else channels
        return self.times(dict.fromkeys(off, 0.0))

    def __repr__(self) -> str:
        """Return dates, regions and spend in one line."""
        total = self.spend.sum((REGION, DATE), skipna=True)
        paid = [
            f"{name} {float(total.sel(channel=name)):,.6g}"
            for name in self.data[CHANNEL].values
            if bool(np.isfinite(self.spend.sel(channel=name)).any())
        ]
        count = self.data.sizes[REGION]
        regions = f"{count} region" + ("s" if count > 1 else "")
        return (
            f"MediaPlan({self.dates[0].date()} to {self.dates[-1].date()}, {regions}, "
            f"spend {', '.join(paid) or 'none'})"
        )


def prices(panel: MediaPanel) -> np.ndarray:
    """Return spend per unit of exposure (region, channel); 1 for a channel without spend.

    Per impression, for a channel with reach and frequency. Where a region never had a channel,
    the price of all regions together.
    """
    spend = np.nan_to_num(panel.data["spend"].to_numpy()).sum(axis=1)
    exposure = impressions(panel).to_numpy().sum(axis=1)
    paid = np.asarray([c in panel.paid_channels for c in panel.channels])
    common = spend.sum(axis=0) / np.maximum(exposure.sum(axis=0), 1e-300)
    own = np.where((exposure > 0) & (spend > 0), spend / np.maximum(exposure, 1e-300), common)
    return np.where(paid, own, 1.0)


def periods_a_year(panel: MediaPanel) -> float:
    """Return how many of the panel's periods make a year."""
    offset = pd.tseries.frequencies.to_offset(panel.period)
    unit = "D" if panel.period.endswith("D") else panel.period[-2:]
    return YEAR[unit] / offset.n


def ahead(panel: MediaPanel, count: int) -> pd.DatetimeIndex:
    """Return the `count` dates that follow the panel's."""
    offset = pd.tseries.frequencies.to_offset(panel.period)
    return pd.date_range(panel.dates[-1] + offset, periods=count, freq=offset).as_unit("ns")


def _far(panel: MediaPanel, end: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the dates that follow the panel's, as far as `end`."""
    offset = pd.tseries.frequencies.to_offset(panel.period)
    return pd.date_range(panel.dates[-1] + offset, end=end + offset, freq=offset)


def whole(value: Any, name: str, least: int) -> int:
    """Return an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise SpecError(f"{name}={value!r} must be an integer >= {least}.")
    return int(value)
