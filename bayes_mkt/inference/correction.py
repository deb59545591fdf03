"""Draws of a posterior whose likelihood was approximated, resampled for the exact one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import SAMPLE
from bayes_mkt.inference.diagnostics import MIN_ESS, diagnose
from bayes_mkt.inference.psis import (
    Importance,
    effective_size,
    importance_of,
    resampled,
    smoothed,
)

__all__ = ["corrected"]

WEIGHED: Final = 1000
SPARE: Final = 1.25  # times as many draws as seem to be needed
ROUNDS: Final = 4
LEAST: Final = 50  # draws of a chain, for an ESS of them


def corrected(
    draws: xr.DataTree,
    log_ratios: Callable[[xr.Dataset], np.ndarray],
    seed: int,
    ess: float,
    weighed: int = WEIGHED,
) -> xr.DataTree:
    """Return draws under an expanded likelihood, resampled by the ratio of the exact one to it.

    `weighed` draws are weighted, evenly spaced within chains; if some parameter has a smaller ESS
    than `ess` once they are resampled, as many more as seem to give it, where k-hat allows. Where
    it is too large the draws stay as they are, and the verdict on them fails; so do draws whose own
    verdict fails before, which are not weighted at all: one set of weights for all chains would
    hide that they disagree.

    Parameters
    ----------
    draws
        In ArviZ layout.
    log_ratios
        Of posterior draws, log of the exact likelihood over the expanded (chain x draw,), up to a
        constant.
    seed
        Of the resampling.
    ess
        Effective draws of every parameter, bulk and tail, that are wanted; a verdict asks for 400.
    weighed
        Draws at first: the fewer, the less their spacing leaves of the effective ones.
    """
    if not diagnose(draws).ok:
        return draws
    sizes = draws["posterior"].sizes
    posterior = draws["posterior"].to_dataset()
    ratios = np.full((sizes["chain"], sizes["draw"]), np.nan)
    known = np.zeros(sizes["draw"], dtype=bool)
    wanted = weighed
    for _ in range(ROUNDS):
        more = np.setdiff1d(_spaced(sizes, wanted), np.flatnonzero(known))
        ratios[:, more] = log_ratios(posterior.isel(draw=more)).reshape(sizes["chain"], -1)
        known[more] = True
        found = _resampled(draws, ratios[:, known], np.flatnonzero(known), seed)
        verdict = diagnose(found)
        # NaN where the weights of an approximation can't be relied on.
        least = np.nan_to_num(min(verdict.min_ess_bulk, verdict.min_ess_tail), nan=np.inf)
        usable = verdict.importance is not None and verdict.importance.usable
        if not usable or least >= max(ess, MIN_ESS) or known.all():
            break
        factor = SPARE * max(ess, MIN_ESS) / max(least, 1.0)
        wanted = int(known.sum() * sizes["chain"] * np.clip(factor, 1.5, 8.0))
    return found


def _resampled(draws: xr.DataTree, ratios: np.ndarray, kept: np.ndarray, seed: int) -> xr.DataTree:
    """Return draws at positions `kept` of each chain, resampled by their logs of ratios."""
    weights, khat = smoothed(ratios.ravel())
    importance = _weighed(draws.attrs, khat, ratios.size, effective_size(weights))
    chosen = np.arange(ratios.size)
    if importance.usable:
        chosen = resampled(weights, ratios.size, seeds.generator(seed, "resampling"))
    chain, draw = (xr.DataArray(i.reshape(ratios.shape), dims=SAMPLE)
                   for i in np.unravel_index(chosen, ratios.shape))  # fmt: skip
    sample = {d: np.arange(n) for d, n in zip(SAMPLE, ratios.shape, strict=True)}
    tree = draws.copy()
    for group in ("posterior", "sample_stats"):
        thin = draws[group].to_dataset().isel(draw=kept)
        moved = thin.drop_vars(SAMPLE).isel(chain=chain, draw=draw)
        named = {name: v.transpose(*SAMPLE, ...) for name, v in moved.items()}
        tree[group] = xr.DataTree(moved.assign(named).assign_coords(sample))
    tree.attrs = {**draws.attrs, **importance.attrs}
    return tree


def _spaced(sizes: Mapping[Any, int], count: int) -> np.ndarray:
    """Return positions of draws evenly spaced in chains that together have about `count`."""
    each = min(sizes["draw"], max(count // sizes["chain"], LEAST))
    return np.linspace(0, sizes["draw"] - 1, each).round().astype(int)


def _weighed(attrs: Mapping[Any, Any], khat: float, count: int, effective: float) -> Importance:
    """Return how good the weights are; of draws that were weighted before, the worse of both."""
    before = importance_of(attrs)
    if before is None:
        return Importance("expansion", khat, count, effective)
    least = min(effective, before.effective)
    return Importance(before.method, max(khat, before.khat), count, least, before.modes)
