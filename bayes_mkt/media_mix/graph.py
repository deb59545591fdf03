"""The PyMC graph of the media mix: one function for each part of the mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.media_mix.controls import add_controls, control_coords
from bayes_mkt.media_mix.curves import Reached, curve, curve_parameters, reached
from bayes_mkt.media_mix.effects import add_effects
from bayes_mkt.media_mix.scaling import Scaling, lags
from bayes_mkt.media_mix.trend import knot_basis, knots_ahead

if TYPE_CHECKING:
    from bayes_mkt.media_mix.model import MediaMix
    from bayes_mkt.media_mix.panel import MediaPanel

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any


def build(spec: MediaMix, panel: MediaPanel, training: MediaPanel) -> pm.Model:
    """Return the model of `panel`, in the units and with the trend of `training`.

    The two are one panel for a fit. For a forecast `panel` begins on a date of `training` and goes
    on after its dates, and has the same regions, channels and controls; what lift tests said is in
    the draws already.
    """
    scaling = Scaling.of(training)
    with pm.Model(coords=coords(spec, panel, training)) as model:
        population = pm.Data("population", scaling.population, dims="region")
        sales_sd = pm.Data("sales_sd", scaling.sales_sd)
        unit = (pt.as_tensor(sales_sd) * population)[:, None]
        parameters = curve_parameters(spec, len(panel.regions))
        walk = _walk(spec, panel, training)
        reach = reached(spec, panel, parameters)
        response = _response(spec, panel, scaling, parameters, reach, walk)
        effect = add_effects(spec, panel, scaling, response, parameters, reach, walk)
        media = (effect.T[:, :, None] * response).sum(axis=0)
        mean = media + _baseline(spec, panel, training)
        mean = mean + add_controls(spec, panel, training, scaling)
        pm.Deterministic(
            "media_contribution",
            (effect.T[:, :, None] * response * unit).transpose(1, 2, 0),
            dims=("region", "date", "channel"),
        )
        center = pm.Data("sales_center", scaling.sales_center)
        expected = pm.Deterministic(
            "expected_sales", mean * unit + center * population[:, None], dims=("region", "date")
        )
        _observe(spec, panel, expected, unit)
        if spec.lift_tests and panel is training:
            _lift_tests(spec, panel, scaling, effect, parameters, reach, walk, unit)
    return model


def coords(spec: MediaMix, panel: MediaPanel, training: MediaPanel) -> dict[str, Any]:
    """Return the coordinates of every dimension the model uses."""
    ahead = _when(panel, training)[1]
    knots = spec.knots + knots_ahead(training.n_dates, spec.knots, ahead)
    found: dict[str, Any] = {
        "region": list(panel.regions),
        "date": panel.data["date"].to_numpy(),
        "channel": list(panel.channels),
        "knot": np.arange(knots),
        "lag": np.arange(spec.adstock.max_lag + 1),
    }
    if len(panel.paid_channels) < len(panel.channels):
        found["paid_channel"] = list(panel.paid_channels)
        found["unpaid_channel"] = [c for c in panel.channels if c not in panel.paid_channels]
    if panel.frequency_channels:
        found["frequency_channel"] = list(panel.frequency_channels)
        if others := [c for c in panel.channels if c not in panel.frequency_channels]:
            found["exposure_channel"] = others
    found |= control_coords(spec, panel)
    if spec.seasonality is not None:
        found["season_term"] = list(spec.seasonality.names)
    if spec.events is not None:
        found["event"] = list(spec.events.names)
    if spec.smooth_trend is not None:
        found["trend_term"] = np.arange(spec.smooth_trend.terms)
    if spec.time_varying is not None:
        found["effect_term"] = np.arange(spec.time_varying.terms)
    if spec.lift_tests:
        found["lift_test"] = [test.label for test in spec.lift_tests]
    return found


def _when(panel: MediaPanel, training: MediaPanel) -> tuple[int, int]:
    """Return where a panel begins among the dates of training, and its periods after them."""
    first = int(training.dates.searchsorted(panel.dates[0]))
    return first, first + panel.n_dates - training.n_dates


def _walk(spec: MediaMix, panel: MediaPanel, training: MediaPanel) -> Tensor | None:
    """Return exp(w), the factor of each channel's effect in each period (channel, date)."""
    process = spec.time_varying
    if process is None:
        return None
    first, ahead = _when(panel, training)
    basis = pm.Data(
        "effect_basis", process.basis(training.n_dates, ahead)[first:], dims=("date", "effect_term")
    )
    scale = process.scale(
        spec.prior("effect_amplitude").variable("effect_amplitude", dims="channel"),
        spec.prior("effect_lengthscale").variable("effect_lengthscale"),
    )
    weight = pm.Normal("effect_weight", 0.0, scale, dims=("channel", "effect_term"))
    return pt.exp(pt.matmul(weight, pt.as_tensor(basis).T))


