"""What a reduction brings back, laid out: states, profiles, customers, and their holdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.reduction import HELD, MILLION, SPEND, STATE, tied
from bayes_mkt.dims import CUSTOMER, MARKET
from bayes_mkt.errors import DataError
from bayes_mkt.frames import Problems, listed
from bayes_mkt.transactions import Transactions, collect

__all__ = ["history_table", "holdout_table"]

Array = NDArray[Any]
ONE_MARKET: Final = "all"


def history_table(
    rows: nw.LazyFrame[Any],
    log: Transactions,
    covariates: Sequence[str],
    keep_customers: bool,
    attrs: Mapping[str, str],
) -> xr.Dataset:
    """Bring back the states, and the customers if they are kept."""
    keys = _keys(log, covariates)
    people = None
    if keep_customers:
        people = collect(rows, order=[CUSTOMER])
        rows = nw.from_native(people).lazy()
    states = collect(tied(rows, keys), order=keys)
    _check_states(states, covariates)
    cells, cell = _cells(states, log.has_market, covariates)
    variables: dict[str, Any] = {
        "weight": ("state", states["weight"].to_numpy()),
        "cell": ("state", cell),
        **{name: ("state", states[name].to_numpy()) for name in STATE},
        "cell_market": ("profile", cells["market"].to_numpy(dtype=str)),
        **{
            f"covariate_{c}": ("profile", cells[f"covariate_{c}"].to_numpy(dtype=str))
            for c in covariates
        },
    }
    if log.has_amount:
        variables[SPEND] = ("state", states[SPEND].to_numpy() / MILLION)
    coords: dict[str, Any] = {MARKET: sorted(set(cells["market"].astype(str)))}
    if people is not None:
        names = people[CUSTOMER].to_numpy()
        coords[CUSTOMER] = names if names.dtype.kind == "i" else names.astype(str)
        index = people[keys].merge(states.assign(position=range(len(states))), on=keys, how="left")
        variables["customer_state"] = (CUSTOMER, index["position"].to_numpy(dtype=np.int64))
    return xr.Dataset(variables, coords=coords, attrs=dict(attrs))


def _keys(log: Transactions, covariates: Sequence[str]) -> list[str]:
    """Return the columns in which customers of one state agree."""
    market = [MARKET] if log.has_market else []
    spend = [SPEND] if log.has_amount else []
    return [*market, *_named(covariates), *STATE, *spend]


def _named(covariates: Sequence[str]) -> list[str]:
    """Return the names of covariates in tables."""
    return [f"covariate_{name}" for name in covariates]


def _check_states(states: pd.DataFrame, covariates: Sequence[str]) -> None:
    """Raise if there are no customers, or covariates that are missing or no labels."""
    problems = Problems()
    if states.empty:
        raise DataError("No customer has a purchase by the end of the history.")
    for name in covariates:
        labels = states[_named([name])[0]]
        if labels.isna().any():
            problems.add(f"covariate {name!r} is missing for some customers. Name or drop them.")
        elif labels.nunique() > 50:
            shown = listed(labels.unique())
            problems.add(
                f"covariate {name!r} has {labels.nunique():,} labels ({shown}). Bin it into "
                "at most 50: by bins= if it is a number, or before loading, say by pandas.cut."
            )
    problems.raise_if_any()


def _cells(
    states: pd.DataFrame, has_market: bool, covariates: Sequence[str]
) -> tuple[pd.DataFrame, Array]:
    """Return the distinct profiles (market, covariates), and each state's position among them."""
    market = states[MARKET] if has_market else pd.Series(ONE_MARKET, index=states.index)
    columns = _named(covariates)
    profile = states[columns].assign(market=market).astype(str)
    names = ["market", *columns]
    cells = profile[names].drop_duplicates().sort_values(names, ignore_index=True)
    cell = profile.merge(cells.assign(position=range(len(cells))), on=names, how="left")["position"]
    return cells, cell.to_numpy(dtype=np.int64)


def holdout_table(
    rows: nw.LazyFrame[Any],
    log: Transactions,
    end: int,
    n_states: int,
    covariates: Sequence[str],
    daily: pd.DataFrame,
    length: int,
) -> xr.Dataset:
    """Bring back what customers did after the history, by state."""
    keys = _keys(log, covariates)
    sums = [nw.col("holdout_spend").sum()] if log.has_amount else []
    found = collect(rows.group_by(*keys, HELD).agg(*sums, weight=nw.len()), order=[*keys, HELD])
    states = found[keys].drop_duplicates(ignore_index=True)
    if len(states) != n_states:
        raise DataError("The log changed between two readings: its states differ.")
    position = found[keys].merge(states.assign(position=range(len(states))), on=keys, how="left")
    variables: dict[str, Any] = {
        "state": ("row", position["position"].to_numpy(dtype=np.int64)),
        HELD: ("row", found[HELD].to_numpy()),
        "weight": ("row", found["weight"].to_numpy()),
        "repeats": ("day", daily["repeats"].to_numpy()),
    }
    if log.has_amount:
        variables["holdout_spend"] = ("row", found["holdout_spend"].to_numpy())
    coords = {"day": daily["day"].to_numpy() - end}
    return xr.Dataset(variables, coords=coords, attrs={"length": length})
