"""A purchase log as counts: buyers among customers who look alike, by product set and date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.errors import SpecError
from bayes_mkt.frames import Problems
from bayes_mkt.targeting.asof import CUSTOMER_FEATURES, SET_FEATURES, Lines, Standing
from bayes_mkt.targeting.encoding import Encoding
from bayes_mkt.targeting.events import EVENT_FEATURES, check_events, visits
from bayes_mkt.targeting.tastes import TASTE, Factors, Tastes

if TYPE_CHECKING:
    from bayes_mkt.targeting.log import PurchaseLog
    from bayes_mkt.targeting.propensity import Propensity

__all__ = ["Windows", "set_attributes", "standing_at", "windows"]

Array = NDArray[Any]
SAMPLE = 4000


@dataclass(frozen=True)
class Windows:
    """Counts for the model: a window is a product set and the days after a date.

    Parameters
    ----------
    sets, parents
        Names of the sets, and of the next coarser level's groups.
    items
        Products of each set, as positions.
    parent_of
        Parent of each set (set,).
    set_of, day_of
        Of each window (window,): set, and date.
    encoding
        How features became codes.
    codes
        Of each cell (cell, feature).
    customers, buyers
        By cell and window (cell, window).
    attributes
        Of each window's set at its date (window, attribute), standardised.
    typical
        Their means over a set's windows (set, attribute).
    names, center, scale
        Of the attributes, and what they were standardised by.
    spend
        Rows (cell, window, buyers, sum of log amounts, sum of their squares), amounts divided by
        `unit`.
    unit
        Geometric mean of buyers' amounts.
    """

    sets: tuple[str, ...]
    parents: tuple[str, ...]
    items: tuple[Array, ...]
    parent_of: Array
    set_of: Array
    day_of: Array
    encoding: Encoding
    codes: Array
    customers: Array
    buyers: Array
    attributes: Array
    typical: Array
    names: tuple[str, ...]
    center: Array
    scale: Array
    spend: Array
    unit: float


@lru_cache(maxsize=4)
def windows(spec: Propensity, log: PurchaseLog) -> Windows:
    """Return the counts that a specification asks of a log.

    Raises
    ------
    SpecError
        If the log is too short, or no set has enough buyers.
    """
    days = as_of_days(spec, log)
    check_events(log, min(days), spec.event_half_life, spec.event_weights)
    found = _sets(spec, log, max(days))
    sets = list(found)
    lines = Lines.by_set(log, [found[name] for name in sets], spec.level)
    standings = [standing_at(spec, log, day) for day in days]
    encoding = _encoding(spec, standings, lines)
    cells, customers, buyers, spends = _counts(spec, standings, lines, encoding)
    raw = [
        set_attributes(log, found[name], part, at)
        for at in standings
        for name, part in zip(sets, lines, strict=True)
    ]
    table = np.stack([list(a.values()) for a in raw])
    center, scale = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    attributes = np.nan_to_num((table - center) / scale)
    parents, parent_of = _parents(log, spec, found)
    spend = np.concatenate(spends)
    unit = float(np.exp(spend[:, 3].sum() / spend[:, 2].sum()))
    log_unit = np.log(unit)
    squares = spend[:, 4] - 2 * log_unit * spend[:, 3] + spend[:, 2] * log_unit**2
    sums = spend[:, 3] - spend[:, 2] * log_unit
    return Windows(
        sets=tuple(sets),
        parents=parents,
        items=tuple(found.values()),
        parent_of=parent_of,
        set_of=np.tile(np.arange(len(sets)), len(days)),
        day_of=np.repeat(days, len(sets)),
        encoding=encoding,
        codes=cells,
        customers=customers,
        buyers=buyers,
        attributes=attributes,
        typical=attributes.reshape(len(days), len(sets), -1).mean(axis=0),
        names=tuple(raw[0]),
        center=center,
        scale=scale,
        spend=np.column_stack([spend[:, :3], sums, squares]),
        unit=unit,
    )


def standing_at(
    spec: Propensity, log: PurchaseLog, day: int, trained: PurchaseLog | None = None
) -> Standing:
    """Return how a log's customers stand at the close of a day, as a specification reads it.

    `trained` is the log that it was fitted to, None if this is it.
    """
    seen = visits(log, day, spec.lookback, spec.event_half_life, spec.event_weights)
    likes = _tastes(spec, log, day, log if trained is None else trained) if spec.factors else None
    return Standing.of(Lines.of(log), len(log.customers), day, spec.lookback, seen, likes)


@lru_cache(maxsize=8)
def _tastes(spec: Propensity, log: PurchaseLog, day: int, trained: PurchaseLog) -> Tastes:
    return _factors(spec, trained).at(log, day)


@lru_cache(maxsize=4)
def _factors(spec: Propensity, trained: PurchaseLog) -> Factors:
    return Factors.of(
        trained,
        min(as_of_days(spec, trained)),
        lookback=spec.lookback,
        level=spec.level,
        factors=spec.factors,
        min_buyers=spec.min_buyers,
    )


def as_of_days(spec: Propensity, log: PurchaseLog) -> list[int]:
    """Return the dates of training, the latest first: their outcomes don't overlap."""
    first = int(log.data["day"].min())
    days = [log.end - spec.horizon * (j + 1) for j in range(spec.dates)]
    if days[-1] <= first:
        raise SpecError(
            f"dates={spec.dates} of horizon={spec.horizon} days reach back beyond the log, which "
            f"covers {log.end - first + 1} days. Use fewer dates or a shorter horizon."
        )
    return days


