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


def corrected(
    draws: xr.DataTree,
    log_ratios: Callable[[xr.Dataset], np.ndarray],
    seed: int,
    weighed: int = WEIGHED,
) -> xr.DataTree:
    """Return draws under an expanded likelihood, resampled by the ratio of the exact one to it.

    `weighed` draws are weighted, evenly spaced within chains; if what is resampled of them fails
    its verdict, as many more as seem to give every parameter the ESS that one asks for. Where k-hat
    is too large the draws stay as they are, and the verdict on them fails; so do draws whose own
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
    weighed
        Draws at first: the fewer, the less their spacing leaves of the effective ones.
    """
    if not diagnose(draws).ok:
        return draws
    sizes = draws["posterior"].sizes
    posterior = draws["posterior"].to_dataset()
    ratios = np.full((sizes["chain"], sizes["draw"]), np.nan)
    wanted = weighed
    for _ in range(ROUNDS):
        more = _spaced(sizes, wanted)
        more = more[np.isnan(ratios[0, more])]
        ratios[:, more] = log_ratios(posterior.isel(draw=more)).reshape(sizes["chain"], -1)
        kept = np.flatnonzero(~np.isnan(ratios[0]))
        found = _resampled(draws, ratios[:, kept], kept, seed)
        verdict = diagnose(found)
        if verdict.ok or len(kept) == sizes["draw"]:
            break
        count = ratios[:, kept].size
        least = min(verdict.min_ess_bulk, verdict.min_ess_tail)
        wanted = int(count * np.clip(SPARE * MIN_ESS / max(least, 1.0), 1.5, 8.0))
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
    each = min(sizes["draw"], max(count // sizes["chain"], 1))
    return np.linspace(0, sizes["draw"] - 1, each).round().astype(int)


def _weighed(attrs: Mapping[Any, Any], khat: float, count: int, effective: float) -> Importance:
    """Return how good the weights are; of draws that were weighted before, the worse of both."""
    before = importance_of(attrs)
    if before is None:
        return Importance("expansion", khat, count, effective)
    least = min(effective, before.effective)
    return Importance(before.method, max(khat, before.khat), count, least, before.modes)
