"""Tables of draws: one row per combination of labels, with mean, sd, median and interval."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt.dims import CHAIN, DRAW, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.report.formats import common_decimals, label_text, number, probability
from bayes_mkt.report.summary import (
    check_draws,
    check_interval,
    interval_bounds,
    over_draws,
    percent,
    spread_of,
    unconverged_text,
)

__all__ = ["format_table", "table"]

VARIABLE: Final = "variable"
WARNING: Final = "warning"
UNCONVERGED: Final = "unconverged"


def table(
    data: xr.DataArray | xr.Dataset, interval: float = 0.9, *, above: float | None = None
) -> pd.DataFrame:
    """Summarise draws: one row per combination of the dimensions other than chain and draw.

    The interval is equal-tailed: for ``interval=0.9`` its bounds are the 5% and the 95%
    quantile of all draws. The standard deviation divides by the number of draws less one.

    Parameters
    ----------
    data
        Draws with dimensions ``chain, draw, ...``. For a Dataset the rows of its variables
        follow each other, and the first index level names the variable.
    interval
        Probability inside the interval, between 0 and 1. Default 0.9.
    above
        If given, a column ``P(>above)`` holds the share of draws above that value: 1 for
        a return on investment, 0 for sales or an effect.

    Returns
    -------
    pandas.DataFrame
        Columns ``mean, sd, median``, the two bounds (named such as ``5%`` and ``95%``) and,
        if asked for, ``P(>above)``, in the units of `data`; the index holds the labels.
        ``attrs`` holds ``units``, ``long_name`` (for a Dataset: one entry per variable),
        ``interval`` and the number of ``draws``. If the draws are marked ``unconverged``,
        ``attrs["unconverged"]`` holds the warning, and a last column ``warning`` repeats it
        on every row.

    Raises
    ------
    SpecError
        If `data` has no ``chain`` and ``draw``, or `interval` is not between 0 and 1.

    Examples
    --------
    >>> roi = xr.DataArray(
    ...     np.arange(20.0).reshape(2, 5, 2) / 10,
    ...     dims=["chain", "draw", "channel"],
    ...     coords={"channel": ["tv", "radio"]},
    ...     name="roi",
    ... )
    >>> print(table(roi, interval=0.8, above=1.0).round(2))
             mean   sd  median   10%   90%  P(>1)
    channel
    tv        0.9  0.6     0.9  0.18  1.62    0.4
    radio     1.0  0.6     1.0  0.28  1.72    0.5
    """
    check_interval(interval)
    if isinstance(data, xr.Dataset):
        frame = _dataset_table(data, interval, above)
    else:
        frame = _array_table(data, interval, above)
        frame.attrs["units"] = str(data.attrs.get("units", ""))
        frame.attrs["long_name"] = str(data.attrs.get("long_name") or _name(data, ""))
    frame.attrs["interval"] = float(interval)
    frame.attrs["draws"] = int(data.sizes[CHAIN] * data.sizes[DRAW])
    warning = unconverged_text(data)
    if warning is not None:
        frame[WARNING] = UNCONVERGED
        frame.attrs[UNCONVERGED] = warning
    return frame


def _array_table(array: xr.DataArray, interval: float, above: float | None) -> pd.DataFrame:
    ordered = check_draws(array)
    draws = over_draws(ordered)
    draws = draws.reshape(draws.shape[0], -1)
    low, high = interval_bounds(interval)
    with np.errstate(invalid="ignore"):
        columns = {
            "mean": draws.mean(axis=0),
            "sd": spread_of(draws),
        }
        lower, median, upper = np.quantile(draws, [low, 0.5, high], axis=0)
    columns |= {"median": median, percent(low): lower, percent(high): upper}
    if above is not None:
        share = (draws > above).mean(axis=0)
        columns[f"P(>{above:g})"] = np.where(np.isnan(draws).any(axis=0), np.nan, share)
    return pd.DataFrame(columns, index=_index(ordered))


def _name(array: xr.DataArray, fallback: str) -> str:
    return fallback if array.name is None else str(array.name)


def _index(ordered: xr.DataArray) -> pd.Index:
    dims = [str(dim) for dim in ordered.dims if dim not in SAMPLE]
    if not dims:
        return pd.Index([_name(ordered, "value")], name=VARIABLE)
    levels = [
        ordered.indexes[dim] if dim in ordered.indexes else pd.RangeIndex(ordered.sizes[dim])
        for dim in dims
    ]
    if len(dims) == 1:
        return levels[0].rename(dims[0])
    return pd.MultiIndex.from_product(levels, names=dims)


def _dataset_table(data: xr.Dataset, interval: float, above: float | None) -> pd.DataFrame:
    if not data.data_vars:
        raise SpecError("The Dataset has no variables to summarise.")
    parts = []
    for name, array in data.data_vars.items():
        part = _array_table(array, interval, above)
        dims = [str(dim) for dim in array.dims if dim not in SAMPLE]
        part = part.reset_index() if dims else part.reset_index(drop=True)
        part.insert(0, VARIABLE, str(name))
        parts.append(part)
    union = dict.fromkeys(
        str(d) for array in data.data_vars.values() for d in array.dims if d not in SAMPLE
    )
    frame = pd.concat(parts, ignore_index=True)
    for dim in union:
        frame[dim] = frame[dim].astype(object).where(frame[dim].notna(), "")
    frame = frame.set_index([VARIABLE, *union])
    for key in ("units", "long_name"):
        frame.attrs[key] = {str(k): str(v.attrs.get(key, "")) for k, v in data.data_vars.items()}
    return frame


def format_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table made by `table` as text, ready to be shown.

    Rows are rounded so that their sd keeps about two significant digits, which is what the
    draws support; rows of like size share the number of decimals. Thousands are separated;
    probabilities are percentages.

    Parameters
    ----------
    frame
        What `table` returned.

    Returns
    -------
    pandas.DataFrame
        The same shape and attrs, with text in every cell and in the index.

    Examples
    --------
    >>> draws = xr.DataArray([[1_234_000.0, 1_236_500.0, 1_300_700.0]], dims=["chain", "draw"])
    >>> print(format_table(table(draws))["mean"].iloc[0])
    1,257,000
    """
    rows = []
    draws = int(frame.attrs.get("draws", 1000))
    decimals_by_row = common_decimals([float(sd) for sd in frame["sd"]])
    for position, decimals in enumerate(decimals_by_row):
        row = frame.iloc[position]
        rows.append([_cell(name, row[name], decimals, draws) for name in map(str, frame.columns)])
    index: pd.Index
    if isinstance(frame.index, pd.MultiIndex):
        labels = [tuple(label_text(part) for part in label) for label in frame.index]
        index = pd.MultiIndex.from_tuples(labels, names=frame.index.names)
    else:
        index = pd.Index([label_text(label) for label in frame.index], name=frame.index.name)
    result = pd.DataFrame(rows, index=index, columns=frame.columns, dtype=object)
    result.attrs = dict(frame.attrs)
    return result


def _cell(column: str, value: object, decimals: int | None, draws: int) -> str:
    if not isinstance(value, float | np.floating):
        return str(value)
    if column.startswith("P("):
        return probability(float(value), draws)
    return number(float(value), decimals)