def set_attributes(log: PurchaseLog, items: Array, lines: Lines, at: Standing) -> dict[str, float]:
    """Return what tells one product set from another at the close of a day.

    The share of customers who bought it in the look-back (log) and its price a line (log), NaN if
    it wasn't sold then, in whose place that of the mean set stands; whether it was sold; the number
    of its products (log); and the catalogue's attributes averaged over them.
    """
    recent = lines.between(at.day - at.lookback + 1, at.day)
    buyers = len(np.unique(recent.buyer))
    price = float(np.mean(np.log(recent.amount))) if buyers else np.nan
    share = (buyers or np.nan) / (at.known.sum() + 1.0)
    own = log.data["attribute_value"].to_numpy()[items].mean(axis=0)
    names = [str(a) for a in log.data["attribute"].to_numpy()]
    return {
        "popularity": float(np.log(share)),
        "price": price,
        "sold": float(buyers > 0),
        "products": float(np.log(len(items))),
        **dict(zip(names, own.tolist(), strict=True)),
    }


def _sets(spec: Propensity, log: PurchaseLog, day: int) -> dict[str, Array]:
    """Return the product sets of the level that had enough buyers by a day."""
    groups = log.groups(spec.level)
    lines = Lines.by_set(log, list(groups.values()))
    kept = {
        name: items
        for (name, items), part in zip(groups.items(), lines, strict=True)
        if len(np.unique(part.buyer[part.day <= day])) >= spec.min_buyers
    }
    if not kept:
        raise SpecError(f"min_buyers={spec.min_buyers}: none of {len(groups)} sets has as many.")
    return kept


def _parents(
    log: PurchaseLog, spec: Propensity, sets: dict[str, Array]
) -> tuple[tuple[str, ...], Array]:
    """Return the names of the next coarser groups, and that of each set."""
    level = log.parent_level(spec.level)
    if level is None:
        return ("all",), np.zeros(len(sets), dtype=int)
    own = [log.parent_name(items, level) for items in sets.values()]
    found, index = np.unique(np.array(own, dtype=object), return_inverse=True)
    return tuple(str(p) for p in found), index


def _encoding(spec: Propensity, standings: list[Standing], lines: list[Lines]) -> Encoding:
    """Return bins of the features, from customers at the training dates."""
    at = standings[0]
    tables = [at.features(part) for part in lines]
    own = Encoding.of({name: tables[0][name] for name in CUSTOMER_FEATURES}, spec.bins)
    names = [name for name in (*SET_FEATURES, *EVENT_FEATURES, TASTE) if name in tables[0]]
    columns = _unseen({name: np.concatenate([t[name] for t in tables]) for name in names})
    features = own.features
    for group, bins in (
        (SET_FEATURES, spec.set_bins),
        (EVENT_FEATURES, spec.event_bins),
        ((TASTE,), spec.taste_bins),
    ):
        # Where nobody looked, there is nothing to tell customers apart by.
        kept = {n: columns[n] for n in group if n in columns and _tells(columns[n])}
        features += Encoding.of(kept, bins).features
    return Encoding(features)


def _tells(column: Array) -> bool:
    """Return whether a feature has two values, one of which may be that it is missing."""
    missing = np.isnan(column)
    return not missing.all() and bool(missing.any() or (column != column[0]).any())


def _unseen(features: dict[str, Array]) -> dict[str, Array]:
    """Return features with those of who never bought of, or looked at, the set as missing.

    Frequency 0 and recency "never" are the same customers; the latter says it.
    """
    seen = features["set frequency"] > 0
    return {
        **features,
        "set frequency": np.where(seen, features["set frequency"], 1.0),
        "set recency": np.where(seen, features["set recency"], np.nan),
        **{n: np.where(v > 0, v, np.nan) for n, v in features.items() if n in EVENT_FEATURES},
    }


def encode(encoding: Encoding, features: dict[str, Array]) -> Array:
    """Return the codes of customers (customer, feature)."""
    problems = Problems()
    codes = encoding.encode(_unseen(features), problems)
    problems.raise_if_any()
    return codes


def _counts(
    spec: Propensity, standings: list[Standing], lines: list[Lines], encoding: Encoding
) -> tuple[Array, Array, Array, list[Array]]:
    """Return cells, customers and buyers (cell, window), and rows of spend of each window."""
    levels = [len(f.levels) for f in encoding.features]
    size = int(np.prod(levels))
    customers, buyers, spends = [], [], []
    for at, part in _pairs(standings, lines):
        codes = encode(encoding, at.features(part))
        cell = np.ravel_multi_index(tuple(codes.T.astype(np.int64)), levels)
        bought, spent = at.outcomes(part, spec.horizon)
        customers.append(np.bincount(cell, minlength=size))
        buyers.append(np.bincount(cell[bought], minlength=size))
        log = np.log(spent[bought])
        sums = [np.bincount(cell[bought], w, minlength=size) for w in (log, log**2)]
        rows = np.flatnonzero(buyers[-1])
        window = np.full(len(rows), len(buyers) - 1)
        spends.append(
            np.column_stack([rows, window, buyers[-1][rows], sums[0][rows], sums[1][rows]])
        )
    n, k = np.stack(customers, 1), np.stack(buyers, 1)
    used = np.flatnonzero(n.sum(axis=1))
    position = np.full(size, -1)
    position[used] = np.arange(len(used))
    for rows in spends:
        rows[:, 0] = position[rows[:, 0].astype(int)]
    codes = np.stack(np.unravel_index(used, levels), axis=1)
    return codes, n[used], k[used], spends


def _pairs(standings: list[Standing], lines: list[Lines]) -> Iterator[tuple[Standing, Lines]]:
    for at in standings:
        for part in lines:
            yield at, part
