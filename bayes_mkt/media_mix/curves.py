"""Curves with their parameters: shared by regions, pooled over them, or each region's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.media_mix.model import MediaMix

Tensor = Any


def curve_parameters(spec: MediaMix, regions: int) -> dict[str, Tensor]:
    """Return the parameters of adstock and saturation, (channel,) or (region, channel).

    With partial pooling a parameter of region g is

        phi_gm = T^-1( T(phi_m) + phi_sd_m z_gm ),    z_gm ~ N(0, 1),

    T the logarithm of the distance to the prior's lower bound, the logit between two bounds, or
    nothing where there is none.
    """
    found: dict[str, Tensor] = {}
    for curve, pooling in (
        (spec.adstock, spec.adstock_pooling),
        (spec.saturation, spec.saturation_pooling),
    ):
        for name in curve.priors:
            prior = spec.prior(name)
            if pooling == "none" and regions > 1:
                found[name] = prior.variable(name, dims=("region", "channel"))
                continue
            common = prior.variable(name, dims="channel")
            if pooling == "full" or regions == 1:
                found[name] = common
                continue
            sd = spec.prior(f"{name}_sd").variable(f"{name}_sd", dims="channel")
            offset = pm.Normal(f"{name}_offset", 0.0, 1.0, dims=("region", "channel"))
            found[name] = pm.Deterministic(
                f"region_{name}", _moved(prior, common, sd * offset), dims=("region", "channel")
            )
    _say_weights(spec, found)
    return found


def _moved(prior: Prior, common: Tensor, by: Tensor) -> Tensor:
    """Return a parameter moved on the scale on which it is unbounded."""
    low, high = (np.asarray(bound) for bound in prior.bounds)
    if np.isinf(low).any():
        return common + by
    if np.isinf(high).any():
        return low + (common - low) * pt.exp(by)
    share = (common - low) / (high - low)
    return low + (high - low) * pt.sigmoid(pt.log(share) - pt.log1p(-share) + by)


def _say_weights(spec: MediaMix, parameters: Mapping[str, Tensor]) -> None:
    """Add the adstock weights to the model, to be looked at."""
    coords = pm.modelcontext(None).coords
    channels, regions = len(coords["channel"]), len(coords["region"])
    weights = adstock_weights(spec, parameters, channels, regions)
    dims: tuple[str, ...] = ("channel", "region", "lag")
    if weights.ndim == 2:
        dims = ("channel", "lag")
        weights = pt.broadcast_to(weights, (channels, spec.adstock.max_lag + 1))
    pm.Deterministic("adstock_weight", weights, dims=dims)


def adstock_weights(
    spec: MediaMix, parameters: Mapping[str, Tensor], channels: int, regions: int
) -> Tensor:
    """Return the weights, (channel, lag) or (channel, region, lag)."""
    own = {name: parameters[name] for name in spec.adstock.priors}
    if not any(value.ndim == 2 for value in own.values()):
        return spec.adstock.weights(own)
    flat = {
        name: pt.broadcast_to(value, (regions, channels)).T.reshape((channels * regions,))
        for name, value in own.items()
    }
    length = spec.adstock.max_lag + 1
    return spec.adstock.weights(flat).reshape((channels, regions, length))


def carry(
    spec: MediaMix, parameters: Mapping[str, Tensor], x: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """Return carried exposure (channel, region, date) of lagged exposure of `shape`."""
    channels, regions, dates, length = shape
    weights = adstock_weights(spec, parameters, channels, regions)
    if weights.ndim == 3:
        return pt.matmul(x, weights[:, :, :, None])[:, :, :, 0]
    flat = x.reshape((channels, regions * dates, length))
    return pt.matmul(flat, weights[:, :, None]).reshape((channels, regions, dates))


def saturate(spec: MediaMix, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return saturated exposure of x, (channel, region, date) or with a lag after these."""
    own = {}
    for name in spec.saturation.priors:
        value = parameters[name]
        shaped = value.T if value.ndim == 2 else value[:, None]
        own[name] = pt.shape_padright(shaped, x.ndim - 2)
    return spec.saturation.curve(x, own)