def _response(
    spec: MediaMix,
    panel: MediaPanel,
    scaling: Scaling,
    parameters: Mapping[str, Tensor],
    reach: Reached | None,
    walk: Tensor | None,
) -> Tensor:
    """Return h, the saturated and carried exposure of each channel (channel, region, date)."""
    lagged = lags(scaling.scale_exposure(panel.data["exposure"].to_numpy()), spec.adstock.max_lag)
    exposure = pm.Data("lagged_exposure", lagged, dims=("channel", "region", "date", "lag"))
    response = curve(spec, parameters, exposure, lagged.shape, reach)
    return response if walk is None else response * walk[:, None, :]


def _baseline(spec: MediaMix, panel: MediaPanel, training: MediaPanel) -> Tensor:
    """Return trend, season, events, dates and regions, broadcastable to (region, date)."""
    first, ahead = _when(panel, training)
    basis = pm.Data(
        "knot_basis", knot_basis(training.n_dates, spec.knots, ahead)[first:], dims=("date", "knot")
    )
    baseline = pt.dot(basis, spec.prior("knot_value").variable("knot_value", dims="knot"))[None, :]
    if spec.smooth_trend is not None:
        process = spec.smooth_trend
        terms = pm.Data(
            "trend_basis",
            process.basis(training.n_dates, ahead)[first:],
            dims=("date", "trend_term"),
        )
        scale = process.scale(
            spec.prior("trend_amplitude").variable("trend_amplitude"),
            spec.prior("trend_lengthscale").variable("trend_lengthscale"),
        )
        weight = pm.Normal("trend_weight", 0.0, scale, dims="trend_term")
        baseline = baseline + pt.dot(terms, weight)[None, :]
    if spec.seasonality is not None:
        baseline = baseline + _season(spec, panel)
    if spec.events is not None:
        days = pm.Data(
            "event_basis", spec.events.basis(panel.dates, panel.period), dims=("date", "event")
        )
        effect = spec.prior("event_effect").variable("event_effect", dims="event")
        baseline = baseline + pt.dot(days, effect)[None, :]
    if spec.date_effects:
        sd = spec.prior("date_sd").variable("date_sd")
        baseline = baseline + pm.Normal("date_effect", 0.0, sd, dims="date")[None, :]
    if len(panel.regions) > 1:
        baseline = baseline + _intercepts(spec, panel)[:, None]
    return baseline


def _season(spec: MediaMix, panel: MediaPanel) -> Tensor:
    """Return the season, (1, date) or (region, date)."""
    assert spec.seasonality is not None
    terms = pm.Data(
        "season_basis", spec.seasonality.basis(panel.dates), dims=("date", "season_term")
    )
    season = spec.prior("season_effect").variable("season_effect", dims="season_term")
    if not (spec.seasonality.by_region and len(panel.regions) > 1):
        return pt.dot(terms, season)[None, :]
    sd = spec.prior("season_sd").variable("season_sd")
    by_region = pm.Normal("region_season_effect", season, sd, dims=("region", "season_term"))
    return pt.matmul(by_region, pt.as_tensor(terms).T)


