"""What the report says about draws: mean, sd, quantiles and probabilities, and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from bayes_mkt.dims import SAMPLE
from bayes_mkt.errors import SpecError

__all__ = [
    "axis_label",
    "check_draws",
    "check_interval",
    "interval_bounds",
    "over_draws",
    "percent",
    "quantiles",
    "remark",
    "select_texts",
    "spread_of",
    "unconverged_text",
    "units_beside",
    "units_of",
]

type Floats = npt.NDArray[np.float64]

DIMENSIONLESS: Final = frozenset({"", "1", "dimensionless", "ratio"})


def check_draws(array: xr.DataArray, needs: Sequence[str] = ()) -> xr.DataArray:
    """Return `array` ordered as ``chain, draw, ...``, with the dimensions `needs` next.

    Parameters
    ----------
    array
        Draws of one quantity.
    needs
        Dimensions that a figure or table asks for, in the order that it wants them.

    Returns
    -------
    xarray.DataArray
        The same values, transposed.

    Raises
    ------
    SpecError
        If `chain`, `draw` or one of `needs` is missing, or if there is no draw at all.

    Examples
    --------
    >>> check_draws(xr.DataArray(np.zeros((3, 2, 5)), dims=["channel", "chain", "draw"])).dims
    ('chain', 'draw', 'channel')
    """
    name = str(array.name) if array.name is not None else "the array"
    missing = [dim for dim in (*SAMPLE, *needs) if dim not in array.dims]
    if missing:
        raise SpecError(
            f"{name} has dimensions {tuple(map(str, array.dims))} and lacks "
            f"{', '.join(map(repr, missing))}. Pass the draws themselves, with dimensions "
            f"{', '.join(map(repr, (*SAMPLE, *needs)))}, not an average of them."
        )
    if array.sizes[SAMPLE[0]] * array.sizes[SAMPLE[1]] == 0:
        raise SpecError(f"{name} has no draws (its sizes are {dict(array.sizes)}).")
    return array.transpose(*SAMPLE, *needs, ...)


def over_draws(array: xr.DataArray) -> Floats:
    """Return the values of `array` with all draws along the first axis, as float64.

    Examples
    --------
    >>> over_draws(xr.DataArray(np.zeros((2, 5, 3)), dims=["chain", "draw", "channel"])).shape
    (10, 3)
    """
    ordered = check_draws(array)
    values = np.asarray(ordered.values, dtype=np.float64)
    return values.reshape(values.shape[0] * values.shape[1], *values.shape[2:])


def check_interval(interval: float) -> float:
    """Return `interval` as a float, or raise `SpecError` unless it lies between 0 and 1."""
    value = float(interval)
    if not 0.0 < value < 1.0:
        raise SpecError(
            f"interval={interval!r} is not between 0 and 1. Give the probability inside the "
            "interval, such as interval=0.9 for the 5% and 95% quantiles."
        )
    return value


def interval_bounds(interval: float) -> tuple[float, float]:
    """Return the two probabilities that bound the equal-tailed `interval`.

    Examples
    --------
    >>> interval_bounds(0.9)
    (0.05, 0.95)
    """
    tail = (1.0 - check_interval(interval)) / 2.0
    return round(tail, 12), round(1.0 - tail, 12)


def percent(probability: float) -> str:
    """Return a probability as a percentage without needless digits.

    Examples
    --------
    >>> percent(0.05), percent(0.975)
    ('5%', '97.5%')
    """
    return f"{round(100.0 * probability, 9):g}%"


def spread_of(draws: Floats) -> Floats:
    """Return the standard deviation along the first axis (divisor n - 1); NaN for one draw."""
    if len(draws) < 2:
        return np.full(draws.shape[1:], np.nan)
    with np.errstate(invalid="ignore"):
        result: Floats = draws.std(axis=0, ddof=1)
    return result


def quantiles(array: xr.DataArray, probabilities: Sequence[float]) -> Floats:
    """Return quantiles over all draws; the first axis runs over `probabilities`."""
    result: Floats = np.quantile(over_draws(array), list(probabilities), axis=0)
    return result


def units_of(array: xr.DataArray) -> str:
    """Return the units of `array`, or an empty text if it has none or is a pure ratio."""
    units = str(array.attrs.get("units", "")).strip()
    return "" if units.lower() in DIMENSIONLESS else units


def axis_label(array: xr.DataArray, fallback: str) -> str:
    """Return `long name (units)` for an axis or a column; units that the name holds are left out.

    Examples
    --------
    >>> sales = xr.DataArray(0.0, attrs={"long_name": "incremental sales", "units": "EUR"})
    >>> axis_label(sales, "sales")
    'Incremental sales (EUR)'
    >>> axis_label(sales.assign_attrs(units="sales"), "sales")
    'Incremental sales'
    """
    name = str(array.attrs.get("long_name") or fallback)
    units = units_beside(name, array)
    label = name[:1].upper() + name[1:]
    return f"{label} ({units})" if units else label


def units_beside(name: str, array: xr.DataArray) -> str:
    """Return the units of `array`, or an empty text if `name` has said them."""
    units = units_of(array)
    said = units.lower() in name.lower().split() or f"({units})" in name
    return "" if said else units


def unconverged_text(*sources: xr.DataArray | xr.Dataset | None) -> str | None:
    """Return the warning of the first source whose attrs carry `unconverged`, or None."""
    for source in sources:
        if source is None:
            continue
        attrs: list[Mapping[object, object]] = [source.attrs]
        if isinstance(source, xr.Dataset):
            attrs.extend(variable.attrs for variable in source.data_vars.values())
        for entry in attrs:
            text = entry.get("unconverged")
            if text:
                return str(text)
    return None


def remark(text: str, *sources: xr.DataArray | xr.Dataset | None) -> str:
    """Return the remark of a figure, with a warning if any source is marked unconverged."""
    if unconverged_text(*sources) is None:
        return text
    return f"Unconverged draws: not to be used for decisions. {text}".rstrip()


def select_texts(array: xr.DataArray | xr.Dataset, dim: str) -> list[str]:
    """Return the labels of a dimension as text; positions where it has no coordinate."""
    if dim in array.coords:
        return [str(value) for value in array[dim].values]
    return [str(i) for i in range(array.sizes[dim])]
