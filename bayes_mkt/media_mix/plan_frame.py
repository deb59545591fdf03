"""The rows of a media plan, from any frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayes_mkt.dims import REGION
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Column, Problems, read_columns
from bayes_mkt.media_mix.checks import Cells, check_frequency, place_rows
from bayes_mkt.media_mix.columns import Roles, panel_columns
from bayes_mkt.media_mix.panel import MediaPanel

MEDIA = ("spend", "exposure", "reach", "frequency")


@dataclass(frozen=True)
class PlanRows:
    """What a plan states, laid out in the panel's order of regions.

    Attributes
    ----------
    dates
        Ascending.
    spend, exposure, reach, frequency, controls
        Name -> (region, date).
    revenue_per_sale
        (region, date), or None.
    """

    dates: pd.DatetimeIndex
    spend: Mapping[str, np.ndarray]
    exposure: Mapping[str, np.ndarray]
    reach: Mapping[str, np.ndarray]
    frequency: Mapping[str, np.ndarray]
    controls: Mapping[str, np.ndarray]
    revenue_per_sale: np.ndarray | None


def read_plan(
    frame: object,
    panel: MediaPanel,
    *,
    date: str,
    region: str | None,
    spend: Mapping[str, str] | None,
    exposure: Mapping[str, str] | None,
    reach: Mapping[str, str] | None,
    frequency: Mapping[str, str] | None,
    controls: Iterable[str],
    revenue_per_sale: str | None,
) -> PlanRows:
    """Return the rows of a plan, after checking names, values, and that no cell is missing.

    Raises
    ------
    DataError
        With every problem found.
    """
    if not spend and not exposure and not reach:
        raise SpecError("A plan needs spend=, exposure= or reach=, channel -> column.")
    problems = Problems()
    roles = Roles.checked(
        problems,
        sales=date,
        date=date,
        region=region,
        spend=spend,
        exposure=exposure,
        reach=reach,
        frequency=frequency,
        controls=controls,
        population=None,
        revenue_per_sale=revenue_per_sale,
        currency=panel.currency,
        missing_sales="error",
    )
    _alike(roles, panel, problems)
    columns = panel_columns(roles)
    del columns["sales"]
    values = read_columns(frame, columns, problems)
    cells = place_rows(values, columns, problems, fewest=1)
    if cells is not None:
        _check_cells(cells, panel, problems)
        _check_reach(roles, {**values, **_people(cells, panel)}, columns, cells, problems)
    problems.raise_if_any()
    if cells is None:  # every reason for this is a problem, raised above
        raise DataError("The rows have no region or date.")
    order = [cells.regions.index(name) for name in panel.regions]

    def grid(key: str) -> np.ndarray:
        laid = np.full((len(cells.regions), len(cells.dates)), np.nan)
        laid[cells.region, cells.date] = values[key]
        return laid[order]

    def of(role: str, names: Iterable[str]) -> dict[str, Any]:
        return {name: grid(f"{role}:{name}") for name in names}

    return PlanRows(
        dates=pd.DatetimeIndex(cells.dates),
        **{role: of(role, getattr(roles, role)) for role in MEDIA},
        controls=of("control", roles.controls),
        revenue_per_sale=None if revenue_per_sale is None else grid("revenue_per_sale"),
    )


def _known(what: str, given: Iterable[str], known: tuple[str, ...], problems: Problems) -> None:
    for name in given:
        if name not in known:
            problems.add(
                f"{what} {name!r} of the plan isn't in the panel, which has {list(known)}."
            )


def _alike(roles: Roles, panel: MediaPanel, problems: Problems) -> None:
    """Note names that the panel lacks, and channels whose media are stated otherwise there."""
    _known("channel", roles.channels, panel.channels, problems)
    _known("control", roles.controls, panel.controls, problems)
    for name in roles.exposure:
        if name in panel.frequency_channels:
            problems.add(
                f"channel {name!r} has reach and frequency in the panel: give these in the plan, "
                "or spend."
            )
    for name in roles.reach:
        if name in panel.channels and name not in panel.frequency_channels:
            problems.add(
                f"channel {name!r} has no reach and frequency in the panel: give its exposure in "
                "the plan, or spend."
            )


def _check_reach(
    roles: Roles,
    values: Mapping[str, np.ndarray],
    columns: Mapping[str, Column],
    cells: Cells,
    problems: Problems,
) -> None:
    for channel in roles.reach:
        check_frequency(channel, values, columns, cells, problems)


def _people(cells: Cells, panel: MediaPanel) -> dict[str, np.ndarray]:
    """Return the population of each row's region, where the panel knows all of them."""
    if "population" not in panel.data or not set(cells.regions) <= set(panel.regions):
        return {}
    known = panel.data["population"].sel({REGION: list(cells.regions)}).to_numpy()
    return {"population": known[cells.region]}


def _check_cells(cells: Cells, panel: MediaPanel, problems: Problems) -> None:
    """Note regions that aren't the panel's, and cells without a row."""
    unknown = [name for name in cells.regions if name not in panel.regions]
    if unknown:
        problems.add(
            f"region {unknown[0]!r} of the plan isn't in the panel, which has "
            f"{list(panel.regions)}."
        )
        return
    absent = [name for name in panel.regions if name not in cells.regions]
    if absent:
        problems.add(f"The plan has no row of region {absent[0]!r}; give every region.")
    empty = np.argwhere(cells.rows == 0)
    if len(empty):
        place, when = empty[0]
        day = str(cells.dates[when].astype("datetime64[D]"))
        problems.add(
            f"The plan has no row of region {cells.regions[place]!r} on {day}; give every region "
            "on every date, 0 where nothing runs."
        )
