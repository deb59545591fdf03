"""Meridian's default geo model in PyMC, written from its published equations; its own names.

With y sales per head, centred and divided by their SD, x exposure per head divided by the median of
its non-zero values, z standardised controls and n standardised non-media treatments,

    y_gt ~ N(knot + tau_g + sum_m beta_gm h_gtm + sum_c gamma_gc z_gtc + sum_n gamma_gn n_gtn,
             sigma),

h geometric adstock to lag 8, then Hill of slope 1; beta_gm = exp(beta_m + eta_m d_gm), beta_m such
that the channel earns its ROI (paid) or its share of revenue (organic); gamma_n such that the
treatment, against its lowest value, earns its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt

from benchmarks.peers.columns import Columns

MAX_LAG = 8


@dataclass(frozen=True)
class Panel:
    """The model's data, scaled; regions g, weeks t, channels m, lags l.

    Attributes
    ----------
    sales
        (g, t), centred and scaled.
    media, organic
        (m, g, t, l), scaled and lagged.
    controls, treatments
        (g, t, c) and (g, t, n), standardised.
    treated
        (g, t, n), treatments less their lowest value.
    revenue
        (g, t), of one unit of scaled sales.
    spend
        (m,), in all.
    total
        Revenue in all.
    baseline
        The region without an intercept of its own: the most populous.
    """

    sales: np.ndarray
    media: np.ndarray
    organic: np.ndarray
    controls: np.ndarray
    treatments: np.ndarray
    treated: np.ndarray
    revenue: np.ndarray
    spend: np.ndarray
    total: float
    baseline: int


def read(data: Path, columns: Columns) -> Panel:
    """Return the panel in the folder `data`, scaled as Meridian does."""
    frame = pd.read_csv(data.joinpath(*columns.file))
    geos = sorted(set(frame["geo"]), key=lambda name: (len(name), name))  # Geo2 before Geo10
    weeks = sorted(set(frame["time"]))
    frame = frame.set_index(["geo", "time"])
    frame = frame.loc[pd.MultiIndex.from_product([geos, weeks])]

    def cube(names: list[str] | tuple[str, ...]) -> np.ndarray:
        shape = (len(geos), len(weeks), len(names))
        return frame[list(names)].to_numpy(float).reshape(shape)

    population = cube(("population",))[:, 0, 0]
    sales, price = cube(("conversions",))[..., 0], cube(("revenue_per_conversion",))[..., 0]
    per_head = sales / population[:, None]
    treatments = _standardised(cube(columns.treatments))
    return Panel(
        sales=(per_head - per_head.mean()) / per_head.std(),
        media=_lagged(_scaled(cube(columns.exposure), population)),
        organic=_lagged(_scaled(cube(columns.organic), population)),
        controls=_standardised(cube(columns.controls)),
        treatments=treatments,
        treated=treatments - treatments.min(axis=(0, 1), keepdims=True),
        revenue=price * population[:, None] * per_head.std(),
        spend=cube(columns.spend).sum(axis=(0, 1)),
        total=float((sales * price).sum()),
        baseline=int(np.argmax(population)),
    )


def _standardised(values: np.ndarray) -> np.ndarray:
    if not values.shape[2]:
        return values
    return np.asarray((values - values.mean(axis=(0, 1))) / values.std(axis=(0, 1)))


def _scaled(exposure: np.ndarray, population: np.ndarray) -> np.ndarray:
    if not exposure.shape[2]:
        return exposure
    per_head = exposure / population[:, None, None]
    return np.asarray(per_head / np.nanmedian(np.where(per_head == 0, np.nan, per_head), (0, 1)))


def _lagged(exposure: np.ndarray) -> np.ndarray:
    """Return exposure (region, week, channel) as (channel, region, week, lag)."""
    regions, weeks, channels = exposure.shape
    out = np.zeros((channels, regions, weeks, MAX_LAG + 1))
    for lag in range(MAX_LAG + 1):
        out[:, :, lag:, lag] = np.moveaxis(exposure, -1, 0)[:, :, : weeks - lag]
    return out


def model(panel: Panel, *, centred: bool = False) -> pm.Model:
    """Return the model of a panel.

    Parameters
    ----------
    panel
        The data.
    centred
        Whether region effects of controls are drawn about their mean, or as its multiples of
        a standard normal (False, as in Meridian).
    """
    regions, _, n_controls = panel.controls.shape
    with pm.Model() as built:
        knot = pm.Normal("knot_values", 0.0, 5.0, shape=1)
        sigma = pm.HalfNormal("sigma", 5.0)
        others = pm.Normal("tau_g_excl_baseline", 0.0, 5.0, shape=regions - 1)
        cut = panel.baseline
        tau = pt.concatenate([others[:cut], pt.zeros(1), others[cut:]])
        roi = pm.LogNormal("roi_m", 0.2, 0.9, shape=panel.media.shape[0])
        mean = knot[0] + tau[:, None] + _media(panel, "m", panel.media, roi * panel.spend)
        if panel.organic.size:
            share = pm.Beta("contribution_om", 1.0, 99.0, shape=panel.organic.shape[0])
            mean = mean + _media(panel, "om", panel.organic, share * panel.total)
        gamma = pm.Normal("gamma_c", 0.0, 5.0, shape=n_controls)
        xi = pm.HalfNormal("xi_c", 5.0, shape=n_controls)
        if centred:
            by_region = pm.Normal("gamma_gc", gamma, xi, shape=(regions, n_controls))
        else:
            deviation = pm.Normal("gamma_gc_dev", 0.0, 1.0, shape=(regions, n_controls))
            by_region = gamma + xi * deviation
        controls = pm.Data("controls", panel.controls)
        mean = mean + pt.matmul(controls, by_region[:, :, None])[:, :, 0]
        if panel.treatments.size:
            mean = mean + _treatments(panel)
        pm.Normal("sales", mean, sigma, observed=panel.sales)
    return built


def _media(panel: Panel, suffix: str, lagged: np.ndarray, earned: Any) -> Any:
    """Return what channels that earn `earned` (channel,) add to the mean, (region, week)."""
    channels, regions, weeks, length = lagged.shape
    alpha = pm.Uniform(f"alpha_{suffix}", 0.0, 1.0, shape=channels)
    half = pm.TruncatedNormal(f"ec_{suffix}", 0.8, 0.8, lower=0.1, upper=10.0, shape=channels)
    eta = pm.HalfNormal(f"eta_{suffix}", 1.0, shape=channels)
    deviation = pm.Normal(f"beta_g{suffix}_dev", 0.0, 1.0, shape=(regions, channels))
    weights = alpha[:, None] ** np.arange(length)
    weights = weights / weights.sum(axis=1, keepdims=True)
    exposure = pm.Data(f"lagged_{suffix}", lagged.reshape(channels, regions * weeks, length))
    carried = pt.matmul(exposure, weights[:, :, None])[:, :, 0].reshape((channels, regions, weeks))
    response = carried / (carried + half[:, None, None])
    spread = pt.exp(eta * deviation)
    revenue = pm.Data(f"revenue_{suffix}", panel.revenue)
    unit = (spread * (response * revenue).sum(axis=2).T).sum(axis=0)
    effect = earned / unit * spread
    return (effect.T[:, :, None] * response).sum(axis=0)


def _treatments(panel: Panel) -> Any:
    """Return what non-media treatments add to the mean, (region, week)."""
    regions, _, count = panel.treatments.shape
    share = pm.TruncatedNormal("contribution_n", 0.0, 0.1, lower=-1.0, upper=1.0, shape=count)
    xi = pm.HalfNormal("xi_n", 5.0, shape=count)
    deviation = pm.Normal("gamma_gn_dev", 0.0, 1.0, shape=(regions, count))
    unit = np.einsum("gtn,gt->gn", panel.treated, panel.revenue)
    gamma = (share * panel.total - (unit * (xi * deviation)).sum(axis=0)) / unit.sum(axis=0)
    by_region = gamma + xi * deviation
    return pt.matmul(panel.treatments, by_region[:, :, None])[:, :, 0]
