"""Many dimensions: a diagonal scale, and the few directions in which it is far off."""

from __future__ import annotations

import numpy as np

from bayes_mkt.inference.metric import AlongAxes

RATIO = 9.0
COUNTS = (0, 16, 64, 256, 1024)


def axes_of(hessian: np.ndarray, unit: np.ndarray, count: int | None = None) -> AlongAxes:
    """Return the metric of the Gaussian with a precision matrix.

    In units of `unit`, the precision has eigenvalues, the most of which lie in some interval
    [a, 9 a]; these are all taken as 3 a, which costs a sampler at most three times the steps. The
    others are taken as they are, each along its own axis.

    Parameters
    ----------
    hessian
        (size, size), minus the second derivatives. Directions that curve the wrong way are taken
        by the size of their curvature.
    unit
        (size,), the SD of each variable or ones, for what is known of them.
    count
        Number of axes; None takes as many as needed, rounded up, so that few numbers occur.
    """
    size = unit.size
    diagonal = np.abs(np.diag(hessian)) * unit**2
    unit = unit / np.sqrt(np.maximum(diagonal, 1e-12))
    values, vectors = np.linalg.eigh(hessian * unit[:, None] * unit)
    values = np.maximum(np.abs(values), 1e-12)
    order = np.argsort(values)
    values, vectors = values[order], vectors[:, order]
    inside = np.searchsorted(values, RATIO * values, side="right") - np.arange(size)
    first = int(np.argmax(inside))
    needed = size - int(inside[first])
    middle = np.sqrt(RATIO) * values[first]
    if count is None:
        count = next((c for c in COUNTS if c >= needed), size)
    count = min(count, size)
    scale = unit / np.sqrt(middle)
    if not count:
        return AlongAxes.plain(scale)
    chosen = np.argsort(-np.abs(np.log(values / middle)), kind="stable")[:count]
    return AlongAxes(scale, vectors[:, chosen], np.sqrt(middle / values[chosen]))
