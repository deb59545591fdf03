"""Draws to and from a netCDF file: large arrays a part at a time, so that memory stays bounded."""

from __future__ import annotations

from pathlib import Path

import h5netcdf
import numpy as np
import xarray as xr

from bayes_mkt.inference import store

NUMBERS = "fiu"


def write(tree: xr.DataTree, path: Path) -> None:
    """Write draws to a new netCDF file.

    Parameters
    ----------
    tree
        Draws, in memory or lazy.
    path
        The file.
    """
    large = {
        node.path: [
            str(name)
            for name, array in node.data_vars.items()
            if array.nbytes > store.BATCH and array.dtype.kind in NUMBERS
        ]
        for node in tree.subtree
    }
    small = {node.path: node.to_dataset().drop_vars(large[node.path]) for node in tree.subtree}
    rest = xr.DataTree.from_dict(small)
    rest.attrs = tree.attrs
    rest.to_netcdf(path, engine="h5netcdf")
    if any(large.values()):
        with h5netcdf.File(path, "a") as file:
            for place, names in large.items():
                for name in names:
                    _add(file[place], tree[place].to_dataset()[name])


def _add(group: h5netcdf.Group, array: xr.DataArray) -> None:
    """Write one array to an open file, some of its first two axes at a time."""
    for dim, size in array.sizes.items():
        if dim not in group.dimensions:
            group.dimensions[str(dim)] = size
    chains, draws, *shape = array.shape
    step = max(1, store.BATCH // (array.dtype.itemsize * max(1, int(np.prod(shape)))))
    variable = group.create_variable(str(array.name), tuple(map(str, array.dims)), array.dtype)
    variable.attrs.update(array.attrs)
    for chain in range(chains):
        for first in range(0, draws, step):
            part = slice(first, min(first + step, draws))
            variable[chain, part] = array[chain, part].to_numpy()


def read(path: Path) -> xr.DataTree:
    """Return the draws of a netCDF file: in memory, or lazy if they are too large for it."""
    tree = xr.open_datatree(path, engine="h5netcdf", cache=False)
    if tree.nbytes > store.LIMIT:
        return tree
    with tree:
        return tree.load()
