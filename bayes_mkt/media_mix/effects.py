"""The effect of each channel in each region, from whatever it has its prior on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.media_mix.curves import Reached, curve
from bayes_mkt.media_mix.scaling import Scaling, revenue

if TYPE_CHECKING:
    from bayes_mkt.media_mix.model import MediaMix
    from bayes_mkt.media_mix.panel import MediaPanel

Tensor = Any
MARGIN = 0.01  # how much more media a marginal return compares with today's


def add_effects(
    spec: MediaMix,
    panel: MediaPanel,
    scaling: Scaling,
    response: Tensor,
    parameters: Mapping[str, Tensor],
    reach: Reached | None,
    walk: Tensor | None,
) -> Tensor:
    """Return beta (region, channel), added to the model with what it is made of.

    Parameters
    ----------
    response
        h (channel, region, date).
    parameters, reach, walk
        What `response` was made of; they make that to a little more media too.
    """
    several = len(panel.regions) > 1
    deviation = _deviation(spec, panel)
    blocks = stated(spec, panel)
    value = None
    if set(blocks) != {"coefficient"}:
        value = pm.Data("response_value", scaling.worth(panel), dims=("region", "date"))
    parts = []
    for name, places in blocks.items():
        kind = "unpaid_channel" if name == spec.unpaid_prior else "paid_channel"
        channel = "channel" if len(blocks) == 1 else kind
        dims = ("region", channel) if spec.pooling == "none" and several else (channel,)
        given = spec.prior(name).variable(name, dims=dims)
        if name == "coefficient":
            parts.append(given)
            continue
        sold = response
        if name == "mroi":
            lagged = pm.modelcontext(None)["lagged_exposure"]
            more = curve(spec, parameters, lagged, lagged.get_value().shape, reach, 1.0 + MARGIN)
            sold = (more if walk is None else more * walk[:, None, :]) - response
        unit = (sold[np.asarray(places)] * value).sum(axis=2).T
        total, data = _total(name, panel, places), f"{name}_total"
        if len(dims) == 2:
            parts.append(given * pm.Data(data, total) / unit)
        else:
            earned = given * pm.Data(data, total.sum(axis=0))
            parts.append(_common(spec, earned, unit, deviation[:, places]))
    joined = parts[0] if len(parts) == 1 else pt.concatenate(parts, axis=-1)
    order = np.argsort([place for places in blocks.values() for place in places])
    coefficient = joined if (order == np.arange(order.size)).all() else joined[..., order]
    additive = spec.effects == "normal"
    effect = coefficient + deviation if additive else coefficient * pt.exp(deviation)
    return pm.Deterministic("effect", effect, dims=("region", "channel"))


def stated(spec: MediaMix, panel: MediaPanel) -> dict[str, list[int]]:
    """Return the variables that have the channels' priors, and the places of their channels."""
    every = list(range(len(panel.channels)))
    if spec.media_prior in ("coefficient", "contribution_share"):
        return {spec.media_prior: every}
    paid = [panel.channels.index(c) for c in panel.paid_channels]
    found = {spec.media_prior: paid, spec.unpaid_prior: [m for m in every if m not in paid]}
    return {name: places for name, places in found.items() if places}


def _deviation(spec: MediaMix, panel: MediaPanel) -> Tensor:
    """Return how far each region's effect is from the common one (region, channel)."""
    if spec.pooling != "partial" or len(panel.regions) == 1:
        return pt.zeros((len(panel.regions), len(panel.channels)))
    sd = spec.prior("effect_sd").variable("effect_sd", dims="channel")
    return sd * pm.Normal("effect_offset", 0.0, 1.0, dims=("region", "channel"))


def _total(name: str, panel: MediaPanel, places: list[int]) -> np.ndarray:
    """Return what a prior is a share of, (region, channel): spend, `MARGIN` of it, or revenue."""
    if name in ("contribution_share", "unpaid_share"):
        return np.repeat(revenue(panel)[:, None], len(places), axis=1)
    spent = panel.data["spend"].where(panel.observed, 0.0).sum("date").to_numpy()[:, places]
    return np.asarray(spent * MARGIN if name == "mroi" else spent)


def _common(spec: MediaMix, earned: Tensor, unit: Tensor, deviation: Tensor) -> Tensor:
    """Return the coefficient (channel,) with which regions together earn `earned`.

    Parameters
    ----------
    unit
        What an effect of one earns in each region, (region, channel).
    deviation
        Of each region's effect, or of its logarithm, (region, channel).
    """
    if spec.effects == "normal":
        return (earned - (deviation * unit).sum(axis=0)) / unit.sum(axis=0)
    return earned / (pt.exp(deviation) * unit).sum(axis=0)
