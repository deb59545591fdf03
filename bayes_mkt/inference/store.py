"""Draws as they come in: kept in memory while they are few, in Zarr files beyond."""

from __future__ import annotations

import errno
import itertools
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from bayes_mkt.errors import SamplingError

if TYPE_CHECKING:
    import zarr

# Bytes: of all draws that are kept in memory; of one batch that is worked on; of one file of an
# array; and of a variable that is small enough to be read at once.
LIMIT = 2**30
BATCH = 2**27
PIECE = 2**21
SMALL = 2**24

Where = tuple[slice, ...]
Stored = np.ndarray | xr.Variable


class Folder:
    """A directory; a temporary one goes once nothing refers to it, or the process ends."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(tempfile.mkdtemp(prefix="bayes_mkt-"))
        if path is None:
            weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class Memory:
    """Arrays that grow along their second axis, as lists of parts."""

    def __init__(self) -> None:
        self.parts: dict[str, list[np.ndarray]] = {}
        self.nbytes = 0

    def write(self, name: str, first: int, values: np.ndarray) -> None:
        """Add `values` (chain, draw, ...) to an array, whose length is `first`."""
        self.parts.setdefault(name, []).append(values)
        self.nbytes += values.nbytes

    def read(self, name: str, count: int, where: Where = ()) -> np.ndarray:
        """Return the first `count` draws of an array, of its entries in `where`."""
        parts = [part[(slice(None), slice(None), *where)] for part in self.parts[name]]
        return np.concatenate(parts, axis=1)[:, :count]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one draw of all chains: chains first."""
        part = self.parts[name][0]
        return (part.shape[0], *part.shape[2:])


