"""What must hold over all rows of a media panel together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.frames import Column, Problems, counted, listed
from bayes_mkt.media_mix.columns import LEAST_FREQUENCY, ROUNDING, Roles
from bayes_mkt.media_mix.grid import find_period

__all__ = ["MIN_DATES", "Cells", "check_contents", "check_frequency", "place_rows"]

Array = NDArray[Any]

MIN_DATES: Final = 6
"""Fewest dates from which a panel is built; far more are needed to learn much."""


@dataclass(frozen=True)
class Cells:
    """Where each row stands in the panel.

    Parameters
    ----------
    regions
        Names, in natural order (``Geo2`` before ``Geo10``).
    dates
        Ascending, datetime64[ns] (n_dates).
    region, date
        Position of each row's region and date (n_rows).
    rows
        How many rows each cell has (n_regions, n_dates).
    """

    regions: tuple[str, ...]
    dates: Array
    region: Array
    date: Array
    rows: Array


def place_rows(
    values: Mapping[str, Array],
    columns: Mapping[str, Column],
    problems: Problems,
    fewest: int = MIN_DATES,
) -> Cells | None:
    """Return where each row stands, or None if its region or date is unknown.

    Duplicate rows are noted in `problems`, and fewer dates than `fewest`, uneven dates and regions
    with one date, where that is more than one.
    """
    if "date" not in values or ("region" in columns and "region" not in values):
        return None
    date, dates = pd.factorize(values["date"], sort=True)
    regions: tuple[str, ...] = ("national",)
    region: Array = np.zeros(len(date), dtype=np.intp)
    if "region" in columns:
        codes, names = pd.factorize(values["region"])
        order = sorted(range(len(names)), key=lambda i: _natural(str(names[i])))
        region = np.argsort(order)[codes]
        regions = tuple(str(names[i]) for i in order)
        _check_spelling(regions, columns["region"], problems)
    shape = (len(regions), len(dates))
    rows = np.bincount(region * shape[1] + date, minlength=shape[0] * shape[1]).reshape(shape)
    cells = Cells(regions, np.asarray(dates, dtype="datetime64[ns]"), region, date, rows)
    _check_duplicates(cells, columns, problems)
    if fewest > 1:
        _check_dates(cells, columns, problems, fewest)
    return cells


def check_contents(
    values: Mapping[str, Array],
    columns: Mapping[str, Column],
    cells: Cells,
    roles: Roles,
    problems: Problems,
) -> None:
    """Note what no model could learn from: media that never ran, constants, and the like."""
    if "sales" in values:
        _check_sales(values["sales"], columns["sales"], cells, problems)
    observed = np.isfinite(values["sales"]) if "sales" in values else np.ones(len(cells.date), bool)
    for channel in roles.channels:
        _check_channel(channel, values, columns, cells, problems)
    for channel in roles.reach:
        check_frequency(channel, values, columns, cells, problems)
    for name in roles.controls:
        control = values.get(f"control:{name}")
        if control is not None and _constant(control[observed]):
            problems.add(
                f"control is {_figure(control[observed][0])} in every row: column {name!r}. "
                "It can't be told from the intercept; drop it."
            )
    if "population" in values and cells.rows.max() == 1:
        _check_population(values["population"], columns["population"], cells, problems)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a sorting key that orders the numbers inside names by size."""
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(p), p) if p.isascii() and p.isdigit() else (0, 0, p) for p in parts if p]


def _figure(value: float) -> str:
    """Return a figure as a reader would write it."""
    return f"{value:.10g}"


def _constant(values: Array) -> bool:
    """Whether there are values and all are the same."""
    return len(values) > 0 and bool(np.all(values == values[0]))


def _place(cells: Cells, columns: Mapping[str, Column], region: int, date: int) -> str:
    """Return the name of a cell."""
    day = str(cells.dates[date].astype("datetime64[D]"))
    return f"region {cells.regions[region]!r}, {day}" if "region" in columns else day


