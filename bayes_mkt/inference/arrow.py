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
from jax.scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Array = jax.Array
# Larger matrices are left to LAPACK.
_ELIMINATED = 12


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
        places = len(self.blocks[0]) if self.blocks else 0
        return np.asarray(self.blocks, dtype=int).reshape(len(self.blocks), places)

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


def split(coupled: np.ndarray | csr_array, hubs: np.ndarray | None = None) -> Arrow:
    """Return hubs and blocks of a symmetric pattern, at the least cost of factorisation.

    The entries with the most neighbours are hubs; how many is tried out. Blocks are the
    connected components of what is left.

    Parameters
    ----------
    coupled
        (size, size) bool: which entries meet in the quadratic form.
    hubs
        Entries that are hubs in any case, whose rows of `coupled` aren't looked at.
    """
    graph = csr_array(coupled)
    size = graph.shape[0]
    sure = np.zeros(size, dtype=bool)
    sure[[] if hubs is None else hubs] = True
    degree = np.asarray(graph.sum(axis=1)).ravel()
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for least in [*np.unique(degree[~sure]), size + 1]:
        hub = sure | (degree >= least)
        rest, chosen = np.flatnonzero(~hub), np.flatnonzero(hub)
        count, label = connected_components(graph[rest][:, rest], directed=False)
        largest = int(np.bincount(label).max()) if count else 0
        cost = len(chosen) ** 3 + count * (largest**3 + largest**2 * len(chosen) + len(chosen) ** 2)
        if best is None or cost < best[0]:
            best = (cost, chosen, np.stack([rest, label]))
    assert best is not None
    _, chosen, (rest, label) = best
    members = [rest[label == k] for k in range(label.max() + 1 if label.size else 0)]
    return _arrow(chosen, members, size)


def packed(arrow: Arrow) -> Arrow:
    """Return an arrow whose small blocks are put together up to the size of the largest one."""
    blocks = [[i for i in block if i < arrow.size] for block in arrow.blocks]
    width = max((len(block) for block in blocks), default=0)
    together: list[list[int]] = []
    for block in sorted(blocks, key=len, reverse=True):
        if together and len(together[-1]) + len(block) <= width:
            together[-1].extend(block)
        else:
            together.append(list(block))
    return _arrow(np.asarray(arrow.hubs), [np.asarray(block) for block in together], arrow.size)


def _arrow(hubs: np.ndarray, members: list[np.ndarray], size: int) -> Arrow:
    """Return an arrow of hubs and the members of its blocks, filled up to equal size."""
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


class Solution(NamedTuple):
    """What a `Quadratic` integrates to, and the moments of the Gaussian it is.

    Attributes
    ----------
    log_integral
        log of the integral of exp(-x'Qx/2 + v'x) less size/2 log(2 pi), that is
        v'Q^-1 v / 2 - log det(Q) / 2.
    local_mean, hub_mean
        Q^-1 v: (block, place), (hub,).
    within
        Inverse of each block of Q by itself (block, place, place).
    slopes
        `within` times the block's part of Q with the hubs (block, place, hub).
    hub_cov
        The hubs' part of Q^-1 (hub, hub).
    """

    log_integral: Array
    local_mean: Array
    hub_mean: Array
    within: Array
    slopes: Array
    hub_cov: Array


def solve(form: Quadratic) -> Solution:
    """Return integral and moments: blocks are eliminated first, then the hubs."""
    hubs = form.cross.shape[-1]
    right = jnp.concatenate([form.cross, form.local_linear[..., None]], axis=-1)
    within, solved, log_det = _invert(form.local, right)
    slopes, alone = solved[..., :hubs], solved[..., hubs]
    schur = form.hub - jnp.einsum("kph,kpj->hj", form.cross, slopes)
    linear = form.hub_linear - jnp.einsum("kph,kp->h", form.cross, alone)
    hub_cov, hub_mean, hub_log_det = _invert(schur, linear[:, None])
    hub_mean = hub_mean[:, 0]
    quadratic = jnp.sum(form.local_linear * alone) + jnp.sum(linear * hub_mean)
    log_integral = 0.5 * (quadratic - jnp.sum(log_det) - hub_log_det)
    local_mean = alone - slopes @ hub_mean if hubs else alone
    return Solution(log_integral, local_mean, hub_mean, within, slopes, hub_cov)


