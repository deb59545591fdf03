"""A simulated market: regions, weeks, prices, and what would be sold without media."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_mkt import seeds
from bayes_mkt.errors import SpecError
from bayes_mkt.simulate.spend import DAYS_A_YEAR, STREAM, ar1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Baseline", "Ground", "baseline", "ground"]

SALES_A_HEAD = 0.2
FLOOR = 0.3
CHANNELS = ("tv", "search", "social", "video", "radio", "display", "print", "outdoor")
CONTROLS = ("competitor_activity", "consumer_sentiment", "temperature", "distribution")


@dataclass(frozen=True)
class Ground:
    """Who and when: names, population, prices, and which region-weeks are observed."""

    regions: tuple[str, ...]
    dates: pd.DatetimeIndex
    channels: tuple[str, ...]
    controls: tuple[str, ...]
    population: Array
    price: Array
    observed: NDArray[np.bool_]

    @property
    def day(self) -> Array:
        """Days since the first week."""
        return np.asarray((self.dates - self.dates[0]).days, dtype=np.float64)


@dataclass(frozen=True)
class Baseline:
    """Expected sales a head without media, (region, week), and the controls behind them."""

    demand: Array
    controls: Array
    effect: Array
    effect_by_region: Array
    effect_sd: Array


def _names(known: tuple[str, ...], count: int, stem: str) -> tuple[str, ...]:
    return tuple(known[i] if i < len(known) else f"{stem}_{i + 1}" for i in range(count))


def ground(
    seed: int, sizes: tuple[int, int, int, int], missing: float, spread: float, start: str
) -> Ground:
    """Draw population, prices and gaps for `sizes`: regions, weeks, channels, controls.

    Population is log-normal about 500,000; revenue per sale is near 5, with a level by
    region (SD 5 %) and an AR(1) path (SD 2 %).
    """
    regions, weeks, channels, controls = sizes
    rng = seeds.generator(seed, STREAM + "ground")
    width = max(2, len(str(regions)))
    heads = 500_000 * np.exp(spread * rng.normal(size=regions))
    level = 5.0 * np.exp(rng.normal(0.0, 0.05, size=(regions, 1)))
    path = np.exp(0.02 * ar1(rng, (regions,), weeks, 0.9))
    return Ground(
        regions=tuple(f"region_{g + 1:0{width}d}" for g in range(regions)),
        dates=pd.date_range(start, periods=weeks, freq="7D", unit="ns"),
        channels=_names(CHANNELS, channels, "channel"),
        controls=_names(CONTROLS, controls, "control"),
        population=np.maximum(np.round(heads), 1_000.0),
        price=np.round(level * path, 4),
        observed=_observed(seed, regions, weeks, missing),
    )


def _observed(seed: int, regions: int, weeks: int, missing: float) -> NDArray[np.bool_]:
    """Return which region-weeks have a row: in each week a region, in each region two weeks."""
    rng = seeds.generator(seed, STREAM + "missing")
    order = rng.uniform(size=(regions, weeks))
    kept = np.zeros((regions, weeks), dtype=bool)
    kept[order.argmax(axis=0), np.arange(weeks)] = True
    kept[np.arange(regions)[:, None], np.argsort(order, axis=1)[:, -2:]] = True
    drop = round(missing * regions * weeks)
    if drop > (~kept).sum():
        raise SpecError(
            f"missing={missing} empties some week, or leaves a region one: at most "
            f"{(~kept).sum()} of {regions * weeks} region-weeks can be missing here."
        )
    rank = np.where(kept, np.inf, order).ravel().argsort()
    observed = np.ones(regions * weeks, dtype=bool)
    observed[rank[:drop]] = False
    return observed.reshape(regions, weeks)


def baseline(seed: int, place: Ground, trend: float) -> Baseline:
    """Draw the baseline a head: intercepts, trend, season and controls about 0.2 a week.

    The parts are shrunk by one common factor where the lowest region-week would fall
    under 30 % of the level.
    """
    rng = seeds.generator(seed, STREAM + "baseline")
    regions, weeks = place.observed.shape
    count = len(place.controls)
    several = float(regions > 1)
    intercept = several * rng.normal(0.0, 0.12, size=(regions, 1))
    angle = 2 * np.pi * place.day[:, None] * np.array([1.0, 2.0]) / DAYS_A_YEAR
    waves = rng.normal(0.0, [0.06, 0.02], size=(2, 2))
    season = np.cos(angle) @ waves[0] + np.sin(angle) @ waves[1]
    growth = trend * np.linspace(-0.5, 0.5, weeks)
    raw = np.sqrt(0.5) * (ar1(rng, (1, count), weeks, 0.8) + ar1(rng, (regions, count), weeks, 0.6))
    values = 50.0 + 10.0 * np.moveaxis(raw, 2, 1)
    seen = values[place.observed]
    standard = (values - seen.mean(axis=0)) / seen.std(axis=0)
    effect = rng.normal(0.0, 0.04, size=count)
    spread = several * np.abs(rng.normal(0.0, 0.015, size=count))
    by_region = effect + spread * rng.normal(size=(regions, count))
    moves = intercept + season + growth + np.einsum("gtc,gc->gt", standard, by_region)
    lowest = float(moves.min())
    shrink = min(1.0, (FLOOR - 1.0) / lowest) if lowest < 0 else 1.0
    unit = SALES_A_HEAD * shrink
    return Baseline(
        demand=SALES_A_HEAD + unit * moves,
        controls=values,
        effect=unit * effect,
        effect_by_region=unit * by_region,
        effect_sd=unit * spread,
    )
