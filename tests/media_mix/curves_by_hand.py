"""The curves of the media mix in plain NumPy, loop by loop: carry-over, saturation, frequency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import bayes_mkt as bm

Array = np.ndarray
Values = Mapping[str, Array]


def curve_values(spec: bm.MediaMix, values: Values, name: str, shape: tuple[int, int]) -> Array:
    """Return a curve's parameter (region, channel), moved where it is pooled."""
    common = np.broadcast_to(values[name], shape)
    if f"{name}_offset" not in values:
        return common
    by = values[f"{name}_sd"] * values[f"{name}_offset"]
    ends = dict(spec.prior(name).parameters)
    low, high = ends.get("lower", 0.0), ends.get("upper", np.inf)
    if np.isinf(high):
        return common * np.exp(by)
    odds = (common - low) / (high - common) * np.exp(by)
    return low + (high - low) * odds / (1 + odds)


def carry(x: Array, spec: bm.MediaMix, values: Values) -> Array:
    """Return exposure (region, date, channel) carried over to the dates after it."""
    if isinstance(spec.adstock, bm.NoAdstock):
        return x
    lags = np.arange(spec.adstock.max_lag + 1)
    shape = (x.shape[0], x.shape[2])
    own = {n: curve_values(spec, values, n, shape) for n in spec.adstock.priors}
    out = np.zeros_like(x)
    for g in range(x.shape[0]):
        for m in range(x.shape[2]):
            weights = _decay(lags, spec, {n: float(v[g, m]) for n, v in own.items()})
            weights = weights / weights.sum()
            for t in range(x.shape[1]):
                for lag in lags[: t + 1]:
                    out[g, t, m] += weights[lag] * x[g, t - lag, m]
    return out


def _decay(lags: Array, spec: bm.MediaMix, values: dict[str, float]) -> Array:
    if isinstance(spec.adstock, bm.DelayedAdstock):
        return values["adstock_alpha"] ** ((lags - values["adstock_delay"]) ** 2)
    if isinstance(spec.adstock, bm.WeibullPDFAdstock):
        shape, age = values["adstock_shape"], (lags + 1) / values["adstock_scale"]
        return age ** (shape - 1) * np.exp(-(age**shape))
    return values["adstock_alpha"] ** lags


def _reached(panel: bm.MediaPanel) -> Array:
    """Return which channels came as reach and frequency."""
    return np.array([c in panel.frequency_channels for c in panel.channels])


def contacts(spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return what frequency makes of reach, (region, date, channel); 1 for other channels."""
    out = np.ones((panel.n_regions, panel.n_dates, panel.n_channels))
    own = _reached(panel)
    if not own.any():
        return out
    shape = (panel.n_regions, int(own.sum()))
    half = 0.1 + curve_values(spec, values, "frequency_half_above", shape)[:, None, :]
    slope = curve_values(spec, values, "frequency_slope", shape)[:, None, :]
    often = panel.data["frequency"].to_numpy()[:, :, own]
    out[:, :, own] = often**slope / (often**slope + half**slope)
    return out


def saturate_others(x: Array, spec: bm.MediaMix, panel: bm.MediaPanel, values: Values) -> Array:
    """Return exposure, saturated where it didn't come as reach and frequency."""
    own = _reached(panel)
    out = x.copy()
    if not own.all():
        out[:, :, ~own] = saturate(x[:, :, ~own], spec, values)
    return out


def saturate(x: Array, spec: bm.MediaMix, values: Values) -> Array:
    """Return saturated exposure (region, date, channel)."""
    shape = (x.shape[0], x.shape[2])
    own = {n: curve_values(spec, values, n, shape)[:, None, :] for n in spec.saturation.priors}
    if isinstance(spec.saturation, bm.NoSaturation):
        return x
    if isinstance(spec.saturation, bm.PowerSaturation):
        return x ** own["exponent"]
    if isinstance(spec.saturation, bm.ExponentialSaturation):
        return 1 - 0.5 ** (x / own["half_saturation"])
    slope = own["slope"] if spec.saturation.slope is None else spec.saturation.slope
    return x**slope / (x**slope + own["half_saturation"] ** slope)