@jax.custom_vjp
def log_integral(form: Quadratic) -> Array:
    """Return v'Q^-1 v / 2 - log det(Q) / 2.

    Its derivatives are the Gaussian's moments: in v the mean, in Q minus half the second
    moments, so that a gradient costs no more than the value.
    """
    return solve(form).log_integral


def _log_integral_forward(form: Quadratic) -> tuple[Array, Solution]:
    solution = solve(form)
    return solution.log_integral, solution


def _log_integral_backward(s: Solution, tangent: Array) -> tuple[Quadratic]:
    reach = s.slopes @ s.hub_cov
    local_cov = s.within + jnp.einsum("kph,kqh->kpq", reach, s.slopes)
    mean, hub_mean = s.local_mean, s.hub_mean
    return (
        Quadratic(
            local=-0.5 * tangent * (local_cov + mean[:, :, None] * mean[:, None, :]),
            cross=tangent * (reach - mean[:, :, None] * hub_mean),
            hub=-0.5 * tangent * (s.hub_cov + hub_mean[:, None] * hub_mean),
            local_linear=tangent * mean,
            hub_linear=tangent * hub_mean,
        ),
    )


log_integral.defvjp(_log_integral_forward, _log_integral_backward)


def draw(form: Quadratic, local_noise: Array, hub_noise: Array) -> tuple[Array, Array]:
    """Return a draw from N(Q^-1 v, Q^-1), blocks and hubs, from standard normal noise."""
    s = solve(form)
    hub_step = jnp.linalg.cholesky(s.hub_cov) @ hub_noise
    local_step = jnp.einsum("kpq,kq->kp", jnp.linalg.cholesky(s.within), local_noise)
    return s.local_mean + local_step - s.slopes @ hub_step, s.hub_mean + hub_step


def _invert(matrices: Array, right: Array) -> tuple[Array, Array, Array]:
    """Return inverse, inverse times `right`, and log-determinant of positive definite matrices.

    Small ones (..., n, n) are eliminated pivot by pivot, all at once: few operations on whole
    arrays, where a library call for each matrix would cost more than its arithmetic.
    """
    n = matrices.shape[-1]
    if not n:
        return matrices, right, jnp.zeros(matrices.shape[:-2])
    if n > _ELIMINATED:
        factor = cho_factor(matrices, lower=True)
        eye = jnp.broadcast_to(jnp.eye(n, dtype=matrices.dtype), matrices.shape)
        log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor[0], axis1=-2, axis2=-1)), axis=-1)
        return cho_solve(factor, eye), cho_solve(factor, right), log_det
    work, pivots = jnp.concatenate([matrices, right], axis=-1), jnp.ones(matrices.shape[:-1])
    places = np.arange(work.shape[-1])

    def eliminate(k: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        """Replace column k of the matrix by that of the inverse in the making."""
        work, pivots = state
        pivot_row, column = (_at(work, k, axis) for axis in (-2, -1))
        # A pivot that isn't positive means that rounding has won: NaN, and the point is refused.
        pivot = _at(column, k, -1)[..., None]
        pivot = jnp.where(pivot > 0, pivot, jnp.nan)
        at = places == k
        row = (jnp.where(at, 1.0, pivot_row) / pivot)[..., None, :]
        others = jnp.where(at, 0.0, work) - column[..., None] * row
        return jnp.where(at[:n, None], row, others), jnp.where(at[:n], pivot, pivots)

    work, pivots = jax.lax.fori_loop(0, n, eliminate, (work, pivots))
    return work[..., :n], work[..., n:], jnp.log(pivots).sum(axis=-1)


def _at(values: Array, k: Array, axis: int) -> Array:
    """Return entry `k` along an axis, which it has."""
    entry: Array = jax.lax.dynamic_index_in_dim(values, k, axis % values.ndim, keepdims=False)
    return entry
