"""Regional sales with media whose effect is known.

The generator follows the equations of the hierarchical media-mix model in plain NumPy.
It shares no code with the model, so that recovering its truth tests the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayes_mkt import dims, seeds
from bayes_mkt.errors import SpecError
from bayes_mkt.simulate.market import Baseline, Ground, baseline, ground
from bayes_mkt.simulate.ranges import check_shares, check_sizes
from bayes_mkt.simulate.reach import Contacts, contacts
from bayes_mkt.simulate.spend import STREAM, flights, log_spend, media_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SimulatedPanel", "media_mix"]

CURRENCY = "EUR"


@dataclass(frozen=True)
class SimulatedPanel:
    """A simulated panel, the arguments that read it, and the truth behind it.

    Parameters
    ----------
    frame
        One row for each observed region-week: `region`, `week`, `population`, `sales`
        (units), `revenue_per_sale` (EUR), `<channel>_spend` (EUR),
        `<channel>_impressions`, `<channel>_reach` and `<channel>_frequency` of the channels
        that have them, and the controls in their own units.
    truth
        The quantities behind the frame, with dimensions region, date, channel and
        control. Effects, `control_effect` and `sigma` are in the model's units: sales
        a head, divided by `sales_scale`, their standard deviation over the frame.
        `expected_sales`, `baseline` and `contribution` are in units of sales and NaN
        where the frame has no row.
    columns
        Keyword arguments of `MediaPanel.from_frame`.
    """

    frame: pd.DataFrame
    truth: xr.Dataset
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class _Media:
    """Spend, impressions and expected contributions, each (region, week, channel)."""

    spend: Array
    impressions: Array
    contribution: Array
    roi: Array
    alpha: Array
    half_saturation: Array
    effect_sd: Array
    effect_raw: Array
    contacts: Contacts


def media_mix(
    *,
    regions: int = 12,
    weeks: int = 104,
    channels: int = 4,
    seed: int,
    max_lag: int = 8,
    slope: float = 1.0,
    missing: float = 0.0,
    confounding: float = 0.0,
    controls: int = 2,
    roi: float | Sequence[float] | None = None,
    noise: float = 0.05,
    spend_share: float = 0.15,
    effect_spread: float = 0.5,
    population_spread: float = 0.8,
    trend: float = 0.05,
    reach_frequency: int = 0,
    start: str = "2022-01-03",
) -> SimulatedPanel:
    """Simulate weekly sales by region with media of known return.

    With p population, u revenue per sale, and x impressions a head divided by the
    median of their non-zero values::

        sales_gt / p_g ~ N(b_gt + sum_m c_gm h_gtm, sigma)
        h_gtm = a_gtm^slope / (a_gtm^slope + ec_m^slope)
        a_gtm = sum_l alpha_m^l x_g,t-l,m / sum_l alpha_m^l,   l = 0..max_lag
        c_gm  = k_m exp(eta_m d_gm),   d_gm ~ N(0, 1)

    where x is zero before the first week, and k_m is set such that
    ``sum_gt u_gt p_g c_gm h_gtm = roi_m sum_gt spend_gtm`` holds exactly. The truths
    are drawn from roi ~ LogNormal(0.2, 0.9), alpha ~ Uniform(0, 1), ec ~ Normal(0.8, 0.8)
    truncated to (0.1, 10), eta ~ HalfNormal(`effect_spread`). The baseline b has region
    intercepts, a linear trend, two yearly Fourier terms of 365.25 days common to all
    regions, and standardised controls with a deviation by region; where its lowest
    value would fall under 30 % of its level, these are shrunk together until it does not.

    Parameters
    ----------
    regions, weeks, channels, controls
        Sizes. One region has no deviations, and `effect_sd` 0.
    seed
        Seed of every draw; the same seed gives the same frame.
    max_lag
        Longest carry-over, in weeks.
    slope
        Slope of the Hill curve; 1 is concave from zero.
    missing
        Share of region-weeks without a row, in [0, 1). There the media are dark, and
        every week keeps a region or more, every region two weeks or more.
    confounding
        How strongly spend follows baseline demand: the change in log spend for one
        standard deviation of baseline sales a head, over regions and weeks. It acts
        through intercepts, season, trend and controls only, so that a model which
        has all of these is free of it, and one that omits some is not.
    roi
        Revenue per unit of spend over the whole window, one value or one by channel;
        drawn when not given.
    noise
        SD of sales about their expectation, as a share of mean expected sales a head.
    spend_share
        Total spend as a share of baseline revenue.
    effect_spread
        Scale of the half-normal from which each channel's SD of log effects over
        regions is drawn.
    population_spread
        SD of log population; 0 makes regions equal.
    trend
        Growth of the baseline from the first week to the last, as a share of its level.
    reach_frequency
        How many of the channels, from the last, come as reach r and average frequency f; for
        them h is the adstock of r s(f), r a head divided by its median and s a Hill curve
        (`bayes_mkt.simulate.reach`).
    start
        First week's date.

    Returns
    -------
    SimulatedPanel
        Frame, truth and the arguments that read the frame.

    Raises
    ------
    SpecError
        If a size or share is out of range, or the noise makes sales negative.

    Examples
    --------
    >>> panel = media_mix(regions=3, weeks=20, channels=2, seed=1, roi=[1.5, 2.0])
    >>> panel.frame.shape
    (60, 11)
    >>> paid = panel.truth.incremental_revenue / panel.truth.spend
    >>> [round(float(value), 6) for value in paid]
    [1.5, 2.0]
    """
    check_sizes(regions, weeks, channels, controls, max_lag)
    if isinstance(reach_frequency, bool) or reach_frequency not in range(channels + 1):
        raise SpecError(f"reach_frequency={reach_frequency!r} must be 0 to {channels}.")
    check_shares(
        slope, missing, confounding, noise, spend_share, effect_spread, population_spread, trend
    )
    returns = _returns(seed, roi, channels)
    place = ground(seed, (regions, weeks, channels, controls), missing, population_spread, start)
    base = baseline(seed, place, trend)
    media = _media(
        seed,
        place,
        base.demand,
        returns,
        curve=(max_lag, slope),
        spend_share=spend_share,
        confounding=confounding,
        effect_spread=effect_spread,
        reached=reach_frequency,
    )
    return _observe(seed, place, base, media, noise, slope)


def _returns(seed: int, roi: float | Sequence[float] | None, channels: int) -> Array:
    if roi is None:
        return seeds.generator(seed, STREAM + "roi").lognormal(0.2, 0.9, size=channels)
    values = np.asarray(roi, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(channels, float(values))
    if values.shape != (channels,) or not np.all(np.isfinite(values) & (values > 0)):
        raise SpecError(
            f"roi={roi!r} must be one positive number, or {channels}: one for each channel."
        )
    return values


def _adstock(exposure: Array, alpha: Array, max_lag: int) -> Array:
    """Return normalised geometric adstock along weeks, zero exposure before the first."""
    weights = alpha ** np.arange(max_lag + 1)[:, None]
    weights = weights / weights.sum(axis=0)
    out = np.zeros_like(exposure)
    for lag in range(min(max_lag + 1, exposure.shape[1])):
        out[:, lag:] += weights[lag] * exposure[:, : exposure.shape[1] - lag]
    return out


def _media(
    seed: int,
    place: Ground,
    demand: Array,
    roi: Array,
    *,
    curve: tuple[int, float],
    spend_share: float,
    confounding: float,
    effect_spread: float,
    reached: int,
) -> _Media:
    max_lag, slope = curve
    regions, count = len(place.regions), len(place.channels)
    heads = place.population
    worth = np.where(place.observed, heads[:, None] * place.price, 0.0)
    on = flights(seed, place.observed, count)
    rate = log_spend(seed, place.day, demand, count, confounding)
    budget = spend_share * float((worth * demand).sum())
    spend, impressions = media_plan(seed, rate, on, heads, budget)

    rng = seeds.generator(seed, STREAM + "curves")
    alpha = rng.uniform(0.0, 1.0, size=count)
    ends = (0.1 - 0.8) / 0.8, (10.0 - 0.8) / 0.8
    half = stats.truncnorm.ppf(rng.uniform(size=count), *ends, loc=0.8, scale=0.8)
    several = float(regions > 1)
    eta = several * effect_spread * np.abs(rng.normal(size=count))
    deviation = several * rng.normal(size=(regions, count))

    own = contacts(seed, impressions, heads, reached)
    first = count - reached
    exposure = np.concatenate([impressions[:, :, :first], own.reach], axis=2)
    per_head = exposure / heads[:, None, None]
    typical = np.array([np.median(x[x > 0]) for x in np.moveaxis(per_head, 2, 0)])
    scaled = per_head / typical
    scaled[:, :, first:] *= own.effect
    stock = _adstock(scaled, alpha, max_lag)
    saturated = stock**slope / (stock**slope + half**slope)
    saturated[:, :, first:] = stock[:, :, first:]
    half[first:] = np.nan
    relative = np.exp(eta * deviation)
    response = relative[:, None, :] * saturated
    per_unit = np.einsum("gt,gtm->m", worth, response)
    level = roi * spend.sum(axis=(0, 1)) / per_unit
    return _Media(
        spend=spend,
        impressions=impressions,
        contribution=level * response * heads[:, None, None],
        roi=roi,
        alpha=alpha,
        half_saturation=np.asarray(half),
        effect_sd=eta,
        effect_raw=level * relative,
        contacts=own,
    )


def _observe(
    seed: int, place: Ground, base: Baseline, media: _Media, noise: float, slope: float
) -> SimulatedPanel:
    heads = place.population[:, None]
    mask = place.observed
    without = base.demand * heads
    expected = without + media.contribution.sum(axis=2)
    sigma = noise * float((expected / heads)[mask].mean())
    error = seeds.generator(seed, STREAM + "noise").normal(size=mask.shape)
    sales = expected + sigma * heads * error
    low = int((sales[mask] <= 0).sum())
    if low:
        raise SpecError(f"noise={noise} makes sales negative in {low} rows; use a smaller one.")
    a_head = (sales / heads)[mask]
    truth = _truth(
        seed,
        place,
        base,
        media,
        slope,
        scaled=(float(a_head.mean()), float(a_head.std()), sigma),
    )
    columns = _columns(place, media.contacts.reach.shape[2])
    return SimulatedPanel(_frame(place, base, media, sales), truth, columns)


def _frame(place: Ground, base: Baseline, media: _Media, sales: Array) -> pd.DataFrame:
    g, t = np.nonzero(place.observed)
    data: dict[str, Any] = {
        "region": np.array(place.regions)[g],
        "week": place.dates[t],
        "population": place.population[g],
        "sales": sales[g, t],
        "revenue_per_sale": place.price[g, t],
    }
    for m, name in enumerate(place.channels):
        data[f"{name}_spend"] = media.spend[g, t, m]
        data[f"{name}_impressions"] = media.impressions[g, t, m]
    first = len(place.channels) - media.contacts.reach.shape[2]
    for m, name in enumerate(place.channels[first:]):
        data[f"{name}_reach"] = media.contacts.reach[g, t, m]
        data[f"{name}_frequency"] = media.contacts.frequency[g, t, m]
    for c, name in enumerate(place.controls):
        data[name] = base.controls[g, t, c]
    return pd.DataFrame(data)


def _columns(place: Ground, reached: int) -> dict[str, Any]:
    first = len(place.channels) - reached
    others, own = place.channels[:first], place.channels[first:]
    contact = {
        role: {name: f"{name}_{role}" for name in own} for role in ("reach", "frequency") if own
    }
    return {
        "sales": "sales",
        "region": "region",
        "date": "week",
        "population": "population",
        "revenue_per_sale": "revenue_per_sale",
        "currency": CURRENCY,
        "spend": {name: f"{name}_spend" for name in place.channels},
        "exposure": {name: f"{name}_impressions" for name in others},
        **contact,
        "controls": list(place.controls),
    }


def _truth(
    seed: int,
    place: Ground,
    base: Baseline,
    media: _Media,
    slope: float,
    scaled: tuple[float, float, float],
) -> xr.Dataset:
    centre, scale, sigma = scaled
    mask = place.observed
    without = np.where(mask, base.demand * place.population[:, None], np.nan)
    contribution = np.where(mask[:, :, None], media.contribution, np.nan)
    revenue = np.nansum(contribution * place.price[:, :, None], axis=(0, 1))
    r, d, m, c = dims.REGION, dims.DATE, dims.CHANNEL, dims.CONTROL
    model = "sales a head / sales_scale"
    entries: dict[str, tuple[tuple[str, ...], Any, str]] = {
        "roi": ((m,), media.roi, f"{CURRENCY} revenue per {CURRENCY} of spend"),
        "adstock_alpha": ((m,), media.alpha, "1"),
        "half_saturation": ((m,), media.half_saturation, "median non-zero exposure"),
        "slope": ((m,), np.where(np.isnan(media.half_saturation), np.nan, slope), "1"),
        **media.contacts.truth(len(place.channels)),
        "effect": ((r, m), media.effect_raw / scale, model),
        "effect_sd": ((m,), media.effect_sd, "log effect"),
        "control_effect": ((c,), base.effect / scale, f"{model} per SD of the control"),
        "control_effect_region": ((r, c), base.effect_by_region / scale, model),
        "control_sd": ((c,), base.effect_sd / scale, model),
        "sigma": ((), sigma / scale, model),
        "spend": ((m,), media.spend.sum(axis=(0, 1)), CURRENCY),
        "incremental_revenue": ((m,), revenue, CURRENCY),
        "baseline": ((r, d), without, "sales"),
        "contribution": ((r, d, m), contribution, "sales"),
        "expected_sales": ((r, d), without + contribution.sum(axis=2), "sales"),
        "sales_centre": ((), centre, "sales a head"),
        "sales_scale": ((), scale, "sales a head"),
    }
    return xr.Dataset(
        {name: (dim, value, {"units": unit}) for name, (dim, value, unit) in entries.items()},
        coords={
            r: list(place.regions),
            d: place.dates,
            m: list(place.channels),
            c: list(place.controls),
        },
        attrs={"seed": seed, "currency": CURRENCY},
    )