def _check_spelling(regions: tuple[str, ...], column: Column, problems: Problems) -> None:
    """Note regions whose names differ only in case or surrounding blanks."""
    spellings: dict[str, list[str]] = {}
    for name in regions:
        spellings.setdefault(name.casefold().strip(), []).append(name)
    for names in spellings.values():
        if len(names) > 1:
            problems.add(
                f"region has labels that differ only in case or blanks: column {column.name!r}, "
                f"{listed(map(repr, names))}. Give each region one spelling."
            )


def _check_duplicates(cells: Cells, columns: Mapping[str, Column], problems: Problems) -> None:
    """Note region-dates with more than one row."""
    twice = np.argwhere(cells.rows > 1).tolist()
    if not twice:
        return
    where = listed(
        (f"{_place(cells, columns, r, d)} ({cells.rows[r, d]} rows)" for r, d in twice), sep="; "
    )
    if "region" in columns:
        nouns = ("region and date has", "regions and dates have")
        remedy = "Keep one row for each region and date; add the rows up or drop the extra ones."
    else:
        nouns = ("date has", "dates have")
        remedy = (
            "Give region= if the rows are regions; otherwise keep one row for each date, "
            "adding the rows up."
        )
    problems.add(f"{counted(len(twice), *nouns)} more than one row: {where}. {remedy}")


def _check_dates(
    cells: Cells, columns: Mapping[str, Column], problems: Problems, fewest: int
) -> None:
    """Note too few dates, uneven dates, and regions with one date."""
    name = columns["date"].name
    if len(cells.dates) < fewest:
        days = ", ".join(str(day) for day in cells.dates.astype("datetime64[D]"))
        problems.add(
            f"date has {counted(len(cells.dates), 'distinct value')}: column {name!r}, {days}. "
            f"A panel needs {fewest} dates or more; load a longer history."
        )
        return
    _, problem = find_period(cells.dates)
    problems.add(None if problem is None else f"date (column {name!r}) {problem}")
    present = cells.rows > 0
    single = np.flatnonzero(present.sum(axis=1) == 1).tolist()
    if single:
        where = listed(
            (_place(cells, columns, r, int(present[r].argmax())) for r in single), sep="; "
        )
        problems.add(
            f"{counted(len(single), 'region has', 'regions have')} one date only: {where}. "
            "A region needs two dates or more; drop it or merge it into another."
        )


def _check_sales(sales: Array, column: Column, cells: Cells, problems: Problems) -> None:
    """Note sales that don't vary, and regions without any."""
    observed = np.isfinite(sales)
    if not observed.any():
        problems.add(f"sales are missing in every row: column {column.name!r}. Load the sales.")
        return
    if _constant(sales[observed]):
        problems.add(
            f"sales are {_figure(sales[observed][0])} in every row: column {column.name!r}. "
            "There is nothing to explain; check that the right column was named."
        )
    seen = np.bincount(cells.region[observed], minlength=len(cells.regions))
    thin = np.flatnonzero((seen < 2) & ((cells.rows > 0).sum(axis=1) > 1))
    if len(thin):
        where = listed(f"region {cells.regions[r]!r} ({seen[r]})" for r in thin.tolist())
        problems.add(
            f"{counted(len(thin), 'region has', 'regions have')} fewer than two dates with "
            f"sales: column {column.name!r}, {where}. Drop the region or supply its sales."
        )


def _check_channel(
    channel: str,
    values: Mapping[str, Array],
    columns: Mapping[str, Column],
    cells: Cells,
    problems: Problems,
) -> None:
    """Note a channel that never ran, or whose spend and exposure contradict each other."""
    total: dict[str, Array] = {}
    for role in ("exposure", "reach", "spend"):
        key = f"{role}:{channel}"
        if key in columns and key not in values:
            return
        if key in values:
            n = len(cells.regions)
            total[role] = np.bincount(cells.region, weights=values[key], minlength=n)
    where = {
        role: f"channel {channel!r} (column {columns[f'{role}:{channel}'].name!r})"
        for role in total
    }
    if not total:
        return
    shown = next(role for role in ("exposure", "reach", "spend") if role in total)
    if not total[shown].any():
        problems.add(
            f"{shown} is zero in every row: {where[shown]}. A channel that never ran has no "
            "effect to estimate; drop it."
        )
    elif "spend" in total and not total["spend"].any():
        problems.add(
            f"spend is zero in every row: {where['spend']}. Its ROI would divide by zero; "
            "give the channel in exposure only."
        )
    elif "spend" in total and len(total) == 2:
        _check_regions(shown, where, total, cells, problems)


