"""Spells: how long customers went without an event, as covariate cells and counted rows.

A spell runs from an origin (a first purchase, a subscription's start) to an event or to the end of
observation. It is cut into episodes where covariates change; equal episodes are one row with a
count, so that rows grow with what differs between customers, not with customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import CUSTOMER, FEATURE, MARKET
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Problems, counted, listed

__all__ = ["Episodes", "Spells", "check_events", "crude_rate", "layout"]

Array = NDArray[Any]

CENSORED: Final = 0
CAUSE: Final = "cause"
CELL: Final = "cell"
INTERVAL: Final = "interval"
ROW: Final = "row"

CONTACT_END: Final = "contact_end"
CONTACT_MARKS: Final = ("contact_reach", "contacts_randomised")

VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "features": (CELL, FEATURE),
    "market_of_cell": (CELL,),
    "cell_of_row": (ROW,),
    "entry": (ROW,),
    "duration": (ROW,),
    "event": (ROW,),
    "count": (ROW,),
    "cell_of_customer": (CUSTOMER,),
    "elapsed": (CUSTOMER,),
}
_WHOLE: Final = {"market_of_cell", "cell_of_row", "event", "cell_of_customer"}


@dataclass(frozen=True)
class Episodes:
    """One entry for each episode: a stretch of a spell with constant covariates.

    Attributes
    ----------
    market
        Position of the market (n,).
    features
        Covariates (n, feature).
    entry, duration
        Where the episode begins and ends, counted from the spell's origin (n,).
    event
        0 where the episode ends without an event, else 1 + the position of its cause (n,).
    last
        Whether the spell ends with the episode (n,).
    customer
        Whose it is (n,).
    elapsed
        Time from the spell's origin to the end of observation (n,): the present, for a customer
        without an event so far.
    """

    market: Array
    features: Array
    entry: Array
    duration: Array
    event: Array
    last: Array
    customer: Array
    elapsed: Array


@dataclass(frozen=True, eq=False, repr=False)
class Spells:
    """What hazard models are fitted to; made by the readers of its final classes.

    Parameters
    ----------
    data
        Variables:

        - `features` (cell, feature): covariates as given, indicators for labels;
        - `market_of_cell` (cell), `cell_of_row` (row), `cell_of_customer` (customer): positions;
        - `entry`, `duration` (row): an episode's beginning and end since the spell's origin;
        - `event` (row): 0 for none, else 1 + the position of its cause;
        - `count` (row): how many customers' episodes are like this;
        - `elapsed` (customer): of customers without an event so far, the time since their origin.

        Coordinates `market`, `feature`, `kind` (feature: ``"number"`` or ``"indicator"``),
        `cause`, `customer`, and `interval`, the ends of the pieces on which hazards are constant.
        Attributes `unit` (of time), `resolution` (an event is known to lie in (duration -
        resolution, duration]; 0 means exactly at it) and `episodic` (1 where covariates change
        in a spell). With contacts: the coordinate `contact_end` (feature), up to which wait they
        were made, and the attributes `contact_reach` and `contacts_randomised`.

    Raises
    ------
    DataError
        If `data` isn't laid out like this.
    """

    data: xr.Dataset

    noun: ClassVar[str] = "spells"

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _tidy(self.data))

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Self:
        """Return what `to_dataset` stored."""
        return cls(dataset)

    def to_dataset(self) -> xr.Dataset:
        """Return the rows as a dataset that netCDF can hold."""
        return self.data.copy()

    @property
    def markets(self) -> tuple[str, ...]:
        """Names of the markets."""
        return tuple(str(name) for name in self.data[MARKET].values)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the covariates; a label's indicators are called ``column=level``."""
        return tuple(str(name) for name in self.data[FEATURE].values)

    @property
    def causes(self) -> tuple[str, ...]:
        """Names of the events; the first is the one of interest."""
        return tuple(str(name) for name in self.data[CAUSE].values)

    @property
    def cuts(self) -> Array:
        """Ends of the intervals on which the hazard is constant, (interval,)."""
        return np.asarray(self.data[INTERVAL].values, dtype=float)

    @property
    def unit(self) -> str:
        """Unit of time."""
        return str(self.data.attrs["unit"])

    @property
    def resolution(self) -> float:
        """How finely the time of an event is known; 0 means exactly."""
        return float(self.data.attrs["resolution"])

    @property
    def episodic(self) -> bool:
        """Whether covariates change within spells."""
        return bool(self.data.attrs["episodic"])

    @property
    def spells(self) -> int:
        """Number of spells: those with an event, and those that end without one."""
        return int(self.data.attrs["spells"])

    def events(self, cause: str | None = None) -> int:
        """Return the number of events of a cause, the first by default."""
        code = 1 if cause is None else 1 + self.causes.index(cause)
        data = self.data
        return int(data["count"].values[data["event"].values == code].sum())

    def only(self, cause: str) -> Self:
        """Return the spells with events of one cause; those of others count as censored.

        That is right for the hazard of the cause, which is conditional on nothing having happened
        yet. Survival computed from it alone is that of a world without the other causes.
        """
        if cause not in self.causes:
            raise SpecError(f"cause={cause!r}: choose from {', '.join(map(repr, self.causes))}.")
        event = (self.data["event"].values == 1 + self.causes.index(cause)).astype(np.int64)
        data = self.data.assign(event=(ROW, event)).isel({CAUSE: [self.causes.index(cause)]})
        return type(self)(data)

    def risk_table(self, by: Sequence[str] = (MARKET,)) -> xr.Dataset:
        """Return how many were at risk, and had each event, in each interval.

        Parameters
        ----------
        by
            ``("market",)`` or ``("cell",)``: cells are combinations of market and covariates.

        Returns
        -------
        Dataset
            `at_risk` (``*by, interval``): time at risk in the interval in units of its length,
            which counts customers where all were observed throughout; `events` (``*by, interval,
            cause``).
        """
        if tuple(by) not in ((MARKET,), (CELL,)):
            raise SpecError(f"by={tuple(by)!r}: choose ('market',) or ('cell',).")
        data, cuts = self.data, self.cuts
        cell = data["cell_of_row"].values
        group = cell if tuple(by) == (CELL,) else data["market_of_cell"].values[cell]
        count, event = data["count"].values, data["event"].values
        starts = np.concatenate([[0.0], cuts[:-1]])
        groups = data.sizes[by[0]]
        at_risk = np.zeros((groups, len(cuts)))
        events = np.zeros((groups, len(cuts), len(self.causes)))
        for k, (a, b) in enumerate(zip(starts, cuts, strict=True)):
            inside = np.minimum(data["duration"].values, b) - np.maximum(data["entry"].values, a)
            weights = count * np.clip(inside, 0.0, None) / (b - a)
            at_risk[:, k] = np.bincount(group, weights, minlength=groups)
        happened = event > 0
        piece = np.searchsorted(cuts, data["duration"].values[happened])
        np.add.at(events, (group[happened], piece, event[happened] - 1), count[happened])
        coords = {by[0]: data[by[0]].values} if by[0] in data.coords else {}
        return xr.Dataset(
            {
                "at_risk": ((by[0], INTERVAL), at_risk, {"units": "customers"}),
                "events": ((by[0], INTERVAL, CAUSE), events, {"units": "customers"}),
            },
            coords={**coords, INTERVAL: cuts, CAUSE: list(self.causes)},
        )

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same numbers under the same names."""
        if type(other) is not type(self) or not isinstance(other, Spells):
            return NotImplemented
        return bool(self.data.identical(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal spells share."""
        return hash((self.markets, self.features, self.causes, self.spells, self.events()))

    def __repr__(self) -> str:
        """Return sizes and events in one line."""
        parts = [
            f"{self.spells:,} {self.noun} in {counted(len(self.markets), 'market')}",
            f"{self.events():,} x {self.causes[0]}",
            counted(len(self.features), "covariate"),
            f"{self.data.sizes[ROW]:,} rows",
            f"intervals to {self.cuts[-1]:g} {self.unit}",
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


def check_events(data: Spells) -> None:
    """Raise `SpecError` unless the data have events, of one kind."""
    if len(data.causes) > 1:
        raise SpecError(
            f"The data have {len(data.causes)} kinds of events: {', '.join(data.causes)}. Fit "
            "CompetingRisks(), or data.only(cause), which counts the others as censored."
        )
    if data.events() == 0:
        raise SpecError(f"The data have no event {data.causes[0]!r}: there is nothing to fit.")


def crude_rate(data: Spells) -> float:
    """Return events per unit of time at risk."""
    rows = data.data
    stayed = (rows["count"].values * (rows["duration"].values - rows["entry"].values)).sum()
    return float(data.events() / stayed)


def layout(
    episodes: Episodes,
    *,
    markets: Sequence[str],
    features: Sequence[str],
    kinds: Sequence[str],
    causes: Sequence[str],
    cuts: Array,
    unit: str,
    resolution: float,
) -> xr.Dataset:
    """Return the dataset of `Spells`: equal episodes become one row with their count.

    Episodes are cut at the end of the last interval; those that lie beyond it are left out.
    """
    episodes, still = _within(episodes, float(cuts[-1]))
    cell, first = _groups([episodes.market, *episodes.features.T])
    keys = [cell, episodes.entry, episodes.duration, episodes.event]
    row, head = _groups(keys)
    kept = np.flatnonzero(still)
    spells = len(pd.unique(episodes.customer))
    variables = {
        "features": episodes.features[first],
        "market_of_cell": episodes.market[first],
        "cell_of_row": cell[head],
        "entry": episodes.entry[head],
        "duration": episodes.duration[head],
        "event": episodes.event[head],
        "count": np.bincount(row, minlength=len(head)).astype(float),
        "cell_of_customer": cell[kept],
        "elapsed": episodes.elapsed[kept],
    }
    return xr.Dataset(
        {name: (VARIABLES[name], values) for name, values in variables.items()},
        coords={
            MARKET: np.asarray(markets, dtype=np.str_),
            FEATURE: np.asarray(features, dtype=np.str_),
            "kind": (FEATURE, np.asarray(kinds, dtype=np.str_)),
            CAUSE: np.asarray(causes, dtype=np.str_),
            INTERVAL: np.asarray(cuts, dtype=float),
            CUSTOMER: np.asarray(episodes.customer[kept], dtype=np.str_),
        },
        attrs={
            "unit": unit,
            "resolution": float(resolution),
            "episodic": int(len(episodes.customer) != spells),
            "spells": spells,
        },
    )


def _within(episodes: Episodes, end: float) -> tuple[Episodes, Array]:
    """Return episodes up to `end`, and which of them are of customers without an event so far."""
    still = episodes.last & (episodes.event == CENSORED)
    inside = (episodes.entry < end) | (still & (episodes.entry == episodes.duration))
    cut = {
        "duration": np.minimum(episodes.duration, end),
        "event": np.where(episodes.duration > end, CENSORED, episodes.event),
    }
    parts = {**vars(episodes), **cut}
    kept = Episodes(**{name: values[inside] for name, values in parts.items()})
    return kept, still[inside]


def _groups(keys: Sequence[Array]) -> tuple[Array, Array]:
    """Return the group of each entry, and the first entry of each group, in order of keys."""
    frame = pd.DataFrame(dict(enumerate(keys)))
    group = frame.groupby(list(frame.columns), sort=True, dropna=False).ngroup().to_numpy()
    _, first = np.unique(group, return_index=True)
    return group, first


def _tidy(data: xr.Dataset) -> xr.Dataset:
    """Return the dataset with checked layout, plain types and read-only values."""
    absent = [name for name in VARIABLES if name not in data]
    lacking = [d for d in (MARKET, FEATURE, CAUSE, INTERVAL, "kind") if d not in data.coords]
    unnamed = [a for a in ("unit", "resolution", "episodic", "spells") if a not in data.attrs]
    for what, names in (("variable", absent), ("coordinate", lacking), ("attribute", unnamed)):
        if names:
            raise DataError(f"The dataset has no {what} {listed(map(repr, names))}.")
    variables = {}
    for name, dims in VARIABLES.items():
        kind = np.int64 if name in _WHOLE else np.float64
        values = np.array(data[name].transpose(*dims).values, dtype=kind)
        values.setflags(write=False)
        units = data.attrs["unit"] if name in ("entry", "duration", "elapsed") else "1"
        variables[name] = (dims, values, {"units": str(units)})
    coords: dict[str, Any] = {
        d: np.asarray(data[d].values, dtype=np.str_) for d in (MARKET, FEATURE, CAUSE, CUSTOMER)
    }
    coords["kind"] = (FEATURE, np.asarray(data["kind"].values, dtype=np.str_))
    coords[INTERVAL] = np.asarray(data[INTERVAL].values, dtype=float)
    if CONTACT_END in data.coords:
        coords[CONTACT_END] = (FEATURE, np.asarray(data[CONTACT_END].values, dtype=float))
    _check({name: values for name, (_, values, _) in variables.items()}, coords, data.attrs)
    attrs = {
        "unit": str(data.attrs["unit"]),
        "resolution": float(data.attrs["resolution"]),
        "episodic": int(data.attrs["episodic"]),
        "spells": int(data.attrs["spells"]),
        **{name: data.attrs[name] for name in CONTACT_MARKS if name in data.attrs},
    }
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _check(values: dict[str, Array], coords: dict[str, Any], attrs: dict[str, Any]) -> None:
    """Raise `DataError` for rows that no spell can have."""
    problems = Problems()
    entry, duration, event = values["entry"], values["duration"], values["event"]
    cuts = coords[INTERVAL]
    if not len(entry):
        problems.add("There is no spell: nobody was at risk within the intervals.")
    if not np.isfinite(values["features"]).all():
        problems.add("features must be finite.")
    if np.any((entry < 0) | (duration < entry) | ((duration == entry) & (event > 0))):
        problems.add("A row must have 0 <= entry <= duration, and an event needs entry < duration.")
    if np.any((event < 0) | (event > len(coords[CAUSE]))):
        problems.add("event must be 0, or 1 + the position of a cause.")
    if not len(cuts) or cuts[0] <= 0 or np.any(np.diff(cuts) <= 0):
        problems.add(f"interval must hold ascending ends > 0, but holds {cuts!r}.")
    elif np.any(duration > cuts[-1]):
        problems.add("A row ends after the last interval.")
    resolution = float(attrs["resolution"])
    if resolution > 0 and len(cuts):
        off = np.abs(cuts / resolution - np.round(cuts / resolution)) > 1e-9
        if off.any():
            problems.add(
                f"interval ends {listed(cuts[off])} are no multiples of the resolution "
                f"{resolution:g}, to which events are known. Use ends that are."
            )
        happened = duration[event > 0] / resolution
        if np.any(np.abs(happened - np.round(happened)) > 1e-9):
            problems.add(f"Durations to an event must be multiples of resolution={resolution:g}.")
    problems.raise_if_any()