class Files:
    """Arrays that grow along their second axis, in a Zarr group on disk.

    A draw that is written again replaces the earlier one, so that what an interrupted write has
    left does no harm.

    Parameters
    ----------
    folder
        Where the group lies.
    capacity
        Most draws of a chain that will be written.
    """

    def __init__(self, folder: Folder, capacity: int) -> None:
        import zarr

        self.folder, self._capacity = folder, capacity
        self._group = zarr.open_group(folder.path / "draws.zarr", mode="a", zarr_format=3)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def write(self, name: str, first: int, values: np.ndarray) -> None:
        """Write `values` (chain, draw, ...) from draw `first` on."""
        array = self._array(name, values)
        array[:, first : first + values.shape[1]] = values

    def read(self, name: str, count: int, where: Where = ()) -> np.ndarray:
        """Return the first `count` draws of an array, of its entries in `where`."""
        return np.asarray(self._array(name)[(slice(None), slice(count), *where)])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one draw of all chains: chains first."""
        shape = self._array(name).shape
        return (shape[0], *shape[2:])

    def lazy(self, name: str, count: int) -> xr.Variable:
        """Return the first `count` draws of an array, read when they are looked at."""
        array = self._array(name)
        dims = [f"axis_{i}" for i in range(array.ndim)]
        lazily = indexing.LazilyIndexedArray(_OnDisk(array, self.folder))
        return xr.Variable(dims, lazily).isel(axis_1=slice(count))

    def trim(self, count: int) -> None:
        """Shorten every array to `count` draws."""
        for name in self._arrays:
            array = self._array(name)
            if array.shape[1] > count:
                array.resize((array.shape[0], count, *array.shape[2:]))

    def _array(self, name: str, like: np.ndarray | None = None) -> zarr.Array[Any]:
        import zarr

        if name not in self._arrays:
            group, variable = name.split("/", 1)
            path = f"{group}/{quote(variable, safe='')}"
            found = self._group.get(path)
            if not isinstance(found, zarr.Array):
                if like is None:
                    raise KeyError(name)
                found = self._group.create_array(
                    path,
                    shape=(like.shape[0], self._capacity, *like.shape[2:]),
                    chunks=_piece(like),
                    dtype=like.dtype,
                    compressors=None,
                    dimension_names=_dimensions(variable, like.ndim),
                )
            self._arrays[name] = found
        return self._arrays[name]


class Draws:
    """All arrays of a run: in memory, and from `LIMIT` bytes on in temporary files.

    Parameters
    ----------
    capacity
        Most draws of a chain that will be written.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._at: Memory | Files = Memory()

    def keep_in(self, files: Files) -> None:
        """Write what comes to files from the beginning."""
        self._at = files

    def write(self, name: str, first: int, values: np.ndarray) -> None:
        """Write `values` (chain, draw, ...) of the array `name`, from draw `first` on."""
        try:
            if isinstance(self._at, Memory) and self._at.nbytes + values.nbytes > LIMIT:
                self._at = self._moved(self._at)
            self._at.write(name, first, values)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            entries = int(np.prod(values.shape[2:]))
            raise SamplingError(
                f"The disk is full: {name.split('/')[-1]!r} has {entries:,} entries in each draw. "
                "Keep fewer variables with var_names=[...], or put the draws on a larger disk "
                "(TMPDIR, or checkpoint=)."
            ) from error

    def _moved(self, memory: Memory) -> Files:
        files = Files(Folder(), self.capacity)
        for name, parts in memory.parts.items():
            first = 0
            for part in parts:
                files.write(name, first, part)
                first += part.shape[1]
        return files

    def read(self, name: str, count: int) -> np.ndarray:
        """Return the first `count` draws of an array (chain, draw, ...)."""
        return self._at.read(name, count)

    def take(self, names: Sequence[str], count: int) -> list[Stored]:
        """Return the first `count` draws of arrays; those too large for memory are lazy.

        Memory keeps no second copy of what was taken.
        """
        sizes = [8 * count * int(np.prod(self._at.shape(name))) for name in names]
        fits = sum(sizes) <= LIMIT
        taken: list[Stored] = []
        for name, size in zip(names, sizes, strict=True):
            if isinstance(self._at, Memory):
                taken.append(self._at.read(name, count))
                del self._at.parts[name]
            else:
                lazy = size > SMALL and not fits
                taken.append(self._at.lazy(name, count) if lazy else self._at.read(name, count))
        return taken

    def columns(self, names: Iterable[str], count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` draws of all entries of arrays, (chain, draw, column).

        Each part takes about `BATCH` bytes; entries of small arrays come together.
        """
        parts: list[np.ndarray] = []
        taken = 0
        for name in names:
            chains, *shape = self._at.shape(name)
            most = max(1, BATCH // (8 * chains * count))
            for where in _boxes(shape, most):
                width = int(np.prod([box.stop - box.start for box in where]))
                if parts and taken + width > most:
                    yield np.concatenate(parts, axis=2)
                    parts, taken = [], 0
                part = self._at.read(name, count, where)
                parts.append(part.reshape(chains, count, -1))
                taken += width
        if parts:
            yield np.concatenate(parts, axis=2)

    def finish(self, count: int) -> None:
        """Let go of room for draws that will not come."""
        if isinstance(self._at, Files):
            self._at.trim(count)


class _OnDisk(BackendArray):
    """A Zarr array as xarray reads it: by parts, when they are looked at."""

    def __init__(self, array: zarr.Array[Any], folder: Folder) -> None:
        self.shape, self.dtype = array.shape, np.dtype(array.dtype)
        self._array, self._folder = array, folder

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(self._array.oindex[key])

    def __deepcopy__(self, memo: dict[int, Any]) -> _OnDisk:
        # Nothing writes to it: a copy may read the same files.
        return self


def picked(array: xr.DataArray, entries: np.ndarray) -> np.ndarray:
    """Return flat entries of draws (chain, draw, ...), as (chain, draw, entry).

    Draws that lie on disk are read bit by bit.
    """
    chains, draws, *shape = array.shape
    size = int(np.prod(shape))
    step = max(1, BATCH // (8 * chains * max(size, 1)))
    if step >= draws:
        return array.to_numpy().reshape(chains, draws, size)[:, :, entries]
    parts = [
        array[:, first : first + step].to_numpy().reshape(chains, -1, size)[:, :, entries]
        for first in range(0, draws, step)
    ]
    return np.concatenate(parts, axis=1)


def _dimensions(variable: str, ndim: int) -> list[str]:
    return ["chain", "draw", *(f"{variable}_dim_{i}" for i in range(ndim - 2))]


def _piece(values: np.ndarray) -> tuple[int, ...]:
    """Return the shape of the files of an array that grows by `values` (chain, draw, ...)."""
    chains, draws, *shape = values.shape
    most = max(1, PIECE // (values.itemsize * chains * draws))
    return (chains, draws, *_box(shape, most))


def _box(shape: Sequence[int], most: int) -> list[int]:
    """Return the shape of boxes of at most `most` entries, long in the last axes."""
    sides: list[int] = []
    for length in reversed(shape):
        side = max(1, min(length, most))
        sides.append(side)
        most = most // side if side == length else 1
    return sides[::-1]


def _boxes(shape: Sequence[int], most: int) -> Iterator[Where]:
    """Yield the places of boxes that fill an array, in the order of its entries."""
    ranges = [
        [slice(first, min(first + side, length)) for first in range(0, length, side)]
        for length, side in zip(shape, _box(shape, most), strict=True)
    ]
    yield from itertools.product(*ranges)
