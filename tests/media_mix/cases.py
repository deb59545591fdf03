"""Panels and specifications that between them reach every branch of the model."""

from __future__ import annotations

from functools import cache

import numpy as np

import bayes_mkt as bm

SHORT = bm.GeometricAdstock(max_lag=3)


@cache
def panel(kind: str) -> bm.MediaPanel:
    """Return a small panel of one of five kinds."""
    return {
        "paid": _paid,
        "mixed": _mixed,
        "masked": _masked,
        "national": lambda: _read(_simulate(regions=1)),
        "revenue": _revenue,
    }[kind]()


def _simulate(regions: int = 3, missing: float = 0.0) -> bm.simulate.SimulatedPanel:
    return bm.simulate.media_mix(
        regions=regions, weeks=20, channels=3, controls=2, seed=1, max_lag=3, missing=missing
    )


def _read(simulated: bm.simulate.SimulatedPanel, **changes: object) -> bm.MediaPanel:
    return bm.MediaPanel.from_frame(simulated.frame, **{**simulated.columns, **changes})


def _paid() -> bm.MediaPanel:
    return _read(_simulate())


def _mixed() -> bm.MediaPanel:
    """A channel without spend stands between two with it."""
    data = _paid().data
    middle = data["channel"] == data["channel"][1]
    return bm.MediaPanel(data.assign(spend=data["spend"].where(~middle)), "EUR")


def _masked() -> bm.MediaPanel:
    """Some rows are absent; in others media ran but sales are empty."""
    simulated = _simulate(missing=0.15)
    simulated.frame.loc[::7, "sales"] = np.nan
    return _read(simulated, missing_sales="mask")


def _revenue() -> bm.MediaPanel:
    """Sales are revenue; nothing else is known."""
    return _read(_simulate(), population=None, revenue_per_sale=None, controls=(), exposure=None)


MODELS: dict[str, tuple[bm.MediaMix, str]] = {
    "meridian": (bm.MediaMix.meridian(knots=1, adstock=SHORT), "paid"),
    "baseline": (bm.MediaMix(adstock=SHORT, knots=3, seasonality=bm.Fourier(2)), "paid"),
    "full pooling": (bm.MediaMix(adstock=SHORT, pooling="full"), "paid"),
    "no pooling": (bm.MediaMix(adstock=SHORT, pooling="none"), "mixed"),
    "coefficients": (bm.MediaMix(adstock=SHORT, media_prior="coefficient"), "mixed"),
    "saturation first": (
        bm.MediaMix(
            adstock=SHORT,
            order="saturation_first",
            saturation=bm.HillSaturation(slope=None),
            intercept="reference",
        ),
        "mixed",
    ),
    "delayed": (
        bm.MediaMix(adstock=bm.DelayedAdstock(3), saturation=bm.ExponentialSaturation()),
        "paid",
    ),
    "weibull": (
        bm.MediaMix(adstock=bm.WeibullPDFAdstock(3), saturation=bm.PowerSaturation()),
        "mixed",
    ),
    "masked": (
        bm.MediaMix(adstock=SHORT, saturation=bm.HillSaturation(slope=2.0), knots=2),
        "masked",
    ),
    "national": (bm.MediaMix(adstock=SHORT, pooling="none", knots=2), "national"),
    "straight": (
        bm.MediaMix(
            adstock=bm.NoAdstock(), saturation=bm.NoSaturation(), intercept="reference", knots=2
        ),
        "revenue",
    ),
}
