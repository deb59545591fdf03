"""Survival of any customers under a fit: its graph under other data, in bounded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.customers.baseline import SPREADS
from bayes_mkt.customers.effects import Coding
from bayes_mkt.customers.points import locate
from bayes_mkt.customers.risks import CompetingRisks, cause_fits
from bayes_mkt.customers.spells import CELL, Spells
from bayes_mkt.dims import MARKET, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit

Array = NDArray[Any]

ENTRIES = 2**22  # cells x times that one draw may hold


def survival_parts(
    fit: Fit,
    data: Spells,
    times: Array,
    *,
    features: Array | None = None,
    cells: Array | None = None,
    name: str = "survival",
) -> Iterator[tuple[slice, Array, Array]]:
    """Yield survival of cells at some times, in batches of draws and of cells.

    Parameters
    ----------
    fit
        A fitted hazard or parametric model; of `CompetingRisks`, survival is the product of that
        of the causes.
    data
        Whose covariates and markets; of markets that the fit doesn't know the deviations are drawn
        from their population.
    times
        Since the origin (time,).
    features
        Covariates (cell, feature) on the model's scale in place of the data's.
    cells
        Positions of the cells asked for; None means all.
    name
        `"survival"`, or another deterministic with cells first.

    Yields
    ------
    draws, cells, values
        Slice of flattened ``chain x draw``; positions of cells (cell,); values (draw, cell, time).
    """
    if isinstance(fit.spec, CompetingRisks):
        parts = [
            survival_parts(part, data, times, features=features, cells=cells)
            for part in cause_fits(fit).values()
        ]
        for each in zip(*parts, strict=True):
            where, part, first = each[0]
            yield where, part, np.prod([first, *(other for _, _, other in each[1:])], axis=0)
        return
    design = Coding.of(fit.data).apply(data) if features is None else features
    asked = np.arange(data.data.sizes[CELL]) if cells is None else cells
    posterior, market = _posterior(fit, data)
    size = max(int(ENTRIES // max(len(times), 1)), 1)
    for start in range(0, len(asked), size):
        part = asked[start : start + size]
        whole = len(asked) > size  # a short last batch would compile anew: it is filled up
        filled = np.resize(part, size) if whole and len(part) < size else part
        given = {
            "features": design[filled],
            "market_of_cell": market[filled],
            **moments(fit, times),
        }
        chosen = _with_frailty(fit, data, posterior, filled)
        for where, (result,) in fit.target.evaluate(chosen, [name], data=[given]):
            yield where, part, result[name][:, : len(part)]


def mean_survival(fit: Fit, data: Spells, times: Array) -> Array:
    """Return the posterior mean of survival of cells (cell, time)."""
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    mean = np.zeros((data.data.sizes[CELL], len(times)))
    for _, cells, values in survival_parts(fit, data, times):
        mean[cells] += values.sum(axis=0) / total
    return mean


def moments(fit: Fit, times: Array) -> dict[str, Array]:
    """Return the model's data that say at which times survival is asked for."""
    if "moment" in fit.target.data:
        return {"moment": times}
    found = locate(fit.data.cuts, times)
    return {"moment_piece": found.piece, "moment_part": found.part}


def averaged(
    fit: Fit,
    data: Spells,
    times: Array,
    weights: Array,
    *,
    features: Array | None = None,
    change: Callable[[Array], Array] = lambda values: values,
) -> Array:
    """Return weighted means over cells of a function of survival.

    Parameters
    ----------
    weights
        (group, cell).
    change
        Of survival (draw, cell, time); the last axis may change.

    Returns
    -------
    ndarray
        (chain x draw, group, time).
    """
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    out: Array | None = None
    used = np.flatnonzero((weights > 0).any(axis=0))
    parts = survival_parts(fit, data, times, features=features, cells=used)
    for where, cells, survival in parts:
        values = change(survival)
        if out is None:
            out = np.zeros((total, len(weights), values.shape[2]))
        out[where] += np.einsum("gc,zct->zgt", weights[:, cells], values)
    if out is None:
        raise SpecError("None of the customers asked about is in the data.")
    return out


