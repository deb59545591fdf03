"""A fitted propensity applied to customers as they stand today, for any set of products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from bayes_mkt import seeds
from bayes_mkt.dims import SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit
from bayes_mkt.targeting.asof import Lines, Standing
from bayes_mkt.targeting.effects import thin
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.propensity import Propensity
from bayes_mkt.targeting.recent import drawn_effect
from bayes_mkt.targeting.windows import (
    Windows,
    encode,
    parent_level,
    parent_name,
    set_attributes,
    windows,
)

__all__ = ["Scores", "score_set", "standing"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """Draws of what each customer will do, by cells of equal customers.

    Parameters
    ----------
    probability
        Of buying within the horizon (draw, cell).
    spend
        Expected amount if they do (draw, cell).
    cell
        Of each known customer (known,).
    known
        Positions of customers who had bought by the date (known,).
    posterior
        The draws of the fit that were used.
    """

    probability: Array
    spend: Array
    cell: Array
    known: Array
    posterior: xr.Dataset


def standing(fit: Fit, log: PurchaseLog | None) -> tuple[PurchaseLog, Standing]:
    """Return the log to read features from, and how customers stand at its end."""
    if not isinstance(fit.spec, Propensity):
        raise SpecError(f"A fitted Propensity is needed, not {type(fit.spec).__name__}.")
    log = fit.data if log is None else log
    everything = Lines.of(log)
    return log, Standing.of(everything, len(log.customers), log.end, fit.spec.lookback)


def score_set(
    fit: Fit, log: PurchaseLog, at: Standing, items: Array, *, seed: int, max_draws: int
) -> Scores:
    """Return the scores of all known customers for a set of products.

    Parameters
    ----------
    items
        Positions of the products. If they are a set of the training, its own effects are used;
        else effects of a new set are drawn: its level from how it sold in the last days of the log,
        if any of it was sold before these, and from its population if not.
    """
    trained = windows(fit.spec, fit.data)
    lines = Lines.of(log, items)
    # Every combination of levels, so that all sets go through the model in one shape.
    levels = [len(feature.levels) for feature in trained.encoding.features]
    grid = np.stack(np.unravel_index(np.arange(np.prod(levels)), levels), axis=1)
    index = cells(trained, at, lines)
    place = set_position(fit, trained, log, items)
    parent = parent_position(trained, log, fit, items)
    posterior = thin(fit.posterior, max_draws)
    data = {
        "design": trained.encoding.design(grid),
        "attributes": standardised(trained, log, items, lines, at),
        "set_of": np.array([max(place, 0)]),
        "parent_of": np.array([max(parent, 0)]),
        "window_of": np.array([0]),
    }
    drawn = fresh(posterior, place < 0, parent < 0, trained.encoding.groups, seed)
    if place < 0:
        drawn = informed(fit, trained, log, at, items, drawn, data, seed)
    parts = [
        (result["probability"][..., 0], result["buyer_spend"][..., 0])
        for _, (result,) in fit.target.evaluate(drawn, ["probability", "buyer_spend"], data=[data])
    ]
    chance, spend = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    return Scores(chance, spend, index, np.flatnonzero(at.known), posterior)


def cells(trained: Windows, at: Standing, lines: Lines) -> Array:
    """Return the combination of levels that each known customer is in (known,)."""
    levels = [len(feature.levels) for feature in trained.encoding.features]
    codes = encode(trained.encoding, at.features(lines))
    return np.asarray(np.ravel_multi_index(tuple(codes.T.astype(np.int64)), levels))


def standardised(
    trained: Windows, log: PurchaseLog, items: Array, lines: Lines, at: Standing
) -> Array:
    """Return a set's attributes as training measured them (1, attribute)."""
    own = np.array(list(set_attributes(log, items, lines, at).values()))
    return np.nan_to_num((own - trained.center) / trained.scale)[None]


