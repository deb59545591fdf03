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
from bayes_mkt.targeting.events import check_same_events
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.propensity import Propensity
from bayes_mkt.targeting.recent import DEGREES, Seen, drawn_effects
from bayes_mkt.targeting.windows import (
    Windows,
    encode,
    set_attributes,
    standing_at,
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
    check_same_events(fit.data, log)
    return log, standing_at(fit.spec, log, log.end, fit.data)


def score_set(
    fit: Fit, log: PurchaseLog, at: Standing, items: Array, *, seed: int, max_draws: int
) -> Scores:
    """Return the scores of all known customers for a set of products.

    Parameters
    ----------
    items
        Positions of the products. If they are a set of the training, its own effects are used;
        else effects of a new set are drawn: its level and slopes given who bought of it in the last
        windows of the log, if any of it was sold before these, and from their population if not.
    """
    trained = windows(fit.spec, fit.data)
    lines = Lines.of(log, items, fit.spec.level)
    # Every combination of levels, so that all sets go through the model in one shape.
    levels = [len(feature.levels) for feature in trained.encoding.features]
    grid = np.stack(np.unravel_index(np.arange(np.prod(levels)), levels), axis=1)
    index = cells(trained, at, lines)
    place = set_position(fit, trained, log, items)
    parent = parent_position(trained, log, fit, items)
    posterior = thin(fit.posterior, max_draws)
    own = standardised(trained, log, items, lines, at)
    data = {
        "design": trained.encoding.design(grid),
        "attributes": own,
        "typical": trained.typical if place >= 0 else np.tile(own, (len(trained.sets), 1)),
        "set_of": np.array([max(place, 0)]),
        "window_of": np.array([0]),
    }
    rng = seeds.generator(seed, "new effects")
    if place >= 0:
        moved = shift(posterior, own[0] - trained.typical[place])
        drawn, level = posterior, taken(posterior, "set_level", place) + moved
    else:
        drawn = fresh(posterior, trained.encoding.groups, own[0], rng)
        above, spread = about_parent(posterior, parent)
        found = recent_effects(fit, trained, log, at, items, posterior, (above, spread), data, seed)
        if found is None:
            effect = rng.standard_t(DEGREES, size=spread.shape) * spread
        else:
            effect, slopes = found
            drawn = with_first(drawn, {"slope": slopes})
        level = above + shift(posterior, own[0]) + effect
    drawn = with_first(drawn, {"window_level": level + normal(posterior, "window_sd", rng)})
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


def recent_effects(
    fit: Fit,
    trained: Windows,
    log: PurchaseLog,
    at: Standing,
    items: Array,
    posterior: xr.Dataset,
    own_level: tuple[Array, Array],
    data: dict[str, Array],
    seed: int,
) -> tuple[Array, Array] | None:
    """Return a new set's part of its level (chain, draw), and its slopes (chain, draw, column).

    They are drawn as if its last windows, as many as training has of a set, had been part of it,
    with all that sets share as training left it. Windows before which nothing of the set was sold
    are left out, because it may not have been on offer; None if all are.

    Parameters
    ----------
    posterior
        Draws of the fit.
    own_level
        Mean of its level without attributes, and SD about it (chain, draw).
    data
        Those of the evaluation at `at`.
    """
    lines, spec = Lines.of(log, items, fit.spec.level), fit.spec
    days = [at.day - spec.horizon * (j + 1) for j in range(spec.dates)]
    days = [day for day in days if (lines.day <= day).any()]
    if not days:
        return None
    center = posterior["feature_effect"].transpose(*SAMPLE, "column").to_numpy()
    mean = with_first(posterior, {"slope": center})
    parts = []
    for day in days:
        before = standing_at(spec, log, day, fit.data)
        own = data | {"attributes": standardised(trained, log, items, lines, before)}
        level = own_level[0] + shift(posterior, own["attributes"][0])
        bare = with_first(mean, {"window_level": level})
        cell, bought = cells(trained, before, lines), before.outcomes(lines, spec.horizon)[0]
        parts.append(seen_of(fit, bare, own, cell, cell[bought]))
    sd = np.stack([own_level[1], *[sd_of(posterior, "window_sd")] * len(days)], axis=-1)
    slopes = sds_of(posterior, "slope_sd", trained.encoding.groups)
    sds = np.concatenate([sd, slopes], axis=-1)
    rng = seeds.generator(seed, "effects of a new set")
    flat = drawn_effects(joined(parts), sds.reshape(-1, sds.shape[-1]), rng)
    found = flat.reshape(sds.shape)
    return found[..., 0], center + found[..., 1 + len(days) :]


def seen_of(fit: Fit, bare: xr.Dataset, data: dict[str, Array], cell: Array, buyers: Array) -> Seen:
    """Return what the customers of one window bought, by the cells that they (and buyers) are in.

    The design holds the feature's columns only; `bare` are draws without effects of the first set.
    """
    size = len(data["design"])
    seen = np.bincount(cell, minlength=size)
    used = np.flatnonzero(seen)
    parts = fit.target.evaluate(bare, ["probability"], data=[data])
    chance = np.concatenate([found["probability"][:, used, 0] for _, (found,) in parts])
    return Seen(
        log_odds=logit(np.clip(chance, 1e-12, 1 - 1e-12)),
        design=data["design"][used],
        customers=seen[used],
        buyers=np.bincount(buyers, minlength=size)[used],
    )


def joined(parts: list[Seen]) -> Seen:
    """Return several windows as one: effects of the set, of each window, of the columns."""
    windows_of = np.repeat(np.eye(len(parts)), [len(p.design) for p in parts], axis=0)
    columns = np.concatenate([p.design for p in parts])
    return Seen(
        log_odds=np.concatenate([p.log_odds for p in parts], axis=1),
        design=np.column_stack([np.ones(len(columns)), windows_of, columns]),
        customers=np.concatenate([p.customers for p in parts]),
        buyers=np.concatenate([p.buyers for p in parts]),
    )


def about_parent(posterior: xr.Dataset, parent: int) -> tuple[Array, Array]:
    """Return the mean of a new set's level, and the SD about it (chain, draw).

    A parent that training hasn't seen has an effect of its own, which is in the SD.
    """
    spread = sd_of(posterior, "set_sd")
    if parent >= 0:
        return taken(posterior, "parent_level", parent), spread
    intercept = posterior["intercept"].transpose(*SAMPLE).to_numpy()
    return np.asarray(intercept), np.hypot(spread, sd_of(posterior, "parent_sd"))


def taken(posterior: xr.Dataset, name: str, place: int) -> Array:
    """Return draws of one entry of a variable (chain, draw)."""
    return np.asarray(posterior[name].transpose(*SAMPLE, ...).to_numpy()[..., place])


def shift(posterior: xr.Dataset, attributes: Array, name: str = "attribute_effect") -> Array:
    """Return what attributes (attribute,) add to a level (chain, draw)."""
    effect = posterior[name].transpose(*SAMPLE, "attribute").to_numpy()
    return np.asarray(effect @ attributes)


def normal(posterior: xr.Dataset, sd: str, rng: np.random.Generator) -> Array:
    """Return a normal variate of each draw's SD (chain, draw)."""
    spread = sd_of(posterior, sd)
    return np.asarray(rng.normal(size=spread.shape) * spread)


def sd_of(posterior: xr.Dataset, name: str) -> Array:
    """Return draws of a spread (chain, draw)."""
    return np.asarray(posterior[name].transpose(*SAMPLE).to_numpy())


def sds_of(posterior: xr.Dataset, name: str, column_groups: tuple[str, ...]) -> Array:
    """Return draws of the spread of each column's effects (chain, draw, column)."""
    groups = [str(g) for g in posterior["group"].to_numpy()]
    spread = posterior[name].transpose(*SAMPLE, "group").to_numpy()
    return np.asarray(spread[..., [groups.index(group) for group in column_groups]])


def set_position(fit: Fit, trained: Windows, log: PurchaseLog, items: Array) -> int:
    """Return which set of the training these products are, or -1."""
    asked = set(log.products[items])
    for j, known in enumerate(trained.items):
        if len(known) == len(asked) and set(fit.data.products[known]) == asked:
            return j
    return -1


def parent_position(trained: Windows, log: PurchaseLog, fit: Fit, items: Array) -> int:
    """Return the parent of most of the products among those of the training, or -1."""
    level = fit.data.parent_level(fit.spec.level)
    if level is None:
        return 0
    name = log.parent_name(items, level)
    return trained.parents.index(name) if name in trained.parents else -1


def fresh(
    posterior: xr.Dataset,
    column_groups: tuple[str, ...],
    attributes: Array,
    rng: np.random.Generator,
) -> xr.Dataset:
    """Return draws in which the first set's slopes and level of spend are those of a new set."""
    level = posterior["spend_intercept"].transpose(*SAMPLE).to_numpy()
    level = level + shift(posterior, attributes, "spend_attribute_effect")
    values = {"spend_level": level + normal(posterior, "spend_set_sd", rng)}
    for name, mean in {"slope": "feature_effect", "spend_slope": "spend_feature"}.items():
        if name in posterior:
            center = posterior[mean].transpose(*SAMPLE, "column").to_numpy()
            spread = sds_of(posterior, f"{name}_sd", column_groups)
            values[name] = center + rng.normal(size=center.shape) * spread
    return with_first(posterior, values)


def with_first(posterior: xr.Dataset, values: Mapping[str, Array]) -> xr.Dataset:
    """Return draws with the first entry of some variables' last dimension replaced.

    Each value has the shape (chain, draw, ...) of what it replaces.
    """
    changed = {}
    for name, own in values.items():
        variable = posterior[name].transpose(*SAMPLE, ...)
        every = variable.to_numpy().copy()
        every[..., 0] = own
        changed[name] = (variable.dims, every)
    return posterior.assign(changed)
