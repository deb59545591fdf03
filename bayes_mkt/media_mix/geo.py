"""A geo experiment as data: sales of regions, some of them treated from a date on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import DATE, REGION
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Column, Problems, counted, listed, read_columns
from bayes_mkt.media_mix.checks import place_rows
from bayes_mkt.media_mix.grid import find_period
from bayes_mkt.media_mix.panel import MediaPanel

__all__ = ["GeoExperiment"]

Array = NDArray[Any]
FEWEST_BEFORE: Final = 8
FEWEST_CONTROLS: Final = 3


@dataclass(frozen=True, eq=False, repr=False)
class GeoExperiment:
    """Sales by region and date, some regions treated from `start` to `end`.

    Dates after `end` are left out. Which media the treatment changed, and by how much, isn't said
    here: the lift is measured without it.

    Parameters
    ----------
    data
        Variables `sales` (region, date), without gaps, and `treated` (region,), 0 or 1; attrs
        `start`, the first date of the treatment, and `units` of sales.

    Raises
    ------
    DataError
        If fewer than 8 dates lie before the treatment, fewer than 3 regions are untreated, sales
        are missing somewhere, or a region sold nothing before the treatment.

    Examples
    --------
    >>> frame = pd.DataFrame({"city": np.repeat(list("abcde"), 12), "sold": np.arange(60.0) + 5,
    ...     "day": np.tile(pd.date_range("2024-01-01", periods=12), 5)})
    >>> GeoExperiment.from_frame(frame, sales="sold", region="city", date="day", treated=["b"],
    ...     start="2024-01-10", end="2024-01-12")
    GeoExperiment(1 treated of 5 regions, 3 of 12 dates treated, 2024-01-10 to 2024-01-12)
    """

    data: xr.Dataset

    def __post_init__(self) -> None:
        """Check the layout."""
        lacking = [name for name in ("sales", "treated") if name not in self.data]
        if lacking or "start" not in self.data.attrs:
            raise DataError("A GeoExperiment needs sales, treated and the attribute start.")
        _check(self)

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        sales: str,
        region: str,
        date: str,
        treated: Sequence[str],
        start: str,
        end: str | None = None,
    ) -> GeoExperiment:
        """Read an experiment from a frame with one row for each region and date.

        Parameters
        ----------
        frame
            Any frame that `MediaPanel.from_frame` reads.
        sales, region, date
            Columns. Dates are evenly spaced periods: days, weeks, months.
        treated
            Names of the treated regions.
        start, end
            First and last date, both included, on which sales of the treated regions are counted:
            the treatment and, if wanted, the time in which it still works. None means the last
            date of the frame.

        Raises
        ------
        DataError
            With every problem found.
        SpecError
            If a treated region or a date isn't in the frame.
        """
        problems = Problems()
        columns = {
            "region": Column(region, "region", "label", locates=True),
            "date": Column(date, "date", "date", locates=True),
            "sales": Column(sales, "sales"),
        }
        values = read_columns(frame, columns, problems)
        cells = place_rows(values, columns, problems)
        problems.raise_if_any()
        if cells is None:  # every reason for this is a problem, raised above
            raise DataError("The rows have no region or date.")
        laid = np.full((len(cells.regions), len(cells.dates)), np.nan)
        laid[cells.region, cells.date] = values["sales"]
        array = xr.DataArray(
            laid, dims=(REGION, DATE), coords={REGION: list(cells.regions), DATE: cells.dates}
        )
        return cls._of(array, treated, start, end, "sales")

    @classmethod
    def from_panel(
        cls, panel: MediaPanel, *, treated: Sequence[str], start: str, end: str | None = None
    ) -> GeoExperiment:
        """Return the experiment that a media panel holds; see `from_frame` for the arguments."""
        sales = panel.data["sales"]
        return cls._of(sales, treated, start, end, str(sales.attrs["units"]))

    @classmethod
    def _of(
        cls,
        sales: xr.DataArray,
        treated: Sequence[str],
        start: str,
        end: str | None,
        units: str,
    ) -> GeoExperiment:
        names = (treated,) if isinstance(treated, str) else tuple(treated)
        regions = [str(name) for name in sales[REGION].to_numpy()]
        unknown = [name for name in names if name not in regions]
        if unknown or not names:
            what = f"{unknown[0]!r} is none" if unknown else "none is named"
            raise SpecError(
                f"treated: {what} of the {len(regions)} regions, {listed(map(repr, regions))}."
            )
        dates = pd.DatetimeIndex(sales[DATE].to_numpy())
        first, last = _date(start, "start"), dates[-1] if end is None else _date(end, "end")
        if not dates[0] <= first <= last <= dates[-1]:
            raise SpecError(
                f"start={start!r}, end={end!r}: the treatment must lie, in this order, within the "
                f"data, {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}."
            )
        kept = sales.sel({DATE: dates[dates <= last]})
        data = xr.Dataset(
            {
                "sales": ((REGION, DATE), kept.to_numpy().astype(float), {"units": units}),
                "treated": ((REGION,), np.isin(regions, names).astype(float), {"units": "1"}),
            },
            coords={REGION: regions, DATE: kept[DATE].to_numpy()},
            attrs={"start": str(first.date())},
        )
        return cls(data)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> GeoExperiment:
        """Return what `to_dataset` stored."""
        return cls(dataset)

    def to_dataset(self) -> xr.Dataset:
        """Return the experiment as one dataset that netCDF and Zarr can hold."""
        return self.data.copy()

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of all regions."""
        return tuple(str(name) for name in self.data[REGION].to_numpy())

    @property
    def treated(self) -> tuple[str, ...]:
        """Names of the treated regions."""
        return tuple(n for n, t in zip(self.regions, self.is_treated, strict=True) if t)

    @property
    def is_treated(self) -> Array:
        """Whether each region is treated (region,)."""
        return np.asarray(self.data["treated"].to_numpy() > 0)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """First days of the periods."""
        return pd.DatetimeIndex(self.data[DATE].to_numpy())

    @property
    def start(self) -> str:
        """First date of the treatment."""
        return str(self.data.attrs["start"])

    @property
    def end(self) -> str:
        """Last date on which sales are counted."""
        return str(self.dates[-1].date())

    @property
    def before(self) -> int:
        """Number of dates before the treatment."""
        return int((self.dates < pd.Timestamp(self.start)).sum())

    @property
    def period(self) -> str:
        """Step between dates as a pandas offset, such as ``"1D"`` or ``"7D"``."""
        return str(find_period(self.dates.to_numpy())[0])

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same numbers under the same names."""
        if not isinstance(other, GeoExperiment):
            return NotImplemented
        return bool(self.data.identical(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal experiments share."""
        return hash((self.regions, self.treated, self.start, float(self.data["sales"].sum())))

    def __repr__(self) -> str:
        """Return sizes and dates in one line."""
        dates = len(self.dates)
        return (
            f"GeoExperiment({len(self.treated)} treated of {counted(len(self.regions), 'region')}, "
            f"{dates - self.before} of {counted(dates, 'date')} treated, {self.start} to "
            f"{self.end})"
        )


