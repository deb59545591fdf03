"""The media mix in plain NumPy, loop by loop from its equations: what the model is held to.

Nothing here comes from the package but the panel's arrays and the choices of the specification.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

import bayes_mkt as bm
from tests.densities import log_density as log_prior_density
from tests.media_mix.curves_by_hand import (
    Array,
    Values,
    carry,
    contacts,
    saturate_others,
)


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


def smooth(process: bm.HSGP, n_dates: int) -> tuple[Array, Array]:
    """Return basis (date, term) and frequencies (term,) of a smooth function."""
    times = np.linspace(-1.0, 1.0, n_dates)
    edge = process.boundary
    waves = [np.pi * j / (2 * edge) for j in range(1, process.terms + 1)]
    basis = [np.sin(w * (times + edge)) / np.sqrt(edge) for w in waves]
    return np.stack(basis, axis=1), np.array(waves)


def smooth_sd(waves: Array, amplitude: Array, length: Array) -> Array:
    """Return the SD of the weights of a Matern-5/2 process, (..., term)."""
    amplitude, length = np.asarray(amplitude)[..., None], np.asarray(length)[..., None]
    power = amplitude**2 * 16 / 3 * 5**2.5 / length**5 / (5 / length**2 + waves**2) ** 3
    return np.sqrt(power)


def walk(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return the factor of each channel's effect in time, (date, channel)."""
    if spec.time_varying is None:
        return np.ones((panel.n_dates, panel.n_channels))
    basis, _ = smooth(spec.time_varying, panel.n_dates)
    return np.exp(basis @ values["effect_weight"].T)


def response(
    spec: bm.MediaMix, panel: bm.MediaPanel, values: Values, exposure: Array | None = None
) -> Array:
    """Return h (region, date, channel), under the panel's exposure or another."""
    x = scaled_exposure(panel, panel.data["exposure"].to_numpy() if exposure is None else exposure)
    factor = walk(spec, panel, values)
    often = contacts(spec, panel, values)
    if spec.order == "adstock_first":
        return saturate_others(carry(x * often, spec, values), spec, panel, values) * factor
    return carry(saturate_others(x, spec, panel, values) * often, spec, values) * factor


def price(panel: bm.MediaPanel) -> Array:
    """Return revenue per sale (region, date), 0 where sales are not observed."""
    observed = np.isfinite(panel.data["sales"].to_numpy())
    if "revenue_per_sale" not in panel.data:
        return observed.astype(float)
    return np.where(observed, panel.data["revenue_per_sale"].to_numpy(), 0.0)