def informed(
    fit: Fit,
    trained: Windows,
    log: PurchaseLog,
    at: Standing,
    items: Array,
    drawn: xr.Dataset,
    data: dict[str, Array],
    seed: int,
) -> xr.Dataset:
    """Return draws with a new set's effect as the last days before `at` have it.

    A set of which nothing was sold before those days may not have been on offer: it is left as it
    is.
    """
    lines, customers = Lines.of(log, items), len(log.customers)
    horizon = fit.spec.horizon
    before = Standing.of(Lines.of(log), customers, at.day - horizon, fit.spec.lookback)
    if not (lines.day <= before.day).any():
        return drawn
    cell, bought = cells(trained, before, lines), before.outcomes(lines, horizon)[0]
    size = len(data["design"])
    seen = np.bincount(cell, minlength=size)
    used = np.flatnonzero(seen)
    own = data | {"attributes": standardised(trained, log, items, lines, before)}
    bare = with_first(drawn, {"set_effect": np.zeros(()), "window_effect": np.zeros(())})
    parts = fit.target.evaluate(bare, ["probability"], data=[own])
    chance = np.concatenate([found["probability"][:, used, 0] for _, (found,) in parts])
    set_sd, window_sd = (
        drawn[n].transpose(*SAMPLE).to_numpy().ravel() for n in ("set_sd", "window_sd")
    )
    effect = drawn_effect(
        logit(np.clip(chance, 1e-12, 1 - 1e-12)),
        seen[used],
        np.bincount(cell[bought], minlength=size)[used],
        set_sd,
        window_sd,
        seeds.generator(seed, "level of a new set"),
    )
    return with_first(drawn, {"set_effect": effect.reshape(drawn["set_sd"].shape)})


def set_position(fit: Fit, trained: Windows, log: PurchaseLog, items: Array) -> int:
    """Return which set of the training these products are, or -1."""
    asked = set(log.products[items])
    for j, known in enumerate(trained.items):
        if len(known) == len(asked) and set(fit.data.products[known]) == asked:
            return j
    return -1


def parent_position(trained: Windows, log: PurchaseLog, fit: Fit, items: Array) -> int:
    """Return the parent of most of the products among those of the training, or -1."""
    level = parent_level(fit.data, fit.spec.level)
    if level is None:
        return 0
    name = parent_name(log.data["group"].to_numpy()[:, level], items)
    return trained.parents.index(name) if name in trained.parents else -1


def fresh(
    posterior: xr.Dataset,
    new_set: bool,
    new_parent: bool,
    column_groups: tuple[str, ...],
    seed: int,
) -> xr.Dataset:
    """Return draws with the effects in first place drawn anew for what training hasn't seen."""
    rng = seeds.generator(seed, "new effects")
    scales = {"window_effect": "window_sd"}
    if new_set:
        scales |= {"set_effect": "set_sd", "spend_set": "spend_set_sd"}
    if new_parent:
        scales["parent_effect"] = "parent_sd"
    values = {}
    for name, sd in scales.items():
        spread = posterior[sd].transpose(*SAMPLE).to_numpy()
        values[name] = rng.normal(size=spread.shape) * spread
    if new_set:
        groups = [str(g) for g in posterior["group"].to_numpy()]
        own = [groups.index(group) for group in column_groups]
        for name in [n for n in ("slope", "spend_slope") if n in posterior]:
            columns = posterior.sizes["column"]
            by_group = posterior[f"{name}_sd"].transpose(*SAMPLE, "group").to_numpy()[..., own]
            values[name] = rng.normal(size=(*by_group.shape[:2], columns)) * by_group
    return with_first(posterior, values)


def with_first(posterior: xr.Dataset, values: Mapping[str, Array]) -> xr.Dataset:
    """Return draws with the first entry of some variables' last dimension replaced.

    Each value has the shape (chain, draw, ...) of what it replaces, or is one number.
    """
    changed = {}
    for name, own in values.items():
        variable = posterior[name].transpose(*SAMPLE, ...)
        every = variable.to_numpy().copy()
        every[..., 0] = own
        changed[name] = (variable.dims, every)
    return posterior.assign(changed)
