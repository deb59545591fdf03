"""The scalars by which draws are judged, and what they are called."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import xarray as xr

from bayes_mkt.inference.store import picked

MOST_ENTRIES = 200


def judged(shape: tuple[int, ...], free: bool) -> np.ndarray:
    """Return the flat entries of a variable by which it is judged.

    These are all entries of a free variable; of a derived one at most `MOST_ENTRIES`, evenly
    spread: what follows from parameters that mix well, mixes well, and large arrays would take
    longer to judge than to draw.
    """
    size = int(np.prod(shape))
    most = size if free else min(size, MOST_ENTRIES)
    return np.unique(np.linspace(0, size - 1, most).round().astype(int)) if size else np.arange(0)


def scalars(posterior: xr.Dataset, free: Collection[str]) -> tuple[list[str], np.ndarray]:
    """Return a label for each scalar that is judged, and its draws (chain, draw, parameter)."""
    names: list[str] = []
    columns = []
    for name, array in posterior.data_vars.items():
        ordered = array.transpose("chain", "draw", ...)
        shape, dims = ordered.shape[2:], ordered.dims[2:]
        entries = judged(shape, name in free)
        labels = [[_label(v) for v in ordered[d].to_numpy()] for d in dims]
        for index in zip(*np.unravel_index(entries, shape), strict=True) if shape else [()]:
            inside = ", ".join(labels[k][i] for k, i in enumerate(index))
            names.append(f"{name}[{inside}]" if inside else str(name))
        columns.append(picked(ordered, entries))
    return names, np.concatenate(columns, axis=2)


def _label(value: object) -> str:
    return str(value)[:10] if isinstance(value, np.datetime64) else str(value)
