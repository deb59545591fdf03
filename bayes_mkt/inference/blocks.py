"""Many dimensions that fall into blocks: a scale from the curvature of the blocks and their hubs.

One probe moves an entry of every block at once, so that the curvature costs as many gradients as a
block and the hubs have entries, however many blocks there are; at several points for the price of
one batch. Its mean over the posterior is the covariance of the gradient there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayes_mkt.inference.arrow import Arrow
from bayes_mkt.inference.metric import InBlocks
from bayes_mkt.inference.mode import Gradient

WIDTH = 1e-5
# Of the eigenvalues of a block whose diagonal is one, and of the diagonal itself: where there is as
# good as no curvature, the length is one until draws say more.
FLOOR, FLAT = 1e-6, 1e-12
# Lengths by curvature and by draws that differ by more than this aren't averaged.
MOST = 4.0
# Draws that are looked at, and numbers that are held at a time.
DRAWS, ROOM = 2000, 2**24
# Draws are autocorrelated: about one in so many counts.
COUNTS = 5.0


class Curvature(NamedTuple):
    """Minus the second derivatives, in the form of an arrow.

    Attributes
    ----------
    local, cross, hub
        (block, place, place), (block, place, hub), (hub, hub); 0 where a block is filled up.
    """

    local: np.ndarray
    cross: np.ndarray
    hub: np.ndarray


def block_curvature(gradient: Gradient, points: np.ndarray, arrow: Arrow) -> Curvature | None:
    """Return the mean curvature at points, by central differences; None where it isn't finite.

    Parameters
    ----------
    gradient
        Points (chain, size) to log-densities and gradients.
    points
        (chain, size).
    arrow
        What meets what; other second derivatives are taken for zero.
    """
    places, hubs = arrow.places, np.asarray(arrow.hubs, dtype=int)
    filled = places == arrow.size
    inside = np.where(filled, 0, places)
    widths = WIDTH * (1.0 + np.abs(points))
    blocks, width = places.shape
    found = Curvature(
        np.zeros((blocks, width, width)),
        np.zeros((blocks, width, len(hubs))),
        np.zeros((len(hubs), len(hubs))),
    )

    def change(entries: np.ndarray) -> np.ndarray:
        shift = np.zeros_like(points)
        shift[:, entries] = widths[:, entries]
        return (gradient(points - shift)[1] - gradient(points + shift)[1]) / 2.0

    for p in range(width):
        there = ~filled[:, p]
        moved = change(places[there, p])[:, inside[there]]
        step = widths[:, places[there, p], None]
        found.local[there, :, p] = (moved / step).mean(axis=0)
    for h, entry in enumerate(hubs):
        column = (change(hubs[h : h + 1]) / widths[:, [entry]]).mean(axis=0)
        found.cross[:, :, h], found.hub[:, h] = column[inside], column[hubs]
    found.local[filled], found.cross[filled] = 0.0, 0.0
    local = np.where(filled[:, None, :], 0.0, found.local)
    whole = Curvature(
        (local + local.swapaxes(1, 2)) / 2, found.cross, (found.hub + found.hub.T) / 2
    )
    return whole if all(np.isfinite(part).all() for part in whole) else None


def metric_in_blocks(curve: Curvature, arrow: Arrow) -> InBlocks:
    """Return the metric of the Gaussian with a curvature.

    Directions that curve the wrong way are taken by the size of their curvature.
    """
    places, hubs = arrow.places, np.asarray(arrow.hubs, dtype=int)
    there = places < arrow.size
    local = curve.local.copy()
    block, place = np.nonzero(~there)
    local[block, place, place] = 1.0
    within, back = _roots(local)
    # What doesn't curve by itself is taken to meet nothing, hubs neither.
    cross = np.where(_flat(local)[:, :, None] | _flat(curve.hub), 0.0, curve.cross)
    # Triangles keep what is filled up apart: only the diagonal is left of it.
    within[block, place, place] = back[block, place, place] = 0.0
    slopes = within @ (within.swapaxes(1, 2) @ cross)
    schur = curve.hub - np.einsum("bph,bpj->hj", cross, slopes)
    hub, hub_back = _roots(schur)
    order = np.empty(arrow.size, dtype=int)
    order[places[there]] = np.flatnonzero(there)
    order[hubs] = there.size + np.arange(len(hubs))
    inside = np.where(there, places, 0)
    return InBlocks(within, back, slopes, hub, hub_back, inside, hubs, order)


def refreshed(metric: InBlocks, draws: np.ndarray, gradient: Gradient) -> tuple[InBlocks, int]:
    """Return the metric of where the chains are, and how many gradients that took.

    The scale is the geometric mean of what the mean curvature says and what the draws span (see
    `fisher_covariance`): for the hubs as a whole, for each direction of the blocks by itself.

    Parameters
    ----------
    metric
        The present one, whose blocks stay.
    draws
        (chain, draw, size), recent draws of all chains.
    gradient
        Points (chain, size) to log-densities and gradients.
    """
    arrow = arrow_of(metric)
    asked = 2 * len(draws) * (arrow.places.shape[1] + len(arrow.hubs))
    curve = block_curvature(gradient, draws[:, -1], arrow)
    if curve is None:
        return metric, asked
    return spanned(metric_in_blocks(curve, arrow), draws.reshape(-1, arrow.size)), asked


def arrow_of(metric: InBlocks) -> Arrow:
    """Return the blocks and hubs of a metric."""
    size = metric.size
    places = np.full(metric.places.size, size)
    entries = np.flatnonzero(metric.order < places.size)
    places[metric.order[entries]] = entries
    blocks = places.reshape(metric.places.shape).tolist()
    return Arrow(tuple(metric.hubs.tolist()), tuple(map(tuple, blocks)), size)


def spanned(metric: InBlocks, draws: np.ndarray) -> InBlocks:
    """Return the metric with each direction as long as curvature and draws say together.

    Parameters
    ----------
    metric
        By curvature.
    draws
        (draw, size).
    """
    some = draws[:: max(1, len(draws) // DRAWS)]
    some = some - some.mean(axis=0)
    step = max(1, ROOM // metric.within.size)
    u = np.concatenate([metric.whitened(some[i : i + step]) for i in range(0, len(some), step)])
    hub = u[:, metric.hubs]
    weight = len(u) / (len(u) + COUNTS * hub.shape[1])
    covariance = weight * (hub.T @ hub / len(u)) + (1.0 - weight) * np.eye(hub.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    longer = _longer(np.sqrt(np.maximum(values, 0.0)))
    change, undone = (vectors * longer) @ vectors.T, (vectors / longer) @ vectors.T
    flat = np.ones(metric.places.size)
    local = np.flatnonzero(metric.order < flat.size)
    flat[metric.order[local]] = _longer(u.std(axis=0))[local]
    stretch = flat.reshape(metric.places.shape)
    return replace(
        metric,
        within=metric.within * stretch[:, None, :],
        back=metric.back / stretch[:, :, None],
        hub=metric.hub @ change,
        hub_back=undone @ metric.hub_back,
    )


def _longer(spread: np.ndarray) -> np.ndarray:
    """Return the lengths of directions that have length 1 by curvature and an SD by draws.

    Their geometric mean; where they differ much, what is at most a factor of two from the draws':
    the density isn't normal there, or as good as flat where the curvature was taken.
    """
    spread = np.maximum(spread, np.sqrt(FLOOR) / MOST)
    between = np.clip(spread, 1.0 / MOST, MOST)
    return np.asarray(spread / np.sqrt(between))


def _flat(precision: np.ndarray) -> np.ndarray:
    """Return which entries of matrices (..., n, n) don't curve by themselves (..., n)."""
    return np.asarray(np.abs(np.diagonal(precision, axis1=-2, axis2=-1)) <= FLAT)


def _roots(precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return lower triangles L with L L' the inverses of matrices (..., n, n), and L's inverses."""
    diagonal = np.abs(np.diagonal(precision, axis1=-2, axis2=-1))
    flat = _flat(precision)
    unit = np.where(flat, 1.0, diagonal) ** -0.5
    alone = flat[..., :, None] | flat[..., None, :]
    scaled = np.where(alone, 0.0, precision * unit[..., :, None] * unit[..., None, :])
    values, vectors = np.linalg.eigh(scaled + flat[..., :, None] * np.eye(flat.shape[-1]))
    lengths = np.maximum(np.abs(values), FLOOR) ** -0.5
    upper = np.linalg.qr((vectors * lengths[..., None, :]).swapaxes(-1, -2), mode="r")
    upper = upper * np.sign(np.diagonal(upper, axis1=-2, axis2=-1))[..., :, None]
    lower = upper.swapaxes(-1, -2)
    return unit[..., :, None] * lower, np.linalg.inv(lower) / unit[..., None, :]
