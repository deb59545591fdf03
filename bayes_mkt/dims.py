"""The dimension names, and who builds coordinates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bayes_mkt.errors import SpecError

CHAIN: Final = "chain"
DRAW: Final = "draw"
SAMPLE: Final = (CHAIN, DRAW)

REGION: Final = "region"
DATE: Final = "date"
CHANNEL: Final = "channel"
CONTROL: Final = "control"
LAG: Final = "lag"
CUSTOMER: Final = "customer"
MARKET: Final = "market"
FEATURE: Final = "feature"
PRODUCT: Final = "product"
CAMPAIGN: Final = "campaign"
ARM: Final = "arm"
SCENARIO: Final = "scenario"


def check_by(by: Iterable[str] | str, allowed: Iterable[str], what: str) -> tuple[str, ...]:
    """Return `by` as a tuple of dimensions, in the order of `allowed`.

    Parameters
    ----------
    by
        Dimensions that the caller wants to keep; a single name may stand alone.
    allowed
        Dimensions that the quantity has.
    what
        The quantity's name, for the message.

    Raises
    ------
    SpecError
        If `by` names a dimension that the quantity does not have, or one twice.

    Examples
    --------
    >>> check_by("channel", ("region", "channel"), "roi")
    ('channel',)
    """
    asked = (by,) if isinstance(by, str) else tuple(by)
    possible = tuple(allowed)
    unknown = [name for name in asked if name not in possible]
    if unknown:
        raise SpecError(
            f"by={asked!r}: {what} has no dimension {', '.join(map(repr, unknown))}. "
            f"Use any of {', '.join(map(repr, possible))}, or () for the total."
        )
    if len(set(asked)) != len(asked):
        raise SpecError(f"by={asked!r} names a dimension twice.")
    return tuple(name for name in possible if name in asked)
