"""What a counterfactual asks: which spend is changed, and which sales are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    from bayes_mkt.media_mix.panel import MediaPanel

Window = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Estimand:
    """The question behind an incremental-sales, ROI or mROI figure.

    Plan A is the panel's own media. Plan B is the same with the media of one channel changed
    inside the spend window: switched off (incremental sales, ROI) or multiplied (mROI, response
    curves). The answer is E[sales | A] - E[sales | B] in the outcome window.

    Parameters
    ----------
    spend_window
        First and last date, both included, of the periods in which media are changed; None
        (default) is the whole panel.
    outcome_window
        First and last date of the periods in which sales are counted. None (default) is the
        spend window and, with `carryover`, the adstock's `max_lag` periods after it.
    carryover
        Whether sales caused after the spend window by spend inside it count (default), as far
        as the panel reaches; used when `outcome_window` is None.
    carry_in
        Whether media before the spend window is changed too, so that sales inside the window
        caused by earlier spend count; spend is still summed over the spend window. Default
        False.
    regions, channels
        Names to which the question is limited; None means all.

    Notes
    -----
    Only observed region-weeks are counted, on both sides.

    Examples
    --------
    >>> Estimand(spend_window=("2024-01-01", "2024-03-31"))
    Estimand(spend_window=('2024-01-01', '2024-03-31'))
    """

    spend_window: Window | None = None
    outcome_window: Window | None = None
    carryover: bool = True
    carry_in: bool = False
    regions: Sequence[str] | None = None
    channels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("regions", "channels"):
            value = getattr(self, name)
            if value is not None:
                names = (value,) if isinstance(value, str) else tuple(value)
                if not names:
                    raise SpecError(f"Estimand {name}=() asks about nothing; None means all.")
                object.__setattr__(self, name, names)
        for name in ("spend_window", "outcome_window"):
            window = getattr(self, name)
            if window is None:
                continue
            if isinstance(window, str) or len(window) != 2:
                raise SpecError(f"{name}={window!r} must be two dates, the first and the last.")
            object.__setattr__(
                self, name, tuple(str(_date(name, bound).date()) for bound in window)
            )

    def __repr__(self) -> str:
        changed = [
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if value != type(self).__dataclass_fields__[name].default
        ]
        return f"Estimand({', '.join(changed)})"

    @classmethod
    def meridian(cls, window: Window | None = None) -> Estimand:
        """Return Meridian's convention: sales in a window, caused by media at any time before.

        Carry-in from earlier spend counts, carry-out doesn't; spend is that of the window.
        """
        return cls(spend_window=window, carryover=False, carry_in=True)

    @classmethod
    def pymc_marketing(cls, window: Window | None = None) -> Estimand:
        """Return pymc-marketing's convention: what spend in a window causes, in it and after it.

        Carry-out counts, carry-in from earlier spend doesn't. It is the default of this class.
        """
        return cls(spend_window=window, carryover=True, carry_in=False)

    def resolve(self, panel: MediaPanel, max_lag: int) -> Question:
        """Return the estimand as masks over the panel.

        Raises
        ------
        SpecError
            If a window holds no date of the panel, or a name isn't in it.
        """
        dates = panel.dates
        spend = _inside("spend_window", self.spend_window, dates)
        if self.outcome_window is not None:
            outcome = _inside("outcome_window", self.outcome_window, dates)
        else:
            outcome = spend.copy()
            if self.carryover:
                last = int(np.flatnonzero(spend)[-1])
                outcome[last : last + max_lag + 1] = True
        changed = spend.copy()
        if self.carry_in:
            changed[: int(np.flatnonzero(spend)[0])] = True
        region = _named("region", self.regions, panel.regions)
        return Question(
            changed=region[:, None] & changed,
            paid=region[:, None] & spend & panel.observed.to_numpy(),
            counted=region[:, None] & outcome & panel.observed.to_numpy(),
            regions=region,
            channels=_named("channel", self.channels, panel.channels),
        )

    def describe(self) -> str:
        """Return the question in a sentence."""
        spend = "the whole panel" if self.spend_window is None else " to ".join(self.spend_window)
        if self.outcome_window is not None:
            outcome = f"from {' to '.join(self.outcome_window)}"
        elif self.carryover:
            outcome = "in that window and after it, as far as carry-over reaches"
        else:
            outcome = "in that window only"
        also = ", and all media before it," if self.carry_in else ""
        where = "" if self.regions is None else f" in {', '.join(self.regions)}"
        return (
            f"Media{where} within {spend}{also} are compared with none at all, one channel at a "
            f"time; sales are counted {outcome}."
        )


@dataclass(frozen=True)
class Question:
    """An estimand on one panel.

    Attributes
    ----------
    changed
        (region, date): where media are changed.
    paid
        (region, date): where spend is summed.
    counted
        (region, date): where sales are counted.
    regions, channels
        (region,) and (channel,): which are asked about.
    """

    changed: np.ndarray
    paid: np.ndarray
    counted: np.ndarray
    regions: np.ndarray
    channels: np.ndarray


def _date(name: str, bound: str) -> pd.Timestamp:
    try:
        date = pd.Timestamp(bound)
        if not pd.isna(date):
            return date
    except (TypeError, ValueError):
        pass
    raise SpecError(f"{name}: {bound!r} is not a date. Write it as '2024-03-31'.")


def _inside(name: str, window: Window | None, dates: pd.DatetimeIndex) -> np.ndarray:
    """Return which dates lie in a window."""
    if window is None:
        return np.ones(len(dates), dtype=bool)
    first, last = (pd.Timestamp(bound) for bound in window)
    if first > last:
        raise SpecError(f"{name}={window!r} ends before it begins.")
    inside = np.asarray((dates >= first) & (dates <= last))
    if not inside.any():
        raise SpecError(
            f"{name}={window!r} holds no date of the panel, which runs from "
            f"{dates[0].date()} to {dates[-1].date()}."
        )
    return inside


def _named(what: str, names: Sequence[str] | None, known: tuple[str, ...]) -> np.ndarray:
    """Return which of `known` are named."""
    if names is None:
        return np.ones(len(known), dtype=bool)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SpecError(f"Estimand: no {what} {unknown[0]!r} in the panel; it has {list(known)}.")
    return np.asarray([name in names for name in known])
