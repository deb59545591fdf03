"""Experiments: what a test of a channel measured, and what the model says it should have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.estimand import Estimand

if TYPE_CHECKING:
    from bayes_mkt.media_mix.panel import MediaPanel


@dataclass(frozen=True, kw_only=True)
class LiftTest:
    """A measured lift: sales with the media that ran, less sales had spend not been changed.

    The lift enters the likelihood of `MediaMix(lift_tests=...)`,

        lift ~ N( sum_gt E[sales_gt | media that ran] - E[sales_gt | without the change], se ),

    through the channel's adstock, its saturation, and the effects in the treated regions.

    Parameters
    ----------
    channel
        The channel tested.
    regions
        The treated regions; None means all.
    start, end
        First and last date, both included, of the periods in which spend was changed.
    spend_change
        Spend that ran in these regions and periods less what would have run otherwise, in the
        panel's currency (in units of exposure for a channel without spend): negative where the
        channel was cut. Where it ran, the change is in proportion to what ran; where nothing
        did, what was cut is spread by population.
    lift
        Sales measured in these regions because of the change, in units of the panel's sales.
    se
        Its standard error, > 0.
    outcome_end
        Last date on which sales were counted; None (default) is `end`, so that carry-over
        beyond the test is left out on both sides.
    name
        Label of the test; by default the channel and `start`.

    Notes
    -----
    The panel's media are those that ran: the change is in them. Assumed: the test itself was
    sound, and its sales, where they are also in the panel, are counted by both terms of the
    likelihood (the panel's noise makes little of that).

    Examples
    --------
    >>> LiftTest(channel="tv", start="2024-03-04", end="2024-03-25", spend_change=5e4,
    ...     lift=1200.0, se=300.0).label
    'tv 2024-03-04'
    """

    channel: str
    start: str
    end: str
    spend_change: float
    lift: float
    se: float
    regions: Sequence[str] | None = None
    outcome_end: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for field in ("spend_change", "lift", "se"):
            value = getattr(self, field)
            if isinstance(value, (bool, str)) or not np.isfinite(value):
                raise SpecError(f"LiftTest {self.label}: {field}={value!r} must be a number.")
        if not self.se > 0:
            raise SpecError(f"LiftTest {self.label}: se={self.se!r} must be > 0.")
        if self.spend_change == 0:
            raise SpecError(f"LiftTest {self.label}: spend_change=0 tests nothing.")
        if self.regions is not None:
            names = (self.regions,) if isinstance(self.regions, str) else tuple(self.regions)
            object.__setattr__(self, "regions", names)

    @property
    def label(self) -> str:
        """Return the name of the test."""
        return self.name or f"{self.channel} {self.start}"

    @property
    def estimand(self) -> Estimand:
        """Return which media are changed and which sales are counted."""
        return Estimand(
            spend_window=(self.start, self.end),
            outcome_window=(self.start, self.outcome_end or self.end),
            regions=self.regions,
            channels=(self.channel,),
        )

    def otherwise(self, panel: MediaPanel) -> tuple[np.ndarray, np.ndarray]:
        """Return what would have run without the change, and where sales are counted.

        Returns
        -------
        exposure
            (region, date) of the channel.
        counted
            (region, date), bool.

        Raises
        ------
        SpecError
            If a name or date isn't in the panel, no sales are observed there, or more was added
            than ran.
        """
        try:
            question = self.estimand.resolve(panel, 0)
        except SpecError as error:
            raise SpecError(f"LiftTest {self.label}: {error}") from error
        place = panel.channels.index(self.channel)
        exposure = panel.data["exposure"].to_numpy()[:, :, place]
        paid = self.channel in panel.paid_channels
        media = panel.data["spend"].to_numpy()[:, :, place] if paid else exposure
        changed = question.changed
        if not question.counted.any():
            raise SpecError(
                f"LiftTest {self.label}: no sales are observed in its regions and dates."
            )
        ran = float(media[changed].sum())
        if self.spend_change > ran * (1.0 + 1e-9):
            raise SpecError(
                f"LiftTest {self.label}: spend_change={self.spend_change:g} is more than the "
                f"{ran:g} that ran there. Give the change in the panel's currency, and a panel "
                "whose media hold it."
            )
        out = exposure.copy()
        if ran > 0:
            out[changed] *= 1.0 - self.spend_change / ran
            return out, question.counted
        if "population" in panel.data:
            heads = panel.data["population"].to_numpy()[:, None]
        else:
            heads = np.ones((len(panel.regions), 1))
        share = np.where(changed, heads, 0.0)
        # What a unit of exposure costs elsewhere in the panel.
        price = float(media.sum() / exposure.sum())
        return out - self.spend_change / price * share / share.sum(), question.counted


def known_tests(tests: Sequence[LiftTest], part: MediaPanel, whole: MediaPanel) -> list[LiftTest]:
    """Return the tests that part of a panel can hold: all of their regions, dates and sales.

    Parameters
    ----------
    tests
        Of a model of `whole`.
    part
        Some regions or dates of it.
    whole
        The panel.
    """
    first, last = (str(part.dates[i].date()) for i in (0, -1))
    return [
        test
        for test in tests
        if set(test.regions or whole.regions) <= set(part.regions)
        and str(test.start) >= first
        and str(max(test.end, test.outcome_end or test.end)) <= last
    ]
