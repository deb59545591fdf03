"""Panels and specifications that between them reach every branch of the model."""

from __future__ import annotations

from functools import cache

import numpy as np

import bayes_mkt as bm

SHORT = bm.GeometricAdstock(max_lag=3)


@cache
def panel(kind: str) -> bm.MediaPanel:
    """Return a small panel of one of the kinds."""
    return {
        "paid": _paid,
        "mixed": _mixed,
        "masked": _masked,
        "national": lambda: _read(_simulate(regions=1)),
        "revenue": _revenue,
        "many": lambda: _read(_simulate(regions=13)),
        "reach": lambda: _read(_simulate(reached=1)),
        "organic reach": lambda: _organic(_read(_simulate(reached=2, missing=0.1))),
        "all reach": lambda: _read(_simulate(regions=1, reached=3)),
    }[kind]()


def _simulate(
    regions: int = 3, missing: float = 0.0, reached: int = 0
) -> bm.simulate.SimulatedPanel:
    return bm.simulate.media_mix(
        regions=regions,
        weeks=20,
        channels=3,
        controls=2,
        seed=1,
        max_lag=3,
        missing=missing,
        reach_frequency=reached,
    )


def _read(simulated: bm.simulate.SimulatedPanel, **changes: object) -> bm.MediaPanel:
    return bm.MediaPanel.from_frame(simulated.frame, **{**simulated.columns, **changes})


def _paid() -> bm.MediaPanel:
    return _read(_simulate())


def _mixed() -> bm.MediaPanel:
    """A channel without spend stands between two with it."""
    return _organic(_paid())


def _organic(panel: bm.MediaPanel) -> bm.MediaPanel:
    data = panel.data
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


EVENTS = bm.Events({"sale": ["2022-02-09", "2022-05-01"], "strike": ["2022-03-15"]}, spread=1)
LIFT_TESTS = (
    bm.LiftTest(
        channel="tv",
        regions=["region_02", "region_03"],
        start="2022-02-07",
        end="2022-02-28",
        outcome_end="2022-03-14",
        spend_change=3000.0,
        lift=900.0,
        se=300.0,
    ),
    bm.LiftTest(
        channel="search",
        start="2022-04-04",
        end="2022-04-18",
        spend_change=-2e5,
        lift=-500.0,
        se=400.0,
    ),
)

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
    "curves by region": (
        bm.MediaMix(
            adstock=SHORT,
            saturation=bm.HillSaturation(slope=None),
            adstock_pooling="partial",
            saturation_pooling="partial",
            smooth_trend=bm.HSGP(terms=4, boundary=2.0),
            seasonality=bm.Fourier(1, by_region=True),
            events=EVENTS,
            likelihood=bm.StudentTLikelihood(),
        ),
        "masked",
    ),
    "curves apart": (
        bm.MediaMix(
            adstock=SHORT,
            adstock_pooling="none",
            saturation_pooling="none",
            order="saturation_first",
            media_prior="mroi",
            likelihood=bm.LogNormalLikelihood(),
        ),
        "mixed",
    ),
    "varying": (
        bm.MediaMix(
            adstock=SHORT,
            pooling="full",
            saturation_pooling="partial",
            media_prior="contribution_share",
            time_varying=bm.HSGP(terms=3, boundary=2.0),
            lift_tests=LIFT_TESTS,
        ),
        "mixed",
    ),
    "meridian, all roles": (
        bm.MediaMix.meridian(adstock=SHORT, treatments={"consumer_sentiment": "min"}),
        "mixed",
    ),
    "treated": (
        bm.MediaMix(
            adstock=SHORT,
            effects="normal",
            treatments={"consumer_sentiment": 20.0, "competitor_activity": "max"},
            priors={
                "roi": bm.Prior("Normal", mu=1.0, sigma=1.0),
                "treatment_share": bm.Prior("Normal", mu=[0.1, -0.1], sigma=0.05),
            },
        ),
        "masked",
    ),
    "many, treated": (
        bm.MediaMix(adstock=SHORT, treatments={"competitor_activity": "min"}),
        "many",
    ),
    "national, treated": (
        bm.MediaMix(adstock=SHORT, treatments={"consumer_sentiment": "min"}),
        "national",
    ),
    "masked": (
        bm.MediaMix(adstock=SHORT, saturation=bm.HillSaturation(slope=2.0), knots=2),
        "masked",
    ),
    "dates": (bm.MediaMix(adstock=SHORT, knots=3, date_effects=True), "masked"),
    "national": (bm.MediaMix(adstock=SHORT, pooling="none", knots=2), "national"),
    "reach": (bm.MediaMix.meridian(knots=1, adstock=SHORT), "reach"),
    "organic reach": (
        bm.MediaMix(
            adstock=SHORT,
            order="saturation_first",
            saturation_pooling="partial",
            media_prior="mroi",
            time_varying=bm.HSGP(terms=3, boundary=2.0),
            lift_tests=LIFT_TESTS,
        ),
        "organic reach",
    ),
    "all reach": (
        bm.MediaMix(adstock=SHORT, media_prior="contribution_share", lift_tests=LIFT_TESTS[1:]),
        "all reach",
    ),
    "straight": (
        bm.MediaMix(
            adstock=bm.NoAdstock(), saturation=bm.NoSaturation(), intercept="reference", knots=2
        ),
        "revenue",
    ),
}
