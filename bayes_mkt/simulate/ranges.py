"""What a simulated panel may be asked for."""

from __future__ import annotations

from bayes_mkt.errors import SpecError

__all__ = ["check_shares", "check_sizes"]


def check_sizes(regions: int, weeks: int, channels: int, controls: int, max_lag: int) -> None:
    """Raise `SpecError` for a size that is no whole number, or too small."""
    least = {"regions": 1, "weeks": 2, "channels": 1, "controls": 0, "max_lag": 0}
    given = {
        "regions": regions,
        "weeks": weeks,
        "channels": channels,
        "controls": controls,
        "max_lag": max_lag,
    }
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least[name]:
            raise SpecError(f"{name}={value!r} must be a whole number >= {least[name]}.")


def check_shares(
    slope: float,
    missing: float,
    confounding: float,
    noise: float,
    spend_share: float,
    effect_spread: float,
    population_spread: float,
    trend: float,
) -> None:
    """Raise `SpecError` for a number out of its range."""
    limits: dict[str, tuple[float, float, float]] = {
        "slope": (slope, 0.1, 10.0),
        "missing": (missing, 0.0, 0.9),
        "confounding": (confounding, 0.0, 3.0),
        "noise": (noise, 0.0, 1.0),
        "spend_share": (spend_share, 1e-4, 1.0),
        "effect_spread": (effect_spread, 0.0, 2.0),
        "population_spread": (population_spread, 0.0, 3.0),
        "trend": (trend, -0.5, 2.0),
    }
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise SpecError(f"{name}={value!r} must lie between {low} and {high}.")
