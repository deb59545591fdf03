"""How a media panel lies in xarray: dimensions, types, units, and no writing to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import CHANNEL, CONTROL, DATE, REGION
from bayes_mkt.errors import DataError
from bayes_mkt.frames import Problems, listed
from bayes_mkt.media_mix.columns import LEAST_FREQUENCY, ROUNDING
from bayes_mkt.media_mix.grid import find_period

__all__ = ["VARIABLES", "tidy"]

Array = NDArray[Any]

VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "sales": (REGION, DATE),
    "exposure": (REGION, DATE, CHANNEL),
    "spend": (REGION, DATE, CHANNEL),
    "frequency": (REGION, DATE, CHANNEL),
    "controls": (REGION, DATE, CONTROL),
    "population": (REGION,),
    "revenue_per_sale": (REGION, DATE),
}
_REQUIRED: Final = ("sales", "exposure", "spend")
_LONG_NAMES: Final = {
    "sales": "Sales",
    "exposure": "Media exposure",
    "spend": "Media spend",
    "frequency": "Average frequency",
    "controls": "Controls",
    "population": "Population",
    "revenue_per_sale": "Revenue per sale",
}


def tidy(data: xr.Dataset, currency: str | None) -> xr.Dataset:
    """Return a panel's data in the one layout that the models rely on.

    Parameters
    ----------
    data
        Variables as in `VARIABLES`; `frequency`, `controls`, `population` and
        `revenue_per_sale` may be absent. An absent `controls` becomes one without controls.
    currency
        Currency of spend and revenue, or None.

    Returns
    -------
    xarray.Dataset
        float64 and read-only variables with `units` and `long_name`, dimensions in
        order, names as text, dates as datetime64[ns]; `attrs` hold the period and,
        where given, the currency.

    Raises
    ------
    DataError
        If a variable, a dimension or a coordinate is missing or doesn't hold what it must.
    """
    problems = Problems()
    absent = [name for name in _REQUIRED if name not in data]
    if absent:
        raise DataError(
            f"The dataset has no variable {listed(map(repr, absent))}. A media panel needs "
            "'sales' (region, date), and 'exposure' and 'spend' (region, date, channel)."
        )
    for name, dims in VARIABLES.items():
        if name in data and set(data[name].dims) != set(dims):
            found = tuple(str(dim) for dim in data[name].dims)
            problems.add(f"{name} has dimensions {found}. It must have {dims}.")
    coords = _coords(data, problems)
    problems.raise_if_any()
    units = _units(data, currency)
    sizes = {dim: len(values) for dim, values in coords.items()}
    variables = {
        name: (dims, _frozen(data, name, [sizes[d] for d in dims]), _attrs(name, units))
        for name, dims in VARIABLES.items()
        if name in data or name == "controls"
    }
    _check_values({name: values for name, (_, values, _) in variables.items()}, problems)
    period = data.attrs.get("period") or _period(coords[DATE], problems)
    problems.raise_if_any()
    attrs = {"period": str(period)} | ({} if currency is None else {"currency": currency})
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _coords(data: xr.Dataset, problems: Problems) -> dict[str, Array]:
    """Return the four coordinates with plain types, noting what is wrong with them."""
    coords: dict[str, Array] = {}
    for dim in (REGION, CHANNEL, CONTROL):
        if dim not in data.coords:
            if dim != CONTROL or dim in data.dims:
                problems.add(f"Dimension {dim!r} has no coordinate. Give the name of each {dim}.")
            coords[dim] = np.array([], dtype=np.str_)
            continue
        names = [str(value) for value in data[dim].values]
        twice = listed(repr(name) for name, count in Counter(names).items() if count > 1)
        if twice:
            problems.add(f"Coordinate {dim!r} has a name more than once: {twice}. Rename one.")
        coords[dim] = np.array(names, dtype=np.str_)
    if DATE not in data.coords or not np.issubdtype(data[DATE].dtype, np.datetime64):
        problems.add("Coordinate 'date' must hold dates (datetime64).")
        return coords
    dates = data[DATE].values.astype("datetime64[ns]")
    if np.any(np.isnat(dates)) or np.any(np.diff(dates) <= np.timedelta64(0, "ns")):
        problems.add("Coordinate 'date' must be ascending and without repetition; sort it.")
    coords[DATE] = dates
    return coords


def _frozen(data: xr.Dataset, name: str, shape: Sequence[int]) -> Array:
    """Return a variable as a read-only float64 array of its own."""
    if name not in data:
        values = np.zeros(shape)
    else:
        source = data[name].transpose(*VARIABLES[name]).values
        free = not source.flags.writeable and source.flags.c_contiguous
        values = source if free and source.dtype == np.float64 else np.array(source, dtype=float)
    values.setflags(write=False)
    return values


def _units(data: xr.Dataset, currency: str | None) -> dict[str, str]:
    """Return the unit of each variable; sales without a price are revenue."""
    money = currency or "currency"
    paid = bool(np.any(np.isfinite(data["spend"].values)))
    in_money = "revenue_per_sale" not in data and (currency is not None or paid)
    return {
        "sales": money if in_money else "sales",
        "exposure": "exposure",
        "spend": money,
        "frequency": "impressions per person reached",
        "controls": "as given",
        "population": "people",
        "revenue_per_sale": f"{money} per sale",
    }


def _attrs(name: str, units: dict[str, str]) -> dict[str, str]:
    """Return the attributes of a variable."""
    return {"units": units[name], "long_name": _LONG_NAMES[name]}


def _check_values(values: dict[str, Array], problems: Problems) -> None:
    """Note values that no panel may hold."""
    sales, exposure, spend = values["sales"], values["exposure"], values["spend"]
    observed = np.isfinite(sales)
    unpaid = np.isnan(spend).all(axis=(0, 1))
    if np.any(np.isinf(sales)):
        problems.add("sales has infinite values. Sales must be finite, or NaN where missing.")
    if not np.all(np.isfinite(exposure) & (exposure >= 0)):
        problems.add("exposure must be finite and >= 0, and 0 where a region-date is missing.")
    if not np.all(unpaid | (np.isfinite(spend) & (spend >= 0))):
        problems.add("spend must be finite and >= 0, or NaN throughout for an unpaid channel.")
    _check_frequency(values, problems)
    if not np.all(np.isfinite(values["controls"][observed])):
        problems.add("controls must be finite wherever sales are observed.")
    if "population" in values and not np.all(values["population"] > 0):
        problems.add("population must be > 0 in every region.")
    price = values.get("revenue_per_sale")
    if price is not None and not np.all(price[observed] > 0):
        problems.add("revenue_per_sale must be > 0 wherever sales are observed.")


def _check_frequency(values: dict[str, Array], problems: Problems) -> None:
    """Note frequencies that can't belong to the reach."""
    if "frequency" not in values:
        return
    frequency, reach = values["frequency"], values["exposure"]
    absent = np.isnan(frequency).all(axis=(0, 1))
    if not np.all(absent | (np.isfinite(frequency) & (frequency >= 0))):
        problems.add(
            "frequency must be finite and >= 0, or NaN throughout for a channel that has none."
        )
    elif np.any((reach > 0) & ~absent & (frequency < LEAST_FREQUENCY)):
        problems.add(
            "frequency must be 1 or more where reach is positive: impressions divided by reach."
        )
    if "population" in values:
        people = values["population"][:, None, None]
        if np.any(~absent & (reach > people * (1 + ROUNDING))):
            problems.add("reach (exposure of a channel with frequency) must not exceed population.")


def _period(dates: Array, problems: Problems) -> str | None:
    """Return the step of the dates, noting an uneven grid."""
    if len(dates) < 2:
        problems.add("The dataset has fewer than two dates and states no period in its attrs.")
        return None
    period, problem = find_period(dates)
    problems.add(None if problem is None else f"date {problem}")
    return period
