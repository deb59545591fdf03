"""Draws of a posterior whose likelihood was approximated, resampled for the exact one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import SAMPLE
from bayes_mkt.inference.diagnostics import diagnose
from bayes_mkt.inference.psis import (
    Importance,
    effective_size,
    importance_of,
    resampled,
    smoothed,
)

__all__ = ["corrected"]

WEIGHED: Final = 1000
MOST: Final = 8000
ENOUGH: Final = 600  # effective draws
WORTH: Final = 2500  # effective draws that are aimed at


def corrected(
    draws: xr.DataTree,
    log_ratios: Callable[[xr.Dataset], np.ndarray],
    seed: int,
    weighed: int = WEIGHED,
) -> xr.DataTree:
    """Return draws under an expanded likelihood, resampled by the ratio of the exact one to it.

    `weighed` draws are weighted, evenly spaced within chains; if they are worth fewer than 600, as
    many more, up to 8,000, as seem to make them worth 2,500. Where k-hat is too large the draws
    stay as they are, and the verdict on them fails; so do draws whose own verdict fails before,
    which are not weighted at all: one set of weights for all chains would hide that they disagree.

    Parameters
    ----------
    draws
        In ArviZ layout.
    log_ratios
        Of posterior draws, log of the exact likelihood over the expanded (chain x draw,), up to a
        constant.
    seed
        Of the resampling.
    weighed
        Draws at first: the fewer, the less their spacing leaves of the effective ones.
    """
    if not diagnose(draws).ok:
        return draws
    sizes = draws["posterior"].sizes
    posterior = draws["posterior"].to_dataset()
    found = np.full((sizes["chain"], sizes["draw"]), np.nan)
    kept = _spaced(sizes, weighed)
    found[:, kept] = log_ratios(posterior.isel(draw=kept)).reshape(sizes["chain"], -1)
    effective = effective_size(smoothed(found[:, kept].ravel())[0])
    if effective < ENOUGH:
        wanted = min(weighed * WORTH / effective, MOST)
        kept = np.union1d(kept, _spaced(sizes, int(wanted)))
    more = kept[np.isnan(found[0, kept])]
    if len(more):
        found[:, more] = log_ratios(posterior.isel(draw=more)).reshape(sizes["chain"], -1)
    groups = ("posterior", "sample_stats")
    thin = {g: draws[g].to_dataset().isel(draw=kept) for g in groups}
    count = sizes["chain"] * len(kept)
    weights, khat = smoothed(found[:, kept].ravel())
    importance = _weighed(draws.attrs, khat, count, effective_size(weights))
    chosen = np.arange(count)
    if importance.usable:
        chosen = resampled(weights, count, seeds.generator(seed, "resampling"))
    shape = (sizes["chain"], len(kept))
    chain, draw = (xr.DataArray(i.reshape(shape), dims=SAMPLE)
                   for i in np.unravel_index(chosen, shape))  # fmt: skip
    sample = {d: np.arange(n) for d, n in zip(SAMPLE, shape, strict=True)}
    tree = draws.copy()
    for group, values in thin.items():
        moved = values.drop_vars(SAMPLE).isel(chain=chain, draw=draw)
        named = {name: v.transpose(*SAMPLE, ...) for name, v in moved.items()}
        tree[group] = xr.DataTree(moved.assign(named).assign_coords(sample))
    tree.attrs = {**draws.attrs, **importance.attrs}
    return tree


def _spaced(sizes: Mapping[Any, int], count: int) -> np.ndarray:
    """Return positions of draws evenly spaced in chains that together have about `count`."""
    each = min(sizes["draw"], max(count // sizes["chain"], 1))
    return np.linspace(0, sizes["draw"] - 1, each).round().astype(int)


def _weighed(attrs: Mapping[Any, Any], khat: float, count: int, effective: float) -> Importance:
    """Return how good the weights are; of draws that were weighted before, the worse of both."""
    before = importance_of(attrs)
    if before is None:
        return Importance("expansion", khat, count, effective)
    least = min(effective, before.effective)
    return Importance(before.method, max(khat, before.khat), count, least, before.modes)