def effect(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return beta (region, channel)."""
    h = response(spec, panel, values)
    if spec.effects == "normal":
        return _normal_effect(spec, panel, values)
    relative = np.ones((panel.n_regions, panel.n_channels))
    if spec.pooling == "partial" and panel.n_regions > 1:
        relative = np.exp(values["effect_sd"] * values["effect_offset"])
    given = spec.media_prior
    own = [c for c in panel.channels if c in panel.paid_channels or given == "contribution_share"]
    own = [] if given == "coefficient" else own
    others = [c for c in panel.channels if c not in own]
    observed = np.isfinite(panel.data["sales"].to_numpy())
    worth = price(panel) * heads(panel)[:, None] * sales_scale(panel)[1]
    more = response(spec, panel, values, 1.01 * panel.data["exposure"].to_numpy())
    out = np.empty_like(relative)
    for m, channel in enumerate(panel.channels):
        if channel in others and spec.unpaid_prior == "unpaid_share":
            share = values["unpaid_share"][..., others.index(channel)]
            total = np.nansum(panel.data["sales"].to_numpy() * price(panel))
            earned = (relative[:, m, None] * worth * h[:, :, m]).sum()
            out[:, m] = share * total / earned * relative[:, m]
            continue
        if channel in others:
            out[:, m] = values["coefficient"][..., others.index(channel)] * relative[:, m]
            continue
        total = np.where(observed, panel.data["spend"].to_numpy()[:, :, m], 0.0).sum(axis=1)
        sold = h[:, :, m]
        if given == "mroi":
            total, sold = 0.01 * total, more[:, :, m] - h[:, :, m]
        if given == "contribution_share":
            total = np.nansum(panel.data["sales"].to_numpy() * price(panel), axis=1)
        earned = (relative[:, m, None] * worth * sold).sum(axis=1)
        ratio = values[given][..., own.index(channel)]
        if spec.pooling != "none" or panel.n_regions == 1:
            total, earned = total.sum(), earned.sum()
        out[:, m] = ratio * total / earned * relative[:, m]
    return out


def _normal_effect(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return beta (region, channel) that scatters additively, of paid channels with an ROI."""
    worth = price(panel) * heads(panel)[:, None] * sales_scale(panel)[1]
    observed = np.isfinite(panel.data["sales"].to_numpy())
    out = np.empty((panel.n_regions, panel.n_channels))
    for m in range(panel.n_channels):
        spread = values["effect_sd"][m] * values["effect_offset"][:, m]
        earned = (worth * response(spec, panel, values)[:, :, m]).sum(axis=1)
        spent = (panel.data["spend"].to_numpy()[:, :, m] * observed).sum()
        # The common part makes regions together earn the ROI.
        common = (values["roi"][m] * spent - (spread * earned).sum()) / earned.sum()
        out[:, m] = common + spread
    return out


def treatment_effect(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return gamma of all controls (region, control), some stated by their share of revenue."""
    z = panel.data["controls"].to_numpy()
    seen = np.isfinite(panel.data["sales"].to_numpy())
    worth = price(panel) * heads(panel)[:, None] * sales_scale(panel)[1]
    total = np.nansum(panel.data["sales"].to_numpy() * price(panel))
    out = np.empty((panel.n_regions, len(panel.controls)))
    treated = list(spec.treatments)
    others = [c for c in panel.controls if c not in spec.treatments]
    for c, name in enumerate(panel.controls):
        if name in others:
            several = panel.n_regions > 1
            own = values["region_other_control_effect" if several else "control_effect"]
            out[:, c] = own[..., others.index(name)]
            continue
        level, column = spec.treatments[name], z[:, :, c]
        if isinstance(level, str):
            level = {"min": np.min, "max": np.max}[level](column[seen])
        moved = (column - level) / column[seen].std()
        earned = np.where(seen, moved * worth, 0.0).sum(axis=1)
        k = treated.index(name)
        spread = np.zeros(panel.n_regions)
        if panel.n_regions > 1:
            if "treatment_offset" in values:  # of many regions
                spread = values["treatment_sd"][k] * values["treatment_offset"][:, k]
            else:
                spread = values["treatment_deviation"][:, k]
        common = (values["treatment_share"][k] * total - (spread * earned).sum()) / earned.sum()
        out[:, c] = common + spread
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
            if spec.seasonality.by_region and panel.n_regions > 1:
                own = values["region_season_effect"][:, 2 * k : 2 * k + 2]
                sine, cosine = own[:, :1], own[:, 1:]
            out = out + sine * np.sin((k + 1) * angle) + cosine * np.cos((k + 1) * angle)
    if spec.smooth_trend is not None:
        out = out + smooth(spec.smooth_trend, panel.n_dates)[0] @ values["trend_weight"]
    if spec.events is not None:
        out = out + events(spec, panel) @ values["event_effect"]
    if spec.date_effects:
        out = out + values["date_effect"]
    if panel.controls:
        z = panel.data["controls"].to_numpy()
        seen = z[np.isfinite(panel.data["sales"].to_numpy())]
        z = np.nan_to_num((z - seen.mean(axis=0)) / seen.std(axis=0))
        several = panel.n_regions > 1
        if spec.treatments:
            gamma = treatment_effect(spec, panel, values)
        else:
            gamma = values["region_control_effect" if several else "control_effect"]
        out = out + (np.atleast_2d(gamma)[:, None, :] * z).sum(axis=-1)
    return out


def events(spec: bm.MediaMix, panel: bm.MediaPanel) -> Array:
    """Return the terms of events in weeks that begin at the panel's dates, (date, term)."""
    assert spec.events is not None
    columns = []
    for days in spec.events.dates.values():
        for shift in range(-spec.events.spread, spec.events.spread + 1):
            column = np.zeros(panel.n_dates)
            for day in days:
                for t, begin in enumerate(panel.dates):
                    weeks = (np.datetime64(day) - begin.to_datetime64()) / np.timedelta64(7, "D")
                    if 0 <= weeks < 1 and 0 <= t + shift < panel.n_dates:
                        column[t + shift] = 1.0
            columns.append(column)
    return np.stack(columns, axis=1)


def lift(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values, test: bm.LiftTest) -> float:
    """Return the modelled lift of a test."""
    m = panel.channels.index(test.channel)
    regions = [g for g, r in enumerate(panel.regions) if test.regions is None or r in test.regions]
    day = [str(d.date()) for d in panel.dates]
    inside = [t for t, d in enumerate(day) if test.start <= d <= test.end]
    counted = [t for t, d in enumerate(day) if test.start <= d <= (test.outcome_end or test.end)]
    exposure = panel.data["exposure"].to_numpy()
    paid = test.channel in panel.paid_channels
    media = panel.data["spend"].to_numpy()[:, :, m] if paid else exposure[:, :, m]
    ran = media[np.ix_(regions, inside)].sum()
    other = exposure.copy()
    for g in regions:
        for t in inside:
            other[g, t, m] *= 1 - test.spend_change / ran
    change = contribution(spec, panel, values) - contribution(spec, panel, values, other)
    seen = np.isfinite(panel.data["sales"].to_numpy())
    return float((change[:, :, m] * seen)[np.ix_(regions, counted)].sum())


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
        if name.endswith("_offset"):
            terms = stats.norm.logpdf(value)
        elif name == "region_intercept":
            terms = stats.norm.logpdf(value, 0.0, values["intercept_sd"])
        elif name == "date_effect":
            terms = stats.norm.logpdf(value, 0.0, values["date_sd"])
        elif name == "treatment_deviation":
            terms = stats.norm.logpdf(value, 0.0, values["treatment_sd"])
        elif name in ("region_control_effect", "region_other_control_effect"):
            terms = stats.norm.logpdf(value, values["control_effect"], values["control_sd"])
        elif name == "region_season_effect":
            terms = stats.norm.logpdf(value, values["season_effect"], values["season_sd"])
        elif name in ("trend_weight", "effect_weight"):
            process = spec.smooth_trend if name == "trend_weight" else spec.time_varying
            assert process is not None
            stem = name.removesuffix("_weight")
            size, length = values[f"{stem}_amplitude"], values[f"{stem}_lengthscale"]
            sd = smooth_sd(smooth(process, panel.n_dates)[1], size, length)
            terms = stats.norm.logpdf(value, 0.0, sd)
        else:
            prior = spec.prior({"intercept_difference": "region_intercept"}.get(name, name))
            terms = log_prior_density(prior, value)
        total += float(np.sum(terms))
    for test in spec.lift_tests:
        total += float(stats.norm.logpdf(test.lift, lift(spec, panel, values, test), test.se))
    sales = panel.data["sales"].to_numpy()
    fitted = expected_sales(spec, panel, values)
    unit = sales_scale(panel)[1] * heads(panel)[:, None]
    return total + float(np.nansum(_scatter(spec, sales, fitted, unit, values)))


def _scatter(spec: bm.MediaMix, sales: Array, fitted: Array, unit: Array, values: Values) -> Array:
    """Return the log-density of sales about their expectation, NaN where not observed."""
    if isinstance(spec.likelihood, bm.StudentTLikelihood):
        return stats.t.logpdf(sales, 1 + values["nu"], fitted, values["sigma"] * unit)
    if isinstance(spec.likelihood, bm.LogNormalLikelihood):
        sd = values["log_sd"]
        low = 1e-3 * unit
        log = np.log(np.maximum(fitted, low)) + np.minimum(fitted, low) / low - 1
        return stats.norm.logpdf(np.log(sales), log - 0.5 * sd**2, sd) - np.log(sales)
    return stats.norm.logpdf(sales, fitted, values["sigma"] * unit)
