"""The media mix in plain NumPy, loop by loop from its equations: what the model is held to.

Nothing here comes from the package but the panel's arrays and the choices of the specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import stats

import bayes_mkt as bm
from tests.densities import log_density as log_prior_density

Array = np.ndarray
Values = Mapping[str, Array]


def each_draw(fit: bm.Fit) -> Iterator[tuple[dict[str, int], Values]]:
    """Yield the place of each draw of a fit, and its values."""
    posterior = fit.posterior
    for chain in range(posterior.sizes["chain"]):
        for draw in range(posterior.sizes["draw"]):
            at = posterior.isel(chain=chain, draw=draw)
            yield {"chain": chain, "draw": draw}, {n: at[n].to_numpy() for n in at.data_vars}


def heads(panel: bm.MediaPanel) -> Array:
    """Return people by region; one where the panel doesn't say."""
    if "population" in panel.data:
        return panel.data["population"].to_numpy()
    return np.ones(panel.n_regions)


def sales_scale(panel: bm.MediaPanel) -> tuple[float, float]:
    """Return mean and SD of observed sales a head."""
    a_head = panel.data["sales"].to_numpy() / heads(panel)[:, None]
    seen = a_head[np.isfinite(a_head)]
    return float(seen.mean()), float(seen.std())


def scaled_exposure(panel: bm.MediaPanel, exposure: Array) -> Array:
    """Return exposure a head in units of the median of the panel's non-zero exposure a head."""
    own = panel.data["exposure"].to_numpy() / heads(panel)[:, None, None]
    median = [np.median(own[:, :, m][own[:, :, m] > 0]) for m in range(panel.n_channels)]
    return exposure / heads(panel)[:, None, None] / np.array(median)


def _carry(x: Array, spec: bm.MediaMix, values: Values) -> Array:
    if isinstance(spec.adstock, bm.NoAdstock):
        return x
    lags = np.arange(spec.adstock.max_lag + 1)
    out = np.zeros_like(x)
    for m in range(x.shape[2]):
        weights = _decay(lags, spec, {k: v[m] for k, v in values.items() if "adstock_" in k})
        weights = weights / weights.sum()
        for t in range(x.shape[1]):
            for lag in lags[: t + 1]:
                out[:, t, m] += weights[lag] * x[:, t - lag, m]
    return out


def _decay(lags: Array, spec: bm.MediaMix, values: dict[str, float]) -> Array:
    if isinstance(spec.adstock, bm.DelayedAdstock):
        return values["adstock_alpha"] ** ((lags - values["adstock_delay"]) ** 2)
    if isinstance(spec.adstock, bm.WeibullPDFAdstock):
        shape, age = values["adstock_shape"], (lags + 1) / values["adstock_scale"]
        return age ** (shape - 1) * np.exp(-(age**shape))
    return values["adstock_alpha"] ** lags


def _saturate(x: Array, spec: bm.MediaMix, values: Values) -> Array:
    if isinstance(spec.saturation, bm.NoSaturation):
        return x
    if isinstance(spec.saturation, bm.PowerSaturation):
        return x ** values["exponent"]
    if isinstance(spec.saturation, bm.ExponentialSaturation):
        return 1 - 0.5 ** (x / values["half_saturation"])
    slope = values["slope"] if spec.saturation.slope is None else spec.saturation.slope
    return x**slope / (x**slope + values["half_saturation"] ** slope)


def response(
    spec: bm.MediaMix, panel: bm.MediaPanel, values: Values, exposure: Array | None = None
) -> Array:
    """Return h (region, date, channel), under the panel's exposure or another."""
    x = scaled_exposure(panel, panel.data["exposure"].to_numpy() if exposure is None else exposure)
    if spec.order == "adstock_first":
        return _saturate(_carry(x, spec, values), spec, values)
    return _carry(_saturate(x, spec, values), spec, values)


def price(panel: bm.MediaPanel) -> Array:
    """Return revenue per sale (region, date), 0 where sales are not observed."""
    observed = np.isfinite(panel.data["sales"].to_numpy())
    if "revenue_per_sale" not in panel.data:
        return observed.astype(float)
    return np.where(observed, panel.data["revenue_per_sale"].to_numpy(), 0.0)


