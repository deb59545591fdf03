"""Arrow-shaped linear algebra: many small blocks that meet only in a few hubs.

With regions as blocks and shared coefficients as hubs, solving costs one small factorisation
for each region and one for the hubs, not one of everything together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Array = jax.Array
_UNROLLED = 8


@dataclass(frozen=True)
class Arrow:
    """How the entries of a vector are split into hubs and blocks.

    Attributes
    ----------
    hubs
        Entries that meet entries of several blocks.
    blocks
        (block, place) entries of each block, filled up with `size`.
    size
        Number of entries.
    """

    hubs: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    size: int

    @property
    def places(self) -> np.ndarray:
        """Return `blocks` as an array (block, place)."""
        return np.asarray(self.blocks, dtype=int).reshape(len(self.blocks), -1)

    def local(self, values: Array) -> Array:
        """Return the blocks' part of a vector (size,): (block, place), 0 where filled up."""
        return jnp.append(values, 0.0)[self.places]

    def hub(self, values: Array) -> Array:
        """Return the hubs' part of a vector (size,): (hub,)."""
        return values[np.asarray(self.hubs, dtype=int)]

    def join(self, local: Array, hub: Array) -> Array:
        """Return the vector (size,) of its parts."""
        out = jnp.zeros(self.size + 1, local.dtype).at[self.places].set(local)
        return out.at[np.asarray(self.hubs, dtype=int)].set(hub)[: self.size]


def split(coupled: np.ndarray) -> Arrow:
    """Return hubs and blocks of a symmetric pattern, at the least cost of factorisation.

    The entries with the most neighbours are hubs; how many is tried out. Blocks are the
    connected components of what is left.

    Parameters
    ----------
    coupled
        (size, size) bool: which entries meet in the quadratic form.
    """
    size = len(coupled)
    degree = coupled.sum(axis=1)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for least in [*np.unique(degree), size + 1]:
        rest = np.flatnonzero(degree < least)
        hubs = np.flatnonzero(degree >= least)
        count, label = connected_components(csr_array(coupled[np.ix_(rest, rest)]), directed=False)
        largest = int(np.bincount(label).max()) if count else 0
        cost = len(hubs) ** 3 + count * (largest**3 + largest**2 * len(hubs) + len(hubs) ** 2)
        if best is None or cost < best[0]:
            best = (cost, hubs, np.stack([rest, label]))
    assert best is not None
    _, hubs, (rest, label) = best
    members = [rest[label == k] for k in range(label.max() + 1 if label.size else 0)]
    width = max((len(m) for m in members), default=0)
    blocks = tuple(tuple(np.pad(m, (0, width - len(m)), constant_values=size)) for m in members)
    plain = tuple(tuple(int(i) for i in block) for block in blocks)
    return Arrow(tuple(int(i) for i in hubs), plain, size)


class Quadratic(NamedTuple):
    """A quadratic form exp(-x'Qx / 2 + v'x) in arrow form.

    Attributes
    ----------
    local, cross, hub
        Q: (block, place, place), (block, place, hub), (hub, hub).
    local_linear, hub_linear
        v: (block, place), (hub,).
    """

    local: Array
    cross: Array
    hub: Array
    local_linear: Array
    hub_linear: Array


class Factor(NamedTuple):
    """The Cholesky factor of a `Quadratic`, and what it does to the linear part."""

    local: Array
    cross: Array
    hub: Array
    local_linear: Array
    hub_linear: Array


def factor(form: Quadratic) -> Factor:
    """Return the Cholesky factor: blocks first, then the hubs' Schur complement."""
    chol = _cholesky(form.local)
    right = jnp.concatenate([form.cross, form.local_linear[..., None]], axis=-1)
    solved = _solve(chol, right)
    cross, local_linear = solved[..., :-1], solved[..., -1]
    schur = form.hub - jnp.einsum("kph,kpj->hj", cross, cross)
    hub = _cholesky(schur)
    linear = form.hub_linear - jnp.einsum("kph,kp->h", cross, local_linear)
    return Factor(chol, cross, hub, local_linear, _solve(hub, linear[:, None])[:, 0])


def log_integral(f: Factor) -> Array:
    """Return log of the integral of exp(-x'Qx/2 + v'x) less size/2 log(2 pi).

    That is v'Q^-1 v / 2 - log det(Q) / 2. Filled-up places have a unit diagonal.
    """
    quadratic = jnp.sum(f.local_linear**2) + jnp.sum(f.hub_linear**2)
    log_det = _log_diagonal(f.local) + _log_diagonal(f.hub)
    return 0.5 * quadratic - log_det


def draw(f: Factor, local_noise: Array, hub_noise: Array) -> tuple[Array, Array]:
    """Return a draw from N(Q^-1 v, Q^-1), blocks and hubs, from standard normal noise."""
    hub = _solve_transposed(f.hub, (f.hub_linear + hub_noise)[:, None])[:, 0]
    right = f.local_linear + local_noise - jnp.einsum("kph,h->kp", f.cross, hub)
    return _solve_transposed(f.local, right[..., None])[..., 0], hub


def _log_diagonal(chol: Array) -> Array:
    return jnp.sum(jnp.log(jnp.diagonal(chol, axis1=-2, axis2=-1)))


def _cholesky(matrices: Array) -> Array:
    """Return Cholesky factors of (..., n, n); small ones written out, so that they vectorise."""
    n = matrices.shape[-1]
    if n > _UNROLLED:
        return jnp.linalg.cholesky(matrices)
    if not n:
        return matrices
    zero = jnp.zeros(matrices.shape[:-2], matrices.dtype)
    rows: list[list[Array]] = []
    for i in range(n):
        row: list[Array] = []
        for j in range(i):
            inner = sum((row[k] * rows[j][k] for k in range(j)), start=zero)
            row.append((matrices[..., i, j] - inner) / rows[j][j])
        row.append(jnp.sqrt(matrices[..., i, i] - sum((x**2 for x in row), start=zero)))
        rows.append(row)
    filled = [jnp.stack([*row, *[zero] * (n - len(row))], axis=-1) for row in rows]
    return jnp.stack(filled, axis=-2)


def _solve(chol: Array, right: Array) -> Array:
    """Return L^-1 right, for (..., n, n) and (..., n, m)."""
    n = chol.shape[-1]
    if n > _UNROLLED:
        return solve_triangular(chol, right, lower=True)
    rows: list[Array] = []
    for i in range(n):
        value = right[..., i, :]
        for k in range(i):
            value = value - chol[..., i, k, None] * rows[k]
        rows.append(value / chol[..., i, i, None])
    return jnp.stack(rows, axis=-2) if n else right


def _solve_transposed(chol: Array, right: Array) -> Array:
    """Return L'^-1 right, for (..., n, n) and (..., n, m)."""
    return solve_triangular(chol, right, lower=True, trans=1) if chol.shape[-1] else right
