"""Contacts made while customers wait: stretches of time in which one may act, by its timing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.spells import CONTACT_END, CONTACT_MARKS, Episodes, Spells
from bayes_mkt.dims import FEATURE
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import counted, listed
from bayes_mkt.transactions import CUSTOMER, DAY, FIRST_DAY, Transactions, collect

__all__ = ["Contacts", "Timing"]

Array = NDArray[Any]
PREFIX: Final = "contact="


@dataclass(frozen=True, eq=False)
class Contacts:
    """Contacts to read with a log: who was contacted when, and whether that was left to chance.

    A contact at the wait c acts in (c, c + reach], with an effect that depends on c: one covariate
    for each range of waits, 1 while a contact made in that range acts. A purchase on the day of the
    contact counts as before it.

    Parameters
    ----------
    frame
        One row for each contact, with the log's `customer` and `date` columns. Contacts before the
        first purchase and after the wait are left out. One contact for each wait.
    timing
        Ends of the ranges of waits, ascending, in the data's unit. A contact on the day of the
        first purchase belongs to the first range.
    reach
        How long a contact may act, in the data's unit.
    randomised
        Whether chance alone decided who was contacted when, among those who hadn't bought by then.
        Only then does `contact_effect` answer.

    Examples
    --------
    >>> Contacts(None, timing=(7, 28)).names
    ('contact=0-7', 'contact=8-28')
    """

    frame: object
    timing: Sequence[float]
    reach: float = 14.0
    randomised: bool = False

    def __post_init__(self) -> None:
        ends = np.asarray(self.timing, dtype=float)
        if ends.ndim != 1 or not len(ends) or ends[0] <= 0 or np.any(np.diff(ends) <= 0):
            raise SpecError(f"timing={self.timing!r} must be ascending ends > 0.")
        if not self.reach > 0:
            raise SpecError(f"reach={self.reach!r} must be > 0.")

    @property
    def ends(self) -> Array:
        """Ends of the ranges of waits."""
        return np.asarray(self.timing, dtype=float)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the covariates."""
        lows = [0.0, *(self.ends[:-1] + 1.0)]
        return tuple(f"{PREFIX}{a:g}-{b:g}" for a, b in zip(lows, self.ends.tolist(), strict=True))

    def waits(self, log: Transactions, people: pd.DataFrame, stop: Array, step: int) -> pd.Series:
        """Return the wait at which each customer is contacted, by label; infinite for none.

        Raises
        ------
        DataError
            If a customer has several contacts in a wait, or one later than the last range.
        """
        days = collect(log.purchase_days(), order=(CUSTOMER, DAY))
        position = pd.Series(np.arange(len(people)), index=people[CUSTOMER])
        days = days[days[CUSTOMER].isin(position.index)]
        row = position.loc[days[CUSTOMER]].to_numpy()
        since = days[DAY].to_numpy(dtype=float) - people[FIRST_DAY].to_numpy(dtype=float)[row]
        wait = np.ceil(since / step)
        inside = (since >= 0) & (wait < stop[row])
        row, wait = row[inside], wait[inside]
        count = np.bincount(row, minlength=len(people))
        if (count > 1).any():
            who = listed(repr(str(c)) for c in people[CUSTOMER][count > 1])
            raise DataError(
                f"{counted(int((count > 1).sum()), 'customer has', 'customers have')} several "
                f"contacts in one wait: {who}. Keep the first of each."
            )
        late = wait > self.ends[-1]
        if late.any():
            raise DataError(
                f"{counted(int(late.sum()), 'contact was', 'contacts were')} made up to "
                f"{wait.max():g} after the first purchase, later than the last range of "
                f"timing={tuple(self.timing)!r}. Add a range."
            )
        out = np.full(len(people), np.inf)
        out[row] = wait
        return pd.Series(out, index=people[CUSTOMER].astype(str).to_numpy(dtype=object))

    def split(self, episodes: Episodes, waits: pd.Series) -> Episodes:
        """Return episodes cut where a contact begins and ends to act, with its covariates.

        Parameters
        ----------
        episodes
            In order of customer and time.
        waits
            Wait of the contact by customer, infinite for none.

        Raises
        ------
        DataError
            If no contact was made in a range.
        """
        contact = waits.reindex(episodes.customer).to_numpy(dtype=float)
        begin, end = episodes.entry, episodes.duration
        over = contact + self.reach
        stages = [
            (begin, np.minimum(end, contact)),
            (np.maximum(begin, contact), np.minimum(end, over)),
            (np.maximum(begin, over), end),
        ]
        starts, stops = (np.stack(side, axis=1) for side in zip(*stages, strict=True))
        kept = starts < stops
        kept[:, 0] |= begin == end  # nobody's time, but the customer counts
        which, stage = np.nonzero(kept)
        stops[:, 0] = np.where(begin == end, end, stops[:, 0])
        starts[:, 0] = begin
        final = stops[which, stage] == end[which]
        acting = (stage == 1)[:, None] & (
            np.searchsorted(self.ends, contact[which])[:, None] == np.arange(len(self.ends))
        )
        absent = [n for n, used in zip(self.names, acting.any(axis=0), strict=True) if not used]
        if absent:
            raise DataError(
                f"No contact acts on anyone at risk in {listed(map(repr, absent))}: nothing can be "
                "learned of it. Widen the ranges of timing=."
            )
        return Episodes(
            market=episodes.market[which],
            features=np.concatenate([episodes.features[which], acting.astype(float)], axis=1),
            entry=starts[which, stage],
            duration=stops[which, stage],
            event=np.where(final, episodes.event[which], 0),
            last=episodes.last[which] & final,
            customer=episodes.customer[which],
            elapsed=episodes.elapsed[which],
        )

    def marked(self, data: xr.Dataset) -> xr.Dataset:
        """Return the dataset of spells with what it needs to know of the contacts."""
        known = dict(zip(self.names, self.ends.tolist(), strict=True))
        ends = [known.get(str(name), np.nan) for name in data[FEATURE].values]
        marks = dict(zip(CONTACT_MARKS, (float(self.reach), int(self.randomised)), strict=True))
        return data.assign_coords({CONTACT_END: (FEATURE, ends)}).assign_attrs(marks)


@dataclass(frozen=True)
class Timing:
    """What spells know of contacts.

    Attributes
    ----------
    columns
        Positions of the contacts' covariates (range,).
    ends
        Ends of the ranges of waits (range,).
    reach
        How long a contact may act.
    randomised
        Whether chance decided on contacts.
    """

    columns: Array
    ends: Array
    reach: float
    randomised: bool

    @classmethod
    def of(cls, data: Spells) -> Timing | None:
        """Return it, None where the data have no contacts."""
        if CONTACT_END not in data.data.coords:
            return None
        ends = data.data[CONTACT_END].values
        columns = np.flatnonzero(np.isfinite(ends))
        reach, randomised = (data.data.attrs[name] for name in CONTACT_MARKS)
        return cls(columns, ends[columns], float(reach), bool(randomised))

    def range_of(self, waits: Array) -> Array:
        """Return the range in which each wait lies."""
        return np.searchsorted(self.ends, waits)