def labelled(fit: Fit, values: Array, dims: tuple[str, ...], **coords: Any) -> xr.DataArray:
    """Return values (chain x draw, *dims) with `chain` and `draw` of the fit."""
    posterior = fit.posterior
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], *values.shape[1:])
    sample = {d: posterior[d] for d in SAMPLE}
    return xr.DataArray(values.reshape(shape), dims=(*SAMPLE, *dims), coords={**sample, **coords})


def check_times(times: Any, end: float, unit: str) -> Array:
    """Return times as ascending floats.

    Raises
    ------
    SpecError
        If one isn't in [0, end]: beyond the last interval the model says nothing.
    """
    values = np.atleast_1d(np.asarray(times, dtype=float))
    if values.ndim != 1 or not len(values) or np.any(np.diff(values) <= 0):
        raise SpecError(f"times={times!r} must be ascending numbers.")
    if not np.all((values >= 0) & (values <= end + 1e-9)):
        raise SpecError(
            f"times={times!r} must lie between 0 and {end:g} {unit}, the last interval's end: "
            "beyond it nothing was observed. Read the data with a longer horizon."
        )
    return values


def _posterior(fit: Fit, data: Spells) -> tuple[xr.Dataset, Array]:
    """Return draws of the free variables with all markets of `data`, and each cell's market."""
    free = [rv.name for rv in fit.target.model.free_RVs]
    posterior = fit.posterior[free]
    known = fit.data.markets
    unknown = [name for name in data.markets if name not in known]
    varied = [name for name in free if MARKET in posterior[name].dims]
    position = {name: i for i, name in enumerate([*known, *unknown])}
    market = np.array([position[name] for name in data.markets])[data.data["market_of_cell"].values]
    if not unknown:
        return posterior, market
    if len(known) > 1 and not varied:  # no market deviates
        return posterior, np.where(market < len(known), market, 0)
    if not varied:
        raise SpecError(
            f"The model was fitted on one market, {known[0]!r}; nothing says how {unknown[0]!r} "
            "differs from it."
        )
    rng = seeds.generator(fit.seed, f"new markets: {fit.data.causes[0]}")
    return _extended(posterior, varied, len(unknown), rng), market


def _extended(
    posterior: xr.Dataset, names: list[str], more: int, rng: np.random.Generator
) -> xr.Dataset:
    """Return draws with further markets, whose effects are drawn from their population."""
    changed = {}
    for name in names:
        old = posterior[name].transpose(*SAMPLE, MARKET, ...)
        shape = (*old.shape[:2], more, *old.shape[3:])
        spread = posterior[SPREADS[name]].transpose(*SAMPLE).to_numpy()
        drawn = rng.normal(size=shape) * spread.reshape(*spread.shape, *[1] * (len(shape) - 2))
        joined = np.concatenate([old.to_numpy(), drawn], axis=2)
        changed[name] = (old.dims, joined)
    kept = posterior.drop_vars(names)
    return kept.drop_vars(MARKET, errors="ignore").assign(changed)


def _with_frailty(fit: Fit, data: Spells, posterior: xr.Dataset, cells: Array) -> xr.Dataset:
    """Return draws whose cell effects are those of `cells`; of unseen cells they are drawn."""
    if "frailty_offset" not in posterior:
        return posterior
    seen = {
        key: i for i, key in enumerate(_cell_keys(fit.data, np.arange(fit.data.data.sizes[CELL])))
    }
    position = np.array([seen.get(key, -1) for key in _cell_keys(data, cells)])
    old = posterior["frailty_offset"].transpose(*SAMPLE, CELL).to_numpy()
    fresh = seeds.generator(fit.seed, f"new cells: {fit.data.causes[0]}").normal(
        size=(*old.shape[:2], len(cells))
    )
    values = np.where(position >= 0, old[:, :, position], fresh)
    kept = posterior.drop_vars("frailty_offset").drop_vars(CELL, errors="ignore")
    return kept.assign(frailty_offset=((*SAMPLE, CELL), values))


def _cell_keys(data: Spells, cells: Array) -> list[tuple[Any, ...]]:
    """Return market and covariates of cells, to compare."""
    markets = np.asarray(data.markets)[data.data["market_of_cell"].values[cells]]
    rows = np.round(data.data["features"].values[cells], 9)
    return [(m, *row) for m, row in zip(markets.tolist(), rows.tolist(), strict=True)]
