"""A fitted propensity applied to customers as they stand today, for any set of products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit
from bayes_mkt.targeting.asof import Lines, Standing
from bayes_mkt.targeting.effects import thin
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.propensity import Propensity
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
        else effects of a new set are drawn.
    """
    trained = windows(fit.spec, fit.data)
    lines = Lines.of(log, items)
    codes = encode(trained.encoding, at.features(lines))
    # Every combination of levels, so that all sets go through the model in one shape.
    levels = [len(feature.levels) for feature in trained.encoding.features]
    grid = np.stack(np.unravel_index(np.arange(np.prod(levels)), levels), axis=1)
    index = np.ravel_multi_index(tuple(codes.T.astype(np.int64)), levels)
    own = np.array(list(set_attributes(log, items, lines, at).values()))
    place = set_position(fit, trained, log, items)
    posterior = thin(fit.posterior, max_draws)
    data = {
        "design": trained.encoding.design(grid),
        "attributes": np.nan_to_num((own - trained.center) / trained.scale)[None],
        "set_of": np.array([max(place, 0)]),
        "parent_of": np.array([max(parent_position(trained, log, fit, items), 0)]),
        "window_of": np.array([0]),
    }
    parent = parent_position(trained, log, fit, items)
    drawn = fresh(posterior, place < 0, parent < 0, trained.encoding.groups, seed)
    parts = [
        (result["probability"][..., 0], result["buyer_spend"][..., 0])
        for _, (result,) in fit.target.evaluate(drawn, ["probability", "buyer_spend"], data=[data])
    ]
    chance, spend = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    return Scores(chance, spend, index, np.flatnonzero(at.known), posterior)


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
    changed = {}
    for name, sd in scales.items():
        values = posterior[name].transpose("chain", "draw", ...).to_numpy().copy()
        spread = posterior[sd].transpose("chain", "draw").to_numpy()
        values[..., 0] = rng.normal(size=spread.shape) * spread
        changed[name] = (("chain", "draw", *posterior[name].dims[2:]), values)
    if new_set:
        groups = [str(g) for g in posterior["group"].to_numpy()]
        own = [groups.index(group) for group in column_groups]
        for name in [n for n in ("slope", "spend_slope") if n in posterior]:
            dims = ("chain", "draw", "column", "set")
            slope = posterior[name].transpose(*dims).to_numpy().copy()
            by_group = posterior[f"{name}_sd"].transpose("chain", "draw", "group").to_numpy()
            slope[..., 0] = rng.normal(size=slope.shape[:-1]) * by_group[..., own]
            changed[name] = (dims, slope)
    return posterior.assign(changed)
