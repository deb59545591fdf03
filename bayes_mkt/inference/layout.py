"""Draws as an xarray DataTree in ArviZ's layout, with the model's own dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    posterior = {n: _labelled(model, n, values[n], ("chain", "draw")) for n in names}
    observed = {
        rv.name: _labelled(model, rv.name, observed_value(model, rv), ())
        for rv in model.observed_RVs
    }
    constants = {v.name: _labelled(model, v.name, v.get_value(), ()) for v in model.data_vars}
    stats = {n: xr.DataArray(v, dims=("chain", "draw")) for n, v in statistics.items()}
    tree = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(posterior).assign_coords(sample),
            "/sample_stats": xr.Dataset(stats).assign_coords(sample),
            "/observed_data": xr.Dataset(observed),
            "/constant_data": xr.Dataset(constants),
        }
    )
    tree.attrs["free_variables"] = [rv.name for rv in model.free_RVs if rv.name in set(names)]
    return tree


def _labelled(model: pm.Model, name: str, values: Stored, leading: tuple[str, ...]) -> xr.DataArray:
    """Return an array with the dimensions and coordinates that the model gives `name`."""
    named = model.named_vars_to_dims.get(name) or (None,) * (values.ndim - len(leading))
    dims = [d or f"{name}_dim_{i}" for i, d in enumerate(named)]
    coords = {d: list(model.coords[d]) for d in dims if model.coords.get(d) is not None}
    if isinstance(values, xr.Variable):
        renamed = dict(zip(values.dims, [*leading, *dims], strict=True))
        return xr.DataArray(values).rename(renamed).assign_coords(coords)
    return xr.DataArray(values, dims=[*leading, *dims], coords=coords)


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
