"""Which variables of a density meet: found by moving many at once, and seeing whose slopes change.

With many groups that share a few hyperparameters nearly all second derivatives are zero. A
derivative d2 / dx_i dx_j isn't zero if moving x_j changes the gradient's entry i, whatever else
moves with it. So if i stays as it was when j moved along with others, these two don't meet
(group testing, as in Aldridge, Johnson & Scarlett 2019, section 2.3): some hundreds of gradients
tell all pairs of any number of variables apart, where one by one it would take as many as there
are variables.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, vstack

from bayes_mkt.inference.arrow import Arrow, packed, split
from bayes_mkt.inference.mode import Gradient

FEW = 800  # variables, which are moved one by one
STEP, CHANGED = 1e-3, 1e-4
PROBES, ONE_IN = 160, 256
MOST_DEGREE = 160
HUB, LEAST_HUB = 3.0, 24.0
ROUND, MOST_ROUNDS, SAME = 320, 8, 0.98
ROWS = 2000
# Beyond these it would take longer, and more memory, than blocks are worth.
MOST_SIZE, MOST_PAIRS = 50_000, 50_000_000
# An arrow is of use where whitening takes no more products than so many for each variable.
PRODUCTS, MOST_HUBS = 256, 400


def arrow_in(
    gradient: Gradient, point: np.ndarray, unit: np.ndarray, chains: int, rng: np.random.Generator
) -> Arrow | None:
    """Return blocks and hubs of a density; None where it has none.

    Parameters
    ----------
    gradient
        Points (chain, size) to log-densities and gradients.
    point
        (size,), where it is looked at.
    unit
        (size,), roughly the inverse roots of the second derivatives.
    chains
        Points that one call takes.
    rng
        Of what moves together.
    """
    probing = _Probing(gradient, point, unit, chains)
    size = point.size
    hubs = np.zeros(0, dtype=int)
    if size <= FEW:
        coupled = csr_array(probing.changed(np.eye(size, dtype=bool)))
        coupled = coupled.maximum(coupled.T)
    else:
        if size > MOST_SIZE:
            return None
        degree = _degrees(probing, rng)
        if not np.median(degree) <= MOST_DEGREE:
            return None
        hubs = np.flatnonzero(degree > max(HUB * np.median(degree), LEAST_HUB))
        if len(hubs) > MOST_HUBS:
            return None
        found = _meeting(probing, np.setdiff1d(np.arange(size), hubs), rng)
        if found is None:
            return None
        coupled = found
    arrow = packed(split(coupled, hubs))
    return arrow if _useful(arrow) else None


def _useful(arrow: Arrow) -> bool:
    blocks, width = arrow.places.shape
    hubs = len(arrow.hubs)
    products = blocks * width * (width + hubs) + hubs**2
    most = min(PRODUCTS * arrow.size, arrow.size**2 // 4)
    return blocks > 1 and hubs <= MOST_HUBS and products <= most


class _Probing:
    """Moves entries together, and says whose slopes change."""

    def __init__(
        self, gradient: Gradient, point: np.ndarray, unit: np.ndarray, chains: int
    ) -> None:
        self._gradient, self._chains, self._unit = gradient, chains, unit
        self._points = np.repeat(point[None], chains, axis=0)
        self._slope = gradient(self._points)[1]
        self.size = point.size

    def changed(self, moved: np.ndarray) -> np.ndarray:
        """Return which slopes change (probe, size) if some entries (probe, size) move."""
        out = np.empty(moved.shape, dtype=bool)
        for first in range(0, len(moved), self._chains):
            rows = moved[first : first + self._chains]
            shift = np.zeros_like(self._points)
            shift[: len(rows)] = np.where(rows, STEP * self._unit, 0.0)
            change = np.abs(self._gradient(self._points + shift)[1] - self._slope) * self._unit
            # What isn't finite is taken for a change: it can't be ruled out.
            out[first : first + self._chains] = ~(change[: len(rows)] <= CHANGED * STEP)
        return out


def _degrees(probing: _Probing, rng: np.random.Generator) -> np.ndarray:
    """Return of each variable, roughly, with how many it meets (size,).

    If each moves with chance p, one that meets d others stays as it was with chance (1 - p)^d.
    """
    moved = rng.random((PROBES, probing.size)) < 1.0 / ONE_IN
    others = ~moved
    changed = probing.changed(moved) & others
    share = (changed.sum(axis=0) + 0.5) / (others.sum(axis=0) + 1.0)
    return np.asarray(np.log1p(-share) / np.log1p(-1.0 / ONE_IN))


def _meeting(probing: _Probing, rest: np.ndarray, rng: np.random.Generator) -> csr_array | None:
    """Return which of some variables meet (size, size); None if it can't be told.

    Rounds of probes go on until one rules out hardly any pairs.
    """
    pairs: csr_array | None = None
    one_in = 32.0
    for _ in range(MOST_ROUNDS):
        moved = rng.random((ROUND, len(rest))) < 1.0 / one_in
        whole = np.zeros((ROUND, probing.size), dtype=bool)
        whole[:, rest] = moved
        still = ~probing.changed(whole)[:, rest]
        before = pairs
        pairs = _possible(moved, still) if before is None else _left(before, moved, still)
        if pairs is None:
            return None
        if before is not None and pairs.nnz >= SAME * before.nnz:
            entries = csr_array(
                (np.ones(len(rest), dtype=bool), (rest, np.arange(len(rest)))),
                shape=(probing.size, len(rest)),
            )
            return csr_array(entries @ pairs @ entries.T)
        # A pair is ruled out soonest if as many move as leave one in e as it was.
        one_in = float(np.clip(pairs.nnz / len(rest), 16.0, 512.0))
    return None


def _possible(moved: np.ndarray, still: np.ndarray) -> csr_array | None:
    """Return the pairs (entry, entry) that no probe rules out, either way; None if too many."""
    by = moved.astype(np.float32)
    parts, count = [], 0
    for first in range(0, moved.shape[1], ROWS):
        against = still[:, first : first + ROWS].astype(np.float32).T @ by
        parts.append(csr_array(against == 0))
        count += parts[-1].nnz
        if count > MOST_PAIRS:
            return None
    one_way = csr_array(vstack(parts))
    return csr_array(one_way.multiply(one_way.T))


def _left(pairs: csr_array, moved: np.ndarray, still: np.ndarray) -> csr_array:
    """Return the pairs that more probes don't rule out either."""
    found = pairs.tocoo()
    by, against = (np.packbits(part, axis=0).T.copy() for part in (moved, still))
    kept = np.empty(found.nnz, dtype=bool)
    for first in range(0, found.nnz, ROWS * ROWS):
        part = slice(first, first + ROWS * ROWS)
        kept[part] = ~(against[found.row[part]] & by[found.col[part]]).any(axis=1)
    one_way = csr_array((found.data[kept], (found.row[kept], found.col[kept])), shape=pairs.shape)
    return csr_array(one_way.multiply(one_way.T))
