"""Waits for a second purchase: when each customer is at risk, and how the wait ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.customers.buyers import OPT_OUT_DAY, SECOND_DAY
from bayes_mkt.customers.engagement import stretches
from bayes_mkt.customers.spells import Episodes
from bayes_mkt.days import Bound, day_number
from bayes_mkt.errors import DataError
from bayes_mkt.transactions import FIRST_DAY

Array = NDArray[Any]


@dataclass(frozen=True)
class Waits:
    """Waits of customers, in the unit of time, each (customer,).

    Attributes
    ----------
    entry, stop
        Where observation begins and ends.
    event
        0 for none, 1 for a second purchase, 2 for an opt-out.
    elapsed
        From the first purchase to the end of observation.
    first
        Day of the first purchase.
    seen
        Whether the customer counts.
    """

    entry: Array
    stop: Array
    event: Array
    elapsed: Array
    first: Array
    seen: Array

    @classmethod
    def of(cls, people: pd.DataFrame, last: int, step: int, observed_from: Bound | None) -> Waits:
        """Return the waits of people with their first, second and opt-out days (NaN for none)."""
        first = people[FIRST_DAY].to_numpy(dtype=float)
        second = people[SECOND_DAY].to_numpy(dtype=float)
        left = (
            people[OPT_OUT_DAY].to_numpy(dtype=float) if OPT_OUT_DAY in people else first * np.nan
        )
        elapsed = (last - first) / step
        follow = np.floor(elapsed)
        nothing = np.full(len(first), np.inf)
        bought = np.where(np.isnan(second), nothing, np.ceil((second - first) / step))
        opted = np.where(np.isnan(left), nothing, np.ceil((left - first) / step))
        # In a week of both the earlier day decides; on the same day, the purchase.
        earlier = left < np.where(np.isnan(second), np.inf, second)
        opted = np.where(earlier, opted, nothing)
        bought = np.where(np.isfinite(opted), nothing, bought)
        happened = np.minimum(bought, opted)
        event = np.where(happened <= follow, np.where(bought <= opted, 1, 2), 0)
        stop = np.minimum(happened, follow)
        entry = np.zeros(len(first))
        if observed_from is not None:
            since = day_number(observed_from, "observed_from")
            entry = np.maximum(np.ceil((since - 1 - first) / step), 0.0)
        seen = (entry < stop) | ((entry == 0) & (event == 0))
        return cls(entry, stop, event, elapsed, first, seen)

    def only_seen(self) -> Waits:
        """Return those that count.

        Raises
        ------
        DataError
            If none does.
        """
        if not self.seen.any():
            raise DataError("No customer has been at risk for a whole day. Check end= and dates.")
        return Waits(**{name: values[self.seen] for name, values in vars(self).items()})

    def episodes(
        self,
        market: Array,
        features: Array,
        flags: Sequence[Array],
        starts: Array,
        customer: pd.Series,
    ) -> Episodes:
        """Return waits cut where engagement changes."""
        if flags:
            who, interval, end = stretches(flags, starts, self.stop)
            begin = np.maximum(starts[interval], self.entry[who])
        else:
            who, end = np.arange(len(self.stop)), self.stop
            interval, begin = np.zeros(len(who), dtype=int), self.entry
        last = np.append(who[1:] != who[:-1], True)
        kept = (begin < end) | last
        changing = [flag[who, interval][:, None].astype(float) for flag in flags]
        names = customer.astype(str).to_numpy(dtype=object)
        parts = {
            "market": market[who],
            "features": np.concatenate([features[who], *changing], axis=1),
            "entry": begin,
            "duration": end,
            "event": np.where(last, self.event[who], 0),
            "last": last,
            "customer": names[who],
            "elapsed": self.elapsed[who],
        }
        return Episodes(**{name: values[kept] for name, values in parts.items()})
