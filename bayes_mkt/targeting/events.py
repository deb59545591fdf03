"""What customers looked at, as of a day: browsing events, weighted by how long ago they were.

An event of a group of products is spread evenly over its products. Of a product set S, with P the
group of the next coarser level that it lies in (all products without one), a customer's features
at the close of day t are

    set visits = sum over events of n w 2^(-(t - day) / half_life) |T n S| / |T|,
    near visits, the same with P less S in place of S,

over the events of the look-back up to t: n on a day of a kind with weight w, T their products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bayes_mkt.days import to_date
from bayes_mkt.dims import CUSTOMER, PRODUCT
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import counted, listed
from bayes_mkt.transactions import DAY, Transactions, collect

if TYPE_CHECKING:
    from bayes_mkt.targeting.log import PurchaseLog

__all__ = [
    "EVENT_FEATURES",
    "check_events",
    "check_same_events",
    "read_events",
    "shares",
    "visits",
]

Array = NDArray[Any]
EVENT = "event"
KIND = "kind"
EVENT_FEATURES = ("set visits", "near visits")
ANY = "event"  # the kind of all events where no column names kinds


def read_events(
    frame: object,
    log: PurchaseLog,
    *,
    customer: str,
    date: str,
    of: str,
    kind: str | None,
    level: str,
) -> xr.Dataset:
    """Return a log's dataset with the events up to its end, counted on the frame's own engine.

    Parameters
    ----------
    frame
        One row for each event.
    log
        Of the purchases, whose customers and products count; others' events are left out.
    customer, date, of, kind
        Columns of the frame.
    level
        What `of` names: `"product"`, or a level of the catalogue.

    Raises
    ------
    DataError
        If the events can't be read, or are of products or groups that aren't known.
    """
    if kind == of:
        raise SpecError(f"event_kind={kind!r} is the column of what was looked at.")
    names = [of] if kind is None else [of, kind]
    table = Transactions.from_frame(frame, customer=customer, date=date, keep=names)
    keys = [CUSTOMER, DAY, *names]
    counts = table.between(None, to_date(log.end)).group_by(*keys).agg(visits=nw.len())
    found = collect(counts, order=keys)
    if found[names].isna().to_numpy().any():
        raise DataError([f"Events have rows without a value in {listed(map(repr, names))}."])
    known = {name: i for i, name in enumerate(log.customers)}
    who = np.array([known.get(str(c), -1) for c in found[CUSTOMER]], dtype=np.int32)
    places = {name: i for i, name in enumerate(places_of(log, level))}
    what = [str(p) for p in found[of]]
    lacking = [repr(p) for p in dict.fromkeys(what) if p not in places]
    if lacking:
        where = "catalogue" if level != PRODUCT or log.levels else "log (give a catalogue=)"
        raise DataError(
            [f"Events are of {counted(len(lacking), level)} that the {where} lacks: "
             f"{listed(lacking)}. Add what is missing to it, or drop these rows."]
        )  # fmt: skip
    of_kind = [ANY] * len(found) if kind is None else [str(k) for k in found[kind]]
    kinds, which = np.unique(np.array(of_kind, dtype=object), return_inverse=True)
    kept = np.flatnonzero(who >= 0)
    variables = {
        "visitor": who,
        "visit_day": found[DAY].to_numpy(np.int32),
        "place": np.array([places[p] for p in what], dtype=np.int32),
        "visit_kind": which.astype(np.int32),
        "visits": found["visits"].to_numpy(float),
    }
    added = {name: (EVENT, values[kept]) for name, values in variables.items()}
    return log.data.assign(added).assign_coords({KIND: kinds}).assign_attrs(event_level=level)


def places_of(log: PurchaseLog, level: str) -> Array:
    """Return the names of what events may be of: products, or a level's groups, sorted."""
    return np.array(list(log.groups(level)), dtype=object)


