"""How a simulated advertiser spends: flights, seasons, shocks, and a nose for demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_mkt import seeds

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ar1", "flights", "log_spend", "media_plan"]

STREAM = "simulate.media_mix."
FLIGHT_WEEKS = 8.0
DAYS_A_YEAR = 365.25


def ar1(
    rng: np.random.Generator, shape: tuple[int, ...], weeks: int, rho: float
) -> NDArray[np.float64]:
    """Return stationary AR(1) paths of unit variance, shape `shape` + (weeks,).

    ``x_0 ~ N(0, 1)``, ``x_t = rho x_{t-1} + sqrt(1 - rho^2) e_t``, ``e_t ~ N(0, 1)``.
    """
    path = rng.normal(size=(*shape, weeks))
    for t in range(1, weeks):
        path[..., t] = rho * path[..., t - 1] + np.sqrt(1 - rho**2) * path[..., t]
    return path


def flights(seed: int, observed: NDArray[np.bool_], channels: int) -> NDArray[np.bool_]:
    """Return when each channel is on, (region, week, channel), as a two-state Markov chain.

    A flight lasts eight weeks on average; the share of weeks on air is uniform on
    (0.5, 0.85) by channel. Every channel is on in at least one observed week of every
    region, and in none that is not observed.
    """
    rng = seeds.generator(seed, STREAM + "flights")
    regions, weeks = observed.shape
    share = rng.uniform(0.5, 0.85, size=channels)
    stop = 1.0 / FLIGHT_WEEKS
    start = stop * share / (1.0 - share)
    toss = rng.uniform(size=(regions, weeks, channels))
    on = np.empty((regions, weeks, channels), dtype=bool)
    on[:, 0] = toss[:, 0] < share
    for t in range(1, weeks):
        on[:, t] = toss[:, t] < np.where(on[:, t - 1], 1.0 - stop, start)
    lucky = rng.uniform(size=(regions, weeks, channels))
    on &= observed[:, :, None]
    best = np.where(observed[:, :, None], lucky, -1.0).argmax(axis=1)
    silent = ~on.any(axis=1)
    for g, m in zip(*np.nonzero(silent), strict=True):
        on[g, best[g, m], m] = True
    return on


def log_spend(
    seed: int,
    day: NDArray[np.float64],
    demand: NDArray[np.float64],
    channels: int,
    confounding: float,
) -> NDArray[np.float64]:
    """Return log spend a head while on air, (region, week, channel), up to a constant.

    The sum of a level by region and channel, a yearly season by channel, a national
    and a regional AR(1) path, and `confounding` times the standardised baseline
    demand a head, (region, week), of `demand`.
    """
    rng = seeds.generator(seed, STREAM + "spend")
    regions, weeks = demand.shape
    level = rng.normal(0.0, 0.25, size=(regions, 1, channels))
    national = 0.3 * ar1(rng, (channels,), weeks, 0.8).T
    regional = 0.5 * np.moveaxis(ar1(rng, (regions, channels), weeks, 0.7), 2, 1)
    height = rng.uniform(0.1, 0.4, size=channels)
    phase = rng.uniform(0.0, 2 * np.pi, size=channels)
    season = height * np.cos(2 * np.pi * day[:, None] / DAYS_A_YEAR - phase)
    spread = demand.std()
    pull = (demand - demand.mean()) / spread if spread > 0 else np.zeros_like(demand)
    return level + national + regional + season + confounding * pull[:, :, None]


def media_plan(
    seed: int,
    log_rate: NDArray[np.float64],
    on: NDArray[np.bool_],
    population: NDArray[np.float64],
    budget: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return spend and impressions, each (region, week, channel).

    `budget` is split over channels by a Dirichlet draw, then over region-weeks on air
    in proportion to population times ``exp(log_rate)``, and rounded to cents.
    Impressions are ``1000 spend / CPM``, the CPM uniform on (3, 20) by channel, with a
    log-normal error of 10 % for each region-week, rounded to whole impressions.
    """
    rng = seeds.generator(seed, STREAM + "budget")
    channels = on.shape[2]
    totals = budget * rng.dirichlet(np.full(channels, 6.0))
    raw = np.where(on, population[:, None, None] * np.exp(log_rate), 0.0)
    spend = np.round(raw * (totals / raw.sum(axis=(0, 1))), 2)
    spend = np.where(on, np.maximum(spend, 0.01), 0.0)
    cost = rng.uniform(3.0, 20.0, size=channels)
    error = rng.normal(0.0, 0.1, size=on.shape)
    impressions = np.round(1000.0 * spend / cost * np.exp(error))
    return spend, np.where(on, np.maximum(impressions, 1.0), 0.0)