def effect(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return beta (region, channel)."""
    h = response(spec, panel, values)
    relative = np.ones((panel.n_regions, panel.n_channels))
    if spec.pooling == "partial" and panel.n_regions > 1:
        relative = np.exp(values["effect_sd"] * values["effect_offset"])
    paid = [c for c in panel.channels if c in panel.paid_channels and spec.media_prior == "roi"]
    unpaid = [c for c in panel.channels if c not in paid]
    observed = np.isfinite(panel.data["sales"].to_numpy())
    worth = price(panel) * heads(panel)[:, None] * sales_scale(panel)[1]
    out = np.empty_like(relative)
    for m, channel in enumerate(panel.channels):
        if channel in unpaid:
            out[:, m] = values["coefficient"][..., unpaid.index(channel)] * relative[:, m]
            continue
        spent = np.where(observed, panel.data["spend"].to_numpy()[:, :, m], 0.0).sum(axis=1)
        earned = (relative[:, m, None] * worth * h[:, :, m]).sum(axis=1)
        roi = values["roi"][..., paid.index(channel)]
        if spec.pooling != "none" or panel.n_regions == 1:
            spent, earned = spent.sum(), earned.sum()
        out[:, m] = roi * spent / earned * relative[:, m]
    return out


def contribution(
    spec: bm.MediaMix, panel: bm.MediaPanel, values: Values, exposure: Array | None = None
) -> Array:
    """Return what media add to expected sales (region, date, channel), in units of sales."""
    unit = heads(panel)[:, None, None] * sales_scale(panel)[1]
    return effect(spec, panel, values)[:, None, :] * response(spec, panel, values, exposure) * unit


def _trend(panel: bm.MediaPanel, values: Values) -> Array:
    knots = values["knot_value"]
    if len(knots) == 1:
        return np.full(panel.n_dates, knots[0])
    places = np.linspace(0, panel.n_dates - 1, len(knots))
    return np.interp(np.arange(panel.n_dates), places, knots)


def _intercept(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    if panel.n_regions == 1:
        return np.zeros(1)
    if spec.intercept == "partial":
        return values["region_intercept"]
    known = "population" in panel.data
    size = heads(panel) if known else np.nansum(panel.data["sales"].to_numpy(), axis=1)
    return np.insert(values["intercept_difference"], int(np.argmax(size)), 0.0)


def baseline(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return the mean without media (region, date), in the model's units."""
    out = _trend(panel, values) + _intercept(spec, panel, values)[:, None]
    if spec.seasonality is not None:
        day = np.array([(d - np.datetime64("2000-01-01", "ns")) for d in panel.dates.to_numpy()])
        angle = 2 * np.pi * (day / np.timedelta64(1, "D")) / 365.25
        for k in range(spec.seasonality.order):
            sine, cosine = values["season_effect"][2 * k : 2 * k + 2]
            out = out + sine * np.sin((k + 1) * angle) + cosine * np.cos((k + 1) * angle)
    if panel.controls:
        z = panel.data["controls"].to_numpy()
        seen = z[np.isfinite(panel.data["sales"].to_numpy())]
        z = np.nan_to_num((z - seen.mean(axis=0)) / seen.std(axis=0))
        several = panel.n_regions > 1
        gamma = values["region_control_effect" if several else "control_effect"]
        out = out + (np.atleast_2d(gamma)[:, None, :] * z).sum(axis=-1)
    return out


def expected_sales(
    spec: bm.MediaMix, panel: bm.MediaPanel, values: Values, exposure: Array | None = None
) -> Array:
    """Return expected sales (region, date), in units of sales."""
    center, scale = sales_scale(panel)
    without = (baseline(spec, panel, values) * scale + center) * heads(panel)[:, None]
    return without + contribution(spec, panel, values, exposure).sum(axis=-1)


def log_density(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> float:
    """Return log p(values, sales), without the Jacobian of any transform."""
    total = 0.0
    for name, value in values.items():
        if name == "effect_offset":
            terms = stats.norm.logpdf(value)
        elif name == "region_intercept":
            terms = stats.norm.logpdf(value, 0.0, values["intercept_sd"])
        elif name == "region_control_effect":
            terms = stats.norm.logpdf(value, values["control_effect"], values["control_sd"])
        else:
            prior = spec.prior({"intercept_difference": "region_intercept"}.get(name, name))
            terms = log_prior_density(prior, value)
        total += float(np.sum(terms))
    sales = panel.data["sales"].to_numpy()
    noise = values["sigma"] * sales_scale(panel)[1] * heads(panel)[:, None]
    fitted = expected_sales(spec, panel, values)
    return total + float(np.nansum(stats.norm.logpdf(sales, fitted, noise)))
