"""Region x date x channel: the data of a media-mix model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import CHANNEL, CONTROL, DATE, REGION
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Problems, counted, read_columns
from bayes_mkt.media_mix.checks import Cells, check_contents, place_rows
from bayes_mkt.media_mix.columns import Roles, panel_columns
from bayes_mkt.media_mix.layout import VARIABLES, tidy

__all__ = ["MediaPanel"]

Array = NDArray[Any]
Bound = str | dt.date | np.datetime64


@dataclass(frozen=True, eq=False, repr=False)
class MediaPanel:
    """Sales, media, and what else moves sales, by region and date.

    Two panels are equal if they hold the same numbers under the same names. The arrays
    are read-only.

    Parameters
    ----------
    data
        Variables, float64, each with `attrs["units"]`:

        - `sales` (region, date): NaN where sales are not observed;
        - `exposure` (region, date, channel): >= 0; people reached, for a channel with
          frequency;
        - `spend` (region, date, channel): >= 0, in `currency`; NaN throughout for a
          channel without spend;
        - `frequency` (region, date, channel), only if a channel has it: impressions per
          person reached, 0 where nobody was; NaN throughout for the other channels;
        - `controls` (region, date, control): NaN where the region-date has no row;
        - `population` (region), only if given: people;
        - `revenue_per_sale` (region, date), only if given: `currency` per sale. Without
          it sales are already revenue.
    currency
        Currency of spend and revenue, such as ``"EUR"``; None if not stated.

    Raises
    ------
    DataError
        If `data` isn't laid out like this.

    Notes
    -----
    A region-date without a row is taken to have had no media: its sales are masked, its
    exposure and spend are 0. Leave the row in, with empty sales and
    ``missing_sales="mask"``, where media ran but sales were not measured.

    Examples
    --------
    >>> frame = pd.DataFrame({"week": pd.date_range("2024-01-01", periods=8, freq="7D"),
    ...     "revenue": [9.0, 12, 11, 15, 9, 10, 14, 8], "tv": [0.0, 3, 1, 5, 0, 0, 4, 0]})
    >>> MediaPanel.from_frame(frame, sales="revenue", spend={"tv": "tv"}, date="week")
    MediaPanel(1 region x 8 dates x 1 channel, 2024-01-01 to 2024-02-19 by 7D, no missing sales)
    """

    data: xr.Dataset
    currency: str | None = None

    def __post_init__(self) -> None:
        """Bring the data into the one layout."""
        object.__setattr__(self, "data", tidy(self.data, self.currency))

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        sales: str,
        date: str,
        spend: Mapping[str, str] | None = None,
        exposure: Mapping[str, str] | None = None,
        reach: Mapping[str, str] | None = None,
        frequency: Mapping[str, str] | None = None,
        controls: Iterable[str] = (),
        region: str | None = None,
        population: str | None = None,
        revenue_per_sale: str | None = None,
        currency: str | None = None,
        missing_sales: Literal["error", "mask"] = "error",
    ) -> MediaPanel:
        """Read a panel from a frame with one row for each region and date.

        Channels are those of `spend`, then those of `exposure` and of `reach` that have no
        spend. A channel with spend only is exposed by its spend; one without spend (organic
        media, a feature, a deal) has no ROI.

        Parameters
        ----------
        frame
            pandas, Polars (eager or lazy), PyArrow, DuckDB, or another frame that Narwhals
            knows. Only the named columns are read. Rows may come in any order.
        sales
            Column of sales: units if `revenue_per_sale` is given, else revenue.
        date
            Column of dates (or ISO text): first days of evenly spaced periods.
        spend, exposure
            Channel -> column. Spend is in `currency`; exposure in the channel's own unit.
        reach, frequency
            Channel -> column, both for each such channel, instead of exposure: the number of
            different people reached in the period, at most the population, and impressions
            per person reached, 1 or more where reach is positive (0.95, as estimates go).
        controls
            Columns of what else moves sales; their names become the controls' names.
        region
            Column of region labels; None for one series, called ``"national"``.
        population
            Column of people, constant within a region.
        revenue_per_sale
            Column of revenue per unit of sales, > 0.
        currency
            Name of the currency, such as ``"EUR"``.
        missing_sales
            ``"error"`` refuses empty sales; ``"mask"`` leaves them out and keeps the row's
            media. Controls and revenue per sale may then be empty in the same rows.

        Raises
        ------
        DataError
            With every problem found: column, values, where they stand, and the remedy.
        """
        problems = Problems()
        roles = Roles.checked(
            problems,
            sales=sales,
            date=date,
            region=region,
            spend=spend,
            exposure=exposure,
            reach=reach,
            frequency=frequency,
            controls=controls,
            population=population,
            revenue_per_sale=revenue_per_sale,
            currency=currency,
            missing_sales=missing_sales,
        )
        columns = panel_columns(roles)
        values = read_columns(frame, columns, problems)
        cells = place_rows(values, columns, problems)
        if cells is not None:
            check_contents(values, columns, cells, roles, problems)
        problems.raise_if_any()
        if cells is None:  # every reason for this is a problem, raised above
            raise DataError("The rows have no region or date.")
        return cls(_dataset(values, cells, roles), currency)

    @classmethod
    def from_dataset(cls, data: xr.Dataset) -> MediaPanel:
        """Return the panel that `to_dataset` stored."""
        currency = data.attrs.get("currency")
        return cls(data, None if currency is None else str(currency))

    def to_dataset(self) -> xr.Dataset:
        """Return the panel as one dataset that netCDF and Zarr can hold, currency included."""
        return self.data.copy()

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions."""
        return tuple(str(name) for name in self.data[REGION].values)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """First days of the periods."""
        return pd.DatetimeIndex(self.data[DATE].values)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return tuple(str(name) for name in self.data[CHANNEL].values)

    @property
    def paid_channels(self) -> tuple[str, ...]:
        """Names of the channels that have spend, and so an ROI."""
        paid = np.isfinite(self.data["spend"].values).any(axis=(0, 1))
        return tuple(name for name, has in zip(self.channels, paid, strict=True) if has)

    @property
    def frequency_channels(self) -> tuple[str, ...]:
        """Names of the channels that came as reach and frequency."""
        if "frequency" not in self.data:
            return ()
        known = np.isfinite(self.data["frequency"].values).any(axis=(0, 1))
        return tuple(name for name, has in zip(self.channels, known, strict=True) if has)

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the controls."""
        return tuple(str(name) for name in self.data[CONTROL].values)

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return int(self.data.sizes[REGION])

    @property
    def n_dates(self) -> int:
        """Number of dates."""
        return int(self.data.sizes[DATE])

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.data.sizes[CHANNEL])

    @property
    def observed(self) -> xr.DataArray:
        """Whether sales are observed, (region, date)."""
        seen = self.data["sales"].notnull().rename("observed")
        return seen.assign_attrs(units="1", long_name="Sales observed")

    @property
    def balanced(self) -> bool:
        """Whether sales are observed in every region on every date."""
        return bool(np.isfinite(self.data["sales"].values).all())

    @property
    def period(self) -> str:
        """Step between dates as a pandas offset: ``"7D"``, ``"MS"`` (months), ``"3MS"``, ..."""
        return str(self.data.attrs["period"])

    def between(self, start: Bound | None = None, end: Bound | None = None) -> MediaPanel:
        """Return the panel from `start` to `end`, both included.

        Regions, channels and controls stay as they are, also where nothing of them is
        left in the window.

        Parameters
        ----------
        start, end
            Dates or ISO text; None leaves that side open.

        Raises
        ------
        SpecError
            If a bound isn't a date, or no date of the panel lies between them.
        """
        first, last = _day(start, "start"), _day(end, "end")
        dates = self.dates
        inside = np.ones(len(dates), dtype=bool)
        if first is not None:
            inside &= np.asarray(dates >= first)
        if last is not None:
            inside &= np.asarray(dates <= last)
        if not inside.any():
            raise SpecError(
                f"between({start!r}, {end!r}): no date of the panel lies there. It has "
                f"{dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}."
            )
        return MediaPanel(self.data.isel({DATE: np.flatnonzero(inside)}), self.currency)

    def __eq__(self, other: object) -> bool:
        """Whether both panels hold the same numbers under the same names."""
        if not isinstance(other, MediaPanel):
            return NotImplemented
        return self.currency == other.currency and bool(self.data.identical(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal panels share."""
        total = float(np.nansum(self.data["sales"].values))
        return hash((self.regions, self.channels, self.controls, self.currency, total))

    def __repr__(self) -> str:
        """Return sizes, dates, missing sales and currency in one line."""
        missing = int((~np.isfinite(self.data["sales"].values)).sum())
        sizes = " x ".join(
            counted(int(self.data.sizes[dim]), dim) for dim in (REGION, DATE, CHANNEL)
        )
        parts = [
            sizes,
            f"{self.dates[0]:%Y-%m-%d} to {self.dates[-1]:%Y-%m-%d} by {self.period}",
            *([counted(len(self.controls), "control")] if self.controls else []),
            f"{missing:,} missing sales" if missing else "no missing sales",
            *([self.currency] if self.currency else []),
        ]
        return f"MediaPanel({', '.join(parts)})"


