"""Draws as an xarray DataTree in ArviZ's layout, with the model's own dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    import pymc as pm


def layout_of_draws(
    model: pm.Model,
    names: Sequence[str],
    values: Mapping[str, np.ndarray],
    statistics: Mapping[str, np.ndarray],
) -> xr.DataTree:
    """Return draws as a DataTree in ArviZ layout, with the model's dimensions and data.

    Parameters
    ----------
    names, values
        Variables of the model and their draws, each (chain, draw, ...).
    statistics
        Sample statistics, each (chain, draw).
    """
    chains, draws = next(iter(statistics.values())).shape
    sample = {"chain": np.arange(chains), "draw": np.arange(draws)}
    posterior = {n: _labelled(model, n, values[n], ("chain", "draw")) for n in names}
    observed = {
        rv.name: _labelled(model, rv.name, _value(model.rvs_to_values[rv]), ())
        for rv in model.observed_RVs
    }
    constants = {v.name: _labelled(model, v.name, v.get_value(), ()) for v in model.data_vars}
    stats = {n: xr.DataArray(v, dims=("chain", "draw")) for n, v in statistics.items()}
    return xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(posterior).assign_coords(sample),
            "/sample_stats": xr.Dataset(stats).assign_coords(sample),
            "/observed_data": xr.Dataset(observed),
            "/constant_data": xr.Dataset(constants),
        }
    )


def _labelled(
    model: pm.Model, name: str, values: np.ndarray, leading: tuple[str, ...]
) -> xr.DataArray:
    """Return an array with the dimensions and coordinates that the model gives `name`."""
    named = model.named_vars_to_dims.get(name) or (None,) * (values.ndim - len(leading))
    dims = [d or f"{name}_dim_{i}" for i, d in enumerate(named)]
    coords = {d: list(model.coords[d]) for d in dims if model.coords.get(d) is not None}
    return xr.DataArray(values, dims=[*leading, *dims], coords=coords)


def _value(variable: Any) -> np.ndarray:
    """Return the value of an observed variable: a constant, `pm.Data`, or an expression of them."""
    return np.asarray(variable.eval())