def _date(given: str, name: str) -> pd.Timestamp:
    try:
        moment = pd.Timestamp(given)
        if not pd.isna(moment):
            return moment
    except (TypeError, ValueError):
        pass
    raise SpecError(f"{name}={given!r} is not a date. Give one such as '2024-03-04'.")


def _check(experiment: GeoExperiment) -> None:
    """Raise everything that is wrong with an experiment's numbers."""
    problems = Problems()
    sales = experiment.data["sales"].transpose(REGION, DATE).to_numpy()
    regions, dates, before = experiment.regions, experiment.dates, experiment.before
    odd = np.argwhere(~np.isfinite(sales))
    if len(odd):
        where = listed((f"{regions[g]!r} on {dates[t].date()}" for g, t in odd), sep="; ")
        problems.add(
            f"sales of a geo experiment have {counted(len(odd), 'gap')}: {where}. Fill them in, "
            "or leave these regions or dates out."
        )
    if before < FEWEST_BEFORE:
        problems.add(
            f"{counted(before, 'date lies', 'dates lie')} before the treatment, which starts on "
            f"{experiment.start}; at least {FEWEST_BEFORE} are needed. Load a longer history."
        )
    untreated = len(regions) - len(experiment.treated)
    if untreated < FEWEST_CONTROLS:
        problems.add(
            f"{counted(untreated, 'region is', 'regions are')} untreated; at least "
            f"{FEWEST_CONTROLS} are needed to tell what would have been."
        )
    if before and not len(odd):
        low = [
            r for r, mean in zip(regions, sales[:, :before].mean(axis=1), strict=True) if mean <= 0
        ]
        if low:
            problems.add(
                f"{counted(len(low), 'region has', 'regions have')} no sales before the "
                f"treatment: {listed(map(repr, low))}. Leave them out."
            )
    problems.raise_if_any()