def shares(log: PurchaseLog, items: Array, level: str | None) -> Array | None:
    """Return what share of each place's products is in a set, and near it (place, 2).

    None for a log without events.

    Parameters
    ----------
    items
        Positions of the set's products.
    level
        Of the sets of training; what is near is the rest of the next coarser level's group.
    """
    if EVENT not in log.data.dims:
        return None
    own = np.zeros(len(log.products))
    own[items] = 1.0
    near = np.zeros(len(log.products))
    if len(items):
        above = log.parent_level(level)
        if above is None:
            near[:] = 1.0
        else:
            groups = log.data["group"].to_numpy()[:, above]
            near[groups == log.parent_name(items, above)] = 1.0
        near[items] = 0.0
    parts = list(log.groups(log.data.attrs["event_level"]).values())
    sizes = np.array([len(part) for part in parts])
    inside = np.stack([own, near], axis=1)[np.concatenate(parts)]
    first = np.cumsum(sizes) - sizes
    return np.asarray(np.add.reduceat(inside, first) / sizes[:, None])


def visits(
    log: PurchaseLog, day: int, lookback: int, half_life: float, weights: Mapping[str, float]
) -> csr_array | None:
    """Return the weighted events of each customer and place as of a day (customer, place).

    Parameters
    ----------
    day
        The last day that is read.
    lookback
        Days up to `day` that are.
    half_life
        Days after which an event counts half.
    weights
        By kind; others count one.
    """
    data = log.data
    if EVENT not in data.dims:
        return None
    age = day - data["visit_day"].to_numpy()
    rows = np.flatnonzero((age >= 0) & (age < lookback))
    of_kind = np.array([weights.get(str(k), 1.0) for k in data[KIND].to_numpy()])
    value = data["visits"].to_numpy()[rows] * of_kind[data["visit_kind"].to_numpy()[rows]]
    value = value * 2.0 ** (-age[rows] / half_life)
    where = (data["visitor"].to_numpy()[rows], data["place"].to_numpy()[rows])
    size = (len(log.customers), len(log.groups(data.attrs["event_level"])))
    return csr_array((value, where), shape=size)


def check_same_events(trained: PurchaseLog, log: PurchaseLog) -> None:
    """Raise unless a log's events, read later, mean what those of the training did."""
    if EVENT not in trained.data.dims:
        return
    if EVENT not in log.data.dims:
        raise SpecError("The fit learned from browsing events: read the log with its events too.")
    levels = [each.data.attrs["event_level"] for each in (trained, log)]
    if levels[0] != levels[1]:
        raise SpecError(
            f"The fit learned from events of a {levels[0]}; the log's are of a {levels[1]}. Read "
            "both with the same event_of."
        )
    named = [each.data[KIND].to_numpy().tolist() != [ANY] for each in (trained, log)]
    if named[0] != named[1]:
        which = ("without", "with")
        raise SpecError(
            f"The fit learned from events {which[named[0]]} kinds; the log's were read "
            f"{which[named[1]]}. Read both with the same event_kind."
        )


def check_events(
    log: PurchaseLog, first: int, half_life: float, weights: Mapping[str, float]
) -> None:
    """Raise unless events suit a specification whose first training date is `first`.

    They have to begin two half-lives before it: where none were recorded, nobody seems to look.
    """
    if EVENT not in log.data.dims:
        if weights:
            raise SpecError("event_weights needs a log with events.")
        return
    kinds = [str(k) for k in log.data[KIND].to_numpy()]
    unknown = [repr(k) for k in weights if k not in kinds]
    if unknown:
        raise SpecError(
            f"event_weights names {listed(unknown)}; the events' kinds are {listed(kinds, 9)}."
        )
    days = log.data["visit_day"].to_numpy()
    if len(days) and days.min() > first - 2 * half_life:
        raise SpecError(
            f"Events begin {first - int(days.min())} days before the first training date, less "
            f"than two half-lives of {half_life:g} days. Use fewer dates, a shorter half-life, or "
            "events from further back."
        )