def _is_bound(bound: object) -> bool:
    """Whether a bound has a type that can be a date, whatever its declared type."""
    return isinstance(bound, str | dt.date | np.datetime64)


def _day(bound: Bound | None, name: str) -> pd.Timestamp | None:
    """Return a bound of a window as a timestamp."""
    if bound is None:
        return None
    try:
        if _is_bound(bound):
            moment = dt.datetime.fromisoformat(bound) if isinstance(bound, str) else bound
            day = pd.Timestamp(moment)
            if not pd.isna(day) and day.tzinfo is None:
                return day
    except ValueError:
        pass
    raise SpecError(f"{name}={bound!r} is not a date. Give one such as '2024-03-04'.")


def _dataset(values: Mapping[str, Array], cells: Cells, roles: Roles) -> xr.Dataset:
    """Lay the rows out as arrays over region and date."""
    shape = (len(cells.regions), len(cells.dates))
    empty = np.full(shape, np.nan)

    def grid(key: str, fill: float) -> Array:
        laid = np.full(shape, fill)
        laid[cells.region, cells.date] = values[key]
        return laid

    spend, exposure, frequency = [], [], []
    for channel in roles.channels:
        paid, seen, often = (f"{role}:{channel}" for role in ("spend", "exposure", "frequency"))
        seen = f"reach:{channel}" if often in values else seen
        spend.append(grid(paid, 0.0) if paid in values else empty)
        exposure.append(grid(seen if seen in values else paid, 0.0))
        known = np.where(exposure[-1] > 0, grid(often, 0.0), 0.0) if often in values else empty
        frequency.append(known)
    controls = [grid(f"control:{name}", np.nan) for name in roles.controls]
    variables = {
        "sales": grid("sales", np.nan),
        "exposure": np.stack(exposure, axis=-1),
        "spend": np.stack(spend, axis=-1),
        "controls": np.stack(controls, axis=-1) if controls else np.zeros((*shape, 0)),
    }
    if roles.frequency:
        variables["frequency"] = np.stack(frequency, axis=-1)
    if "population" in values:
        population = np.full(shape[0], np.nan)
        population[cells.region] = values["population"]
        variables["population"] = population
    if "revenue_per_sale" in values:
        variables["revenue_per_sale"] = grid("revenue_per_sale", np.nan)
    for laid in variables.values():
        laid.setflags(write=False)
    return xr.Dataset(
        {name: (VARIABLES[name], laid) for name, laid in variables.items()},
        coords={
            REGION: list(cells.regions),
            DATE: cells.dates,
            CHANNEL: list(roles.channels),
            CONTROL: list(roles.controls),
        },
    )
