"""Numbers as text: significant digits that the uncertainty supports, thousands separated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

__all__ = [
    "common_decimals",
    "every",
    "label_text",
    "number",
    "probability",
    "short",
    "shorten",
    "supported_decimals",
    "tick",
]

MINUS: Final = "\N{MINUS SIGN}"
NOT_AVAILABLE: Final = "n/a"
SCALES: Final = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def supported_decimals(sd: float, digits: int = 2) -> int | None:
    """Return how many decimals leave `digits` significant digits in `sd`; None if sd is 0 or NaN.

    Negative counts round to tens, hundreds and so on.

    Examples
    --------
    >>> supported_decimals(0.843), supported_decimals(45_321.0), supported_decimals(0.0)
    (2, -3, None)
    """
    if not math.isfinite(sd) or sd <= 0.0:
        return None
    return digits - 1 - math.floor(math.log10(sd))


def common_decimals(sds: Sequence[float]) -> list[int | None]:
    """Return decimals for the rows of one table: alike where their spreads are of like size.

    A row within one digit of the middle row takes its decimals; others keep their own.

    Examples
    --------
    >>> common_decimals([0.09, 0.31, 0.62, 1.4, 5_000.0])
    [2, 2, 2, 2, -2]
    """
    own = [supported_decimals(sd) for sd in sds]
    known = sorted(d for d in own if d is not None)
    if not known:
        return own
    middle = known[len(known) // 2]
    return [middle if d is not None and abs(d - middle) <= 1 else d for d in own]


def number(value: float, decimals: int | None = None) -> str:
    """Return `value` with separated thousands, rounded to `decimals` or to 3 significant digits.

    Parameters
    ----------
    value
        Any number; NaN gives ``n/a``.
    decimals
        Decimals to show; negative ones round to tens, hundreds, ...; None chooses them
        so that 3 significant digits remain.

    Examples
    --------
    >>> number(1_234_567.0, -3), number(3.65123, 2), number(0.000123456), number(float("nan"))
    ('1,235,000', '3.65', '0.000123', 'n/a')
    """
    if math.isnan(value):
        return NOT_AVAILABLE
    if math.isinf(value):
        return "infinite" if value > 0 else f"{MINUS}infinite"
    if decimals is None:
        decimals = supported_decimals(abs(value), 3)
        if decimals is None:
            return "0"
    if decimals > 6 and value != 0.0:
        text = f"{value:.2e}"
    else:
        rounded = round(value, decimals) + 0.0
        text = f"{rounded:,.{min(max(decimals, 0), 6)}f}"
    return text.replace("-", MINUS)


def every(period: str) -> str:
    """Return in words how far apart the dates of a panel are.

    Examples
    --------
    >>> every("7D"), every("ME"), every("14D")
    ('weekly', 'monthly', 'every 14 days')
    """
    known = {"D": "daily", "7D": "weekly", "MS": "monthly", "ME": "monthly"}
    days = period.removesuffix("D")
    return known.get(period, f"every {days} days" if days.isdigit() else f"by {period}")


def probability(value: float, draws: int = 1000) -> str:
    """Return a probability in percent; one that the draws cannot tell from 0 or 1 as a bound.

    Parameters
    ----------
    value
        A share of draws.
    draws
        How many draws there are; the bound is one in so many, and at least 0.1%.

    Examples
    --------
    >>> probability(0.9234), probability(1.0), probability(0.0004), probability(1.0, draws=200)
    ('92.3%', '>99.9%', '<0.1%', '>99.5%')
    """
    if math.isnan(value):
        return NOT_AVAILABLE
    least = max(0.001, 1.0 / draws)
    if value > 1.0 - least:
        return f">{100.0 * (1.0 - least):.4g}%"
    if value < least:
        return f"<{100.0 * least:.4g}%"
    return f"{100.0 * value:.1f}%"


def tick(value: float, _position: int | None = None) -> str:
    """Return a short axis label such as ``1.25M``; usable as a Matplotlib tick formatter.

    Examples
    --------
    >>> tick(1_250_000), tick(45_000), tick(0.25), tick(-3.0)
    ('1.25M', '45k', '0.25', '−3')
    """
    for scale, suffix in SCALES:
        if abs(value) >= scale * 0.99999:
            return f"{value / scale:.4g}{suffix}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def short(value: float, decimals: int | None = None) -> str:
    """Return `value` for a narrow place: as `number` up to 10,000, then as ``1.24M``.

    Examples
    --------
    >>> short(1_401_000.0), short(3.65123, 2), short(48_210.0)
    ('1.40M', '3.65', '48.2k')
    """
    if not math.isfinite(value) or abs(value) < 10_000.0:
        return number(value, decimals)
    rounded = float(f"{value:.3g}")
    scale, suffix = next(pair for pair in SCALES if abs(rounded) >= pair[0])
    return f"{rounded / scale:#.3g}".rstrip(".").replace("-", MINUS) + suffix


def shorten(text: str, width: int) -> str:
    """Return `text` on one line and at most `width` characters long, with an ellipsis if cut.

    Examples
    --------
    >>> shorten("a very long channel name", 12)
    'a very long…'
    """
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1].rstrip() + "…"


def label_text(value: object) -> str:
    """Return a coordinate value as text: dates as ISO days, floats without needless digits."""
    if isinstance(value, pd.Timestamp | np.datetime64):
        text = str(pd.Timestamp(value))
        return NOT_AVAILABLE if text == "NaT" else text.removesuffix(" 00:00:00")
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return str(value)
