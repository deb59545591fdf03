"""Draws as an xarray DataTree in ArviZ's layout, with the model's own dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_mkt.errors import SpecError
from bayes_mkt.inference.store import Stored

if TYPE_CHECKING:
    import pymc as pm


def layout_of_draws(
    model: pm.Model,
    names: Sequence[str],
    values: Mapping[str, Stored],
    statistics: Mapping[str, np.ndarray],
) -> xr.DataTree:
    """Return draws as a DataTree in ArviZ layout, with the model's dimensions and data.

    Parameters
    ----------
    names, values
        Variables of the model and their draws, each (chain, draw, ...); an xarray Variable may be
        lazy, and stays so.
    statistics
        Sample statistics, each (chain, draw).
    """
    chains, draws = next(iter(statistics.values())).shape
    sample = {"chain": np.arange(chains), "draw": np.arange(draws)}
    stats = {name: (tuple(sample), value) for name, value in statistics.items()}
    observed = {rv.name: observed_value(model, rv) for rv in model.observed_RVs}
    constants = {variable.name: variable.get_value() for variable in model.data_vars}
    tree = xr.DataTree.from_dict(
        {
            "/posterior": _labelled(model, {name: values[name] for name in names}, sample),
            "/sample_stats": xr.Dataset(stats, coords=sample),
            "/observed_data": _labelled(model, observed, {}),
            "/constant_data": _labelled(model, constants, {}),
        }
    )
    tree.attrs["free_variables"] = [rv.name for rv in model.free_RVs if rv.name in set(names)]
    return tree


def stored_names(model: pm.Model, without: Collection[str] = ()) -> list[str]:
    """Return the free variables and deterministics of a model, in its order, but some."""
    names = [v.name for v in (*model.free_RVs, *model.deterministics)]
    return [name for name in names if name not in without]


def _labelled(
    model: pm.Model, values: Mapping[str, Stored], leading: Mapping[str, np.ndarray]
) -> xr.Dataset:
    """Return arrays with the dimensions and coordinates that the model gives them.

    Parameters
    ----------
    values
        By name of a variable.
    leading
        Dimensions that all of them have before their own, with coordinates.
    """
    arrays: dict[str, xr.Variable] = {}
    coords: dict[str, Any] = dict(leading)
    for name, value in values.items():
        named = model.named_vars_to_dims.get(name) or (None,) * (value.ndim - len(leading))
        dims = [d or f"{name}_dim_{i}" for i, d in enumerate(named)]
        coords |= {d: list(model.coords[d]) for d in dims if model.coords.get(d) is not None}
        if isinstance(value, xr.Variable):
            arrays[name] = value.copy(deep=False)
            arrays[name].dims = (*leading, *dims)
        else:
            arrays[name] = xr.Variable((*leading, *dims), value)
    return xr.Dataset(arrays, coords=coords)


def observed_value(model: pm.Model, variable: Any) -> np.ndarray:
    """Return the value of an observed variable: a constant, `pm.Data`, or an expression of them."""
    value = model.rvs_to_values[variable]
    if hasattr(value, "get_value"):
        return np.asarray(value.get_value())
    # Computed once: a mode that compiles nothing.
    return np.asarray(value.eval(mode="FAST_COMPILE"))


def flat_draws(posterior: xr.Dataset, name: str) -> np.ndarray:
    """Return draws of a variable as ``(chain * draw, ...)``."""
    if name not in posterior:
        raise SpecError(f"The posterior has no draws of {name!r}; it has {list(posterior)}.")
    values = posterior[name].transpose("chain", "draw", ...).to_numpy()
    return values.reshape(-1, *values.shape[2:])