def _intercepts(spec: MediaMix, panel: MediaPanel) -> Tensor:
    """Return tau (region,)."""
    if spec.intercept == "partial":
        sd = spec.prior("intercept_sd").variable("intercept_sd")
        return pm.Normal("region_intercept", 0.0, sd, dims="region")
    size = (
        panel.data["population"] if "population" in panel.data else panel.data["sales"].sum("date")
    )
    reference = int(np.argmax(size.to_numpy()))
    others = [r for i, r in enumerate(panel.regions) if i != reference]
    pm.modelcontext(None).add_coords({"other_region": others})
    free = spec.prior("region_intercept").variable("intercept_difference", dims="other_region")
    full = pt.concatenate([free[:reference], pt.zeros(1), free[reference:]])
    return pm.Deterministic("region_intercept", full, dims="region")


def _observe(spec: MediaMix, panel: MediaPanel, expected: Tensor, unit: Tensor) -> None:
    """Add the likelihood of the observed region-weeks."""
    family = spec.likelihood
    parameters = {name: spec.prior(name).variable(name) for name in family.priors}
    sales = panel.data["sales"].to_numpy()
    if panel.balanced:
        observed = pm.Data("observed_sales", sales, dims=("region", "date"))
        family.observe(expected, unit, parameters, observed=observed, dims=("region", "date"))
        return
    region, date = np.nonzero(panel.observed.to_numpy())
    pm.modelcontext(None).add_coords({"region_date": np.arange(region.size)})
    observed = pm.Data("observed_sales", sales[region, date], dims="region_date")
    units = pt.broadcast_to(unit, sales.shape)[region, date]
    family.observe(expected[region, date], units, parameters, observed=observed, dims="region_date")


def _lift_tests(
    spec: MediaMix,
    panel: MediaPanel,
    scaling: Scaling,
    effect: Tensor,
    parameters: Mapping[str, Tensor],
    reach: Reached | None,
    walk: Tensor | None,
    unit: Tensor,
) -> None:
    """Add the likelihood of measured lifts."""
    now = panel.data["exposure"].to_numpy()
    modelled = []
    for i, test in enumerate(spec.lift_tests):
        place = panel.channels.index(test.channel)
        other, counted = test.otherwise(panel)
        # Only the regions and dates whose sales are counted are computed.
        regions = np.flatnonzero(counted.any(axis=1))
        dates = np.flatnonzero(counted.any(axis=0))
        plans = np.stack([now[:, :, place], other], axis=-1)
        scaled = plans / scaling.population[:, None, None] / scaling.exposure[place]
        lagged = lags(scaled, spec.adstock.max_lag)[:, regions][:, :, dates]
        both = pm.Data(f"lift_exposure_{i}", lagged)
        own = _of_channel(parameters, panel.channels[place], regions)
        again = None if reach is None else reach.of_plans(place, regions, dates)
        # The two plans stand where channels usually do.
        response = curve(spec, own, both, lagged.shape, again)
        change = (response[0] - response[1]) * effect[regions, place][:, None]
        if walk is not None:
            change = change * walk[place][dates][None, :]
        seen = counted[np.ix_(regions, dates)].astype(float)
        modelled.append((change * unit[regions] * seen).sum())
    mean = pm.Deterministic("modelled_lift", pt.stack(modelled), dims="lift_test")
    lift = pm.Data("observed_lift", np.asarray([t.lift for t in spec.lift_tests], dtype=float))
    se = np.asarray([t.se for t in spec.lift_tests], dtype=float)
    pm.Normal("lift", mean, se, observed=lift, dims="lift_test")


def _of_channel(
    parameters: Mapping[str, Tensor], channel: str, regions: np.ndarray
) -> dict[str, Tensor]:
    """Return the curve parameters of one channel, for two plans in its stead."""
    model = pm.modelcontext(None)
    out = {}
    for name, value in parameters.items():
        dim = model.named_vars_to_dims[value.name][-1]
        if channel not in model.coords[dim]:
            continue
        place = list(model.coords[dim]).index(channel)
        one = value[:, place][regions] if value.ndim == 2 else value[place]
        out[name] = pt.stack([one, one], axis=-1)
    return out
