"""Curves with their parameters: shared by regions, pooled over them, or each region's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.media_mix.frequency import (
    FREQUENCY,
    LEAST_HALF,
    filled_frequency,
    frequency_places,
)
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.media_mix.model import MediaMix
    from bayes_mkt.media_mix.panel import MediaPanel

Tensor = Any


@dataclass(frozen=True)
class Reached:
    """Channels whose exposure is reach, and what their frequency makes of it.

    Attributes
    ----------
    places, others
        Where they stand among the channels, and where the others do.
    factor
        s(f) of average frequency f, (frequency channel, region, date, lag).
    """

    places: Sequence[int]
    others: Sequence[int]
    factor: Tensor

    def times(self, x: Tensor) -> Tensor:
        """Return x (channel, region, date, lag) with reach multiplied by s(f)."""
        return self.joined(x[list(self.others)], x[list(self.places)] * self.factor)

    def joined(self, others: Tensor, own: Tensor) -> Tensor:
        """Return both kinds of channel in the panel's order."""
        if not self.others:
            return own
        order = np.argsort([*self.others, *self.places])
        return pt.concatenate([others, own], axis=0)[order]

    def of_plans(self, place: int, regions: np.ndarray, dates: np.ndarray) -> Reached | None:
        """Return the same for two plans of one channel, in some regions and on some dates."""
        if place not in self.places:
            return None
        own = self.factor[list(self.places).index(place)][regions][:, dates]
        return Reached((0, 1), (), pt.stack([own, own]))


def reached(spec: MediaMix, panel: MediaPanel, parameters: Mapping[str, Tensor]) -> Reached | None:
    """Return the channels of a panel with reach and frequency, if there are any."""
    places = frequency_places(panel)
    if not places:
        return None
    values = np.moveaxis(filled_frequency(panel), -1, 0)
    frequency = pm.Data("frequency", values, dims=("frequency_channel", "region", "date"))
    own = {name: _beside(parameters[name], 3) for name in FREQUENCY.priors}
    saturated = FREQUENCY.curve(frequency, own)
    channels, regions, dates = values.shape
    lagged = []
    for lag in range(spec.adstock.max_lag + 1):
        before = min(lag, dates)
        start = pt.zeros((channels, regions, before))
        lagged.append(pt.concatenate([start, saturated[:, :, : dates - before]], axis=2))
    others = [m for m in range(panel.n_channels) if m not in places]
    return Reached(places, others, pt.stack(lagged, axis=-1))


def curve_parameters(spec: MediaMix, regions: int) -> dict[str, Tensor]:
    """Return the parameters of adstock and saturation, (channel,) or (region, channel).

    Adstock is that of every channel; `saturation` that of channels without frequency, the curve
    of frequency that of the others.

    With partial pooling a parameter of region g is

        phi_gm = T^-1( T(phi_m) + phi_sd_m z_gm ),    z_gm ~ N(0, 1),

    T the logarithm of the distance to the prior's lower bound, the logit between two bounds, or
    nothing where there is none.
    """
    found: dict[str, Tensor] = {}
    coords = pm.modelcontext(None).coords
    own = "frequency_channel" in coords
    others = "exposure_channel" in coords if own else True
    curves: list[tuple[Any, str, str]] = [(spec.adstock, spec.adstock_pooling, "channel")]
    if others:
        dim = "exposure_channel" if own else "channel"
        curves.append((spec.saturation, spec.saturation_pooling, dim))
    if own:
        curves.append((FREQUENCY, spec.saturation_pooling, "frequency_channel"))
    for curve, pooling, dim in curves:
        for name in curve.priors:
            prior = spec.prior(name)
            if pooling == "none" and regions > 1:
                found[name] = prior.variable(name, dims=("region", dim))
                continue
            common = prior.variable(name, dims=dim)
            if pooling == "full" or regions == 1:
                found[name] = common
                continue
            sd = spec.prior(f"{name}_sd").variable(f"{name}_sd", dims=dim)
            offset = pm.Normal(f"{name}_offset", 0.0, 1.0, dims=("region", dim))
            found[name] = pm.Deterministic(
                f"region_{name}", _moved(prior, common, sd * offset), dims=("region", dim)
            )
    if own:
        half = found["frequency_half_above"]
        dims = ("frequency_channel",) if half.ndim == 1 else ("region", "frequency_channel")
        pm.Deterministic("frequency_half_saturation", LEAST_HALF + half, dims=dims)
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


def curve(
    spec: MediaMix,
    parameters: Mapping[str, Tensor],
    exposure: Tensor,
    shape: tuple[int, ...],
    reach: Reached | None,
    factor: float = 1.0,
) -> Tensor:
    """Return the response (channel, region, date) to `factor` times lagged exposure.

    The exposure is carried before or after it saturates, as the specification says. Reach is
    multiplied by its saturated frequency, and carried.
    """
    if spec.order == "adstock_first":
        x = exposure if reach is None else reach.times(exposure)
        carried = carry(spec, parameters, x, shape)
        return saturate(spec, parameters, carried * factor if factor != 1.0 else carried, reach)
    full = saturate(spec, parameters, exposure * factor if factor != 1.0 else exposure, reach)
    return carry(spec, parameters, full if reach is None else reach.times(full), shape)


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


def saturate(
    spec: MediaMix, parameters: Mapping[str, Tensor], x: Tensor, reach: Reached | None = None
) -> Tensor:
    """Return saturated exposure of x, (channel, region, date) or with a lag after these.

    Reach isn't saturated: its frequency is.
    """
    if reach is not None and not reach.others:
        return x
    own = {name: _beside(parameters[name], x.ndim) for name in spec.saturation.priors}
    if reach is None:
        return spec.saturation.curve(x, own)
    others = spec.saturation.curve(x[list(reach.others)], own)
    return reach.joined(others, x[list(reach.places)])


def _beside(value: Tensor, ndim: int) -> Tensor:
    """Return a parameter (channel,) or (region, channel) to stand beside (channel, region, ...)."""
    return pt.shape_padright(value.T if value.ndim == 2 else value[:, None], ndim - 2)