def _check_regions(
    shown: str,
    where: Mapping[str, str],
    total: Mapping[str, Array],
    cells: Cells,
    problems: Problems,
) -> None:
    """Note regions with spend but no exposure (or reach) on any date, or the reverse."""
    remedies = {
        shown: f"Money that bought nothing has no ROI; correct the {shown}, or move the "
        "spend to the regions where it ran.",
        "spend": f"ROI there would divide by zero; correct the spend, or share it out by {shown}.",
    }
    for role, other in ((shown, "spend"), ("spend", shown)):
        bad = np.flatnonzero((total[role] == 0) & (total[other] > 0))
        if len(bad):
            regions = listed(
                f"region {cells.regions[r]!r} ({other} {_figure(total[other][r])})"
                for r in bad.tolist()
            )
            problems.add(
                f"{role} is zero on every date in {counted(len(bad), 'region')} with {other}: "
                f"{where[role]}, {regions}. {remedies[role]}"
            )


def check_frequency(
    channel: str,
    values: Mapping[str, Array],
    columns: Mapping[str, Column],
    cells: Cells,
    problems: Problems,
) -> None:
    """Note frequencies that are missing or below 1 where people were reached, and too much reach.

    A reach above the population is noted where `values` hold one.
    """
    reach, frequency = (values.get(f"{role}:{channel}") for role in ("reach", "frequency"))
    if reach is None or frequency is None:
        return
    title = f"channel {channel!r} (column {columns[f'frequency:{channel}'].name!r})"
    missing = np.flatnonzero((reach > 0) & ~np.isfinite(frequency))
    low = np.flatnonzero((reach > 0) & (frequency < LEAST_FREQUENCY))
    for rows, fact, remedy in (
        (missing, "is missing where reach is positive", "Fill it in: impressions over reach."),
        (
            low,
            "is below 1 where reach is positive",
            "Whoever was reached was reached once at least: give impressions divided by reach.",
        ),
    ):
        if len(rows):
            where = _listed_rows(rows, frequency, cells, columns)
            count = counted(len(rows), "row")
            problems.add(f"frequency {fact}: {title}, {count}, {where}. {remedy}")
    people = values.get("population")
    if people is None:
        return
    much = np.flatnonzero(reach > people * (1 + ROUNDING))
    if len(much):
        title = f"channel {channel!r} (column {columns[f'reach:{channel}'].name!r})"
        problems.add(
            f"reach is above the population: {title}, {counted(len(much), 'row')}, "
            f"{_listed_rows(much, reach, cells, columns)}. Reach counts different people in one "
            "period: if these are impressions, give them as exposure."
        )


def _listed_rows(rows: Array, values: Array, cells: Cells, columns: Mapping[str, Column]) -> str:
    """Return the first of some rows: value and place."""
    return listed(
        (
            f"{_figure(values[i])} at {_place(cells, columns, cells.region[i], cells.date[i])}"
            for i in rows.tolist()
        ),
        sep="; ",
    )


def _check_population(population: Array, column: Column, cells: Cells, problems: Problems) -> None:
    """Note regions whose population changes over time."""
    low = np.full(len(cells.regions), np.inf)
    high = np.full(len(cells.regions), -np.inf)
    np.minimum.at(low, cells.region, population)
    np.maximum.at(high, cells.region, population)
    bad = np.flatnonzero(high - low > 1e-9 * high)
    if len(bad):
        where = listed(
            (
                f"region {cells.regions[r]!r} from {_figure(low[r])} to {_figure(high[r])}"
                for r in bad.tolist()
            ),
            sep="; ",
        )
        problems.add(
            f"population varies over time in {counted(len(bad), 'region')}: column "
            f"{column.name!r}, {where}. Give each region one figure, such as its mean."
        )
