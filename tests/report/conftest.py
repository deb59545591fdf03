"""Random draws in the shapes of a media-mix fit, without any model behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_mkt.report import MediaMixReport, Verdict, media_mix_html

CHANNELS = ("tv", "radio", "search", "social")


@dataclass(frozen=True)
class Finding:
    check: str
    parameter: str | None
    figure: object
    remedy: str
    failed: bool


def _panel(rng: np.random.Generator, regions: int, dates: int) -> dict[str, Any]:
    start = np.datetime64("2022-01-03", "ns")
    coords = {
        "region": [f"region {i + 1:02d}" for i in range(regions)],
        "date": start + np.arange(dates) * np.timedelta64(7, "D"),
    }
    size = rng.lognormal(0.0, 0.6, (regions, 1)) * 1e5
    mean = size * (1 + 0.2 * np.sin(np.arange(dates) / 52 * 2 * np.pi))
    expected = mean * (1 + 0.02 * rng.standard_normal((2, 50, regions, dates)))
    observed = mean * (1 + 0.05 * rng.standard_normal((regions, dates)))
    observed[0, 3:7] = np.nan
    dims = ["region", "date"]
    return {
        "expected": xr.DataArray(
            expected,
            dims=["chain", "draw", *dims],
            coords=coords,
            attrs={"units": "EUR", "long_name": "expected sales"},
        ),
        "observed": xr.DataArray(
            observed, dims=dims, coords=coords, attrs={"units": "EUR", "long_name": "sales"}
        ),
    }


def _over_time(
    rng: np.random.Generator, expected: xr.DataArray, names: list[str]
) -> dict[str, Any]:
    weeks = np.arange(expected.sizes["date"])[:, None]
    waves = np.abs(np.sin(weeks / np.linspace(4, 9, len(names)) + np.arange(len(names))))
    draws = (waves * 4e4 + 5e3) * (1 + 0.1 * rng.standard_normal((2, 50, *waves.shape)))
    contributions = xr.DataArray(
        draws,
        dims=["chain", "draw", "date", "channel"],
        coords={"date": expected["date"], "channel": names},
        attrs={"units": "EUR", "long_name": "contribution"},
    )
    baseline = expected.sum("region") - contributions.sum("channel")
    return {
        "contributions": contributions,
        "baseline": baseline.assign_attrs(units="EUR", long_name="baseline sales"),
    }


def _by_channel(rng: np.random.Generator, names: list[str]) -> dict[str, Any]:
    count = len(names)
    centre, spread = np.log(np.linspace(0.6, 3.0, count)), np.linspace(0.1, 0.4, count)
    draws = np.exp(rng.normal(centre, spread, (2, 50, count)))
    dims, coords = ["chain", "draw", "channel"], {"channel": names}

    def array(values: np.ndarray, name: str, long_name: str, units: str) -> xr.DataArray:
        attrs = {"units": units, "long_name": long_name}
        return xr.DataArray(values, dims=dims, coords=coords, name=name, attrs=attrs)

    prior = rng.lognormal(0.2, 0.9, (1, 200, count))
    return {
        "roi": array(draws, "roi", "return on investment", "1"),
        "marginal_roi": array(0.6 * draws, "marginal_roi", "marginal return on investment", "1"),
        "roi_prior": array(prior, "roi", "return on investment", "1"),
        "incremental_sales": array(1e6 * draws, "incremental_sales", "incremental sales", "EUR"),
    }


def _curves(rng: np.random.Generator, roi: xr.DataArray) -> xr.Dataset:
    count = roi.sizes["channel"]
    multiplier = np.linspace(0.0, 3.0, 25)
    today = np.linspace(1e6, 3e6, count)
    half = rng.lognormal(0.0, 0.2, (2, 50, count, 1))
    sales = (roi.values * today)[..., None] * multiplier / (multiplier + half) * (1 + half)
    dims = ("channel", "multiplier")
    attrs = {"units": "EUR", "long_name": "incremental sales"}
    return xr.Dataset(
        {
            "incremental_sales": (("chain", "draw", *dims), sales, attrs),
            "spend": (dims, today[:, None] * multiplier, {"units": "EUR"}),
        },
        coords={
            "channel": roi["channel"],
            "multiplier": multiplier,
            "observed_min": ("channel", np.full(count, 0.3)),
            "observed_max": ("channel", np.linspace(1.4, 2.0, count)),
        },
    )


def _adstock(rng: np.random.Generator, names: list[str]) -> xr.DataArray:
    kept = rng.beta(np.linspace(3, 8, len(names)), 5, (2, 50, len(names)))[..., None]
    weights = kept ** np.arange(9)
    array = xr.DataArray(
        weights / weights.sum(-1, keepdims=True),
        dims=["chain", "draw", "channel", "lag"],
        coords={"channel": names, "lag": np.arange(9)},
        attrs={"units": "1", "long_name": "adstock weight"},
    )
    array["lag"].attrs["units"] = "weeks"
    return array


def _diagnostics(rng: np.random.Generator, count: int = 40) -> xr.Dataset:
    names = [f"effect[region {i}, tv]" for i in range(count)]
    return xr.Dataset(
        {
            "rhat": ("parameter", 1.0 + 0.008 * rng.random(count)),
            "ess_bulk": ("parameter", rng.integers(400, 4000, count).astype(float)),
            "ess_tail": ("parameter", rng.integers(400, 4000, count).astype(float)),
            "mcse_mean": ("parameter", 0.01 * rng.random(count)),
        },
        coords={"parameter": names},
    )


def make_report(
    names: tuple[str, ...] = CHANNELS, *, regions: int = 15, dates: int = 104, ok: bool = True
) -> MediaMixReport:
    rng = np.random.default_rng(1)
    channels = list(names)
    panel = _panel(rng, regions, dates)
    by_channel = _by_channel(rng, channels)
    few = "Draw more: draws=4000 would give about 800."
    noted = (Finding("ess_tail", "sigma", "612, of 400 required", few, False),)
    mixed = "1.213, above 1.01 (3 parameters)"
    failures = (
        Finding("rhat", f"roi[{names[0]}]", mixed, "Draw longer chains; try pooling.", True),
        Finding("divergences", "", 12, "Raise target_accept to 0.95.", True),
    )
    text = "All chains agree: every R-hat is at most 1.01 and every ESS at least 400."
    bad = "R-hat of roi[tv] is 1.213, above 1.01: the chains have not drawn from one distribution."
    return MediaMixReport(
        title="Media mix of twelve regions, 2022 to 2023",
        verdict=Verdict(ok, text if ok else bad, noted if ok else (*noted, *failures)),
        estimand=(
            "Incremental sales from 2023-01-02 to 2023-12-25 had the spend of each channel in that "
            "window been zero, carry-over of up to 8 weeks after it included."
        ),
        facts={
            "Regions": regions,
            "Dates": f"{dates} weeks, 2022-01-03 to 2023-12-25",
            "Channels": ", ".join(names),
            "Missing region-weeks": f"4 of {regions * dates:,}",
            "Currency": "EUR",
        },
        settings={
            "seed": 1,
            "sampler": {"name": "nuts", "chains": 2, "draws": 50, "warmup": 500},
            "model": {"adstock": "geometric, max_lag 8", "saturation": "Hill", "knots": 1},
        },
        versions={"bayes_mkt": "0.1.0", "pymc": "6.4.0", "jax": "0.12.0"},
        response_curves=_curves(rng, by_channel["roi"]),
        adstock=_adstock(rng, channels),
        diagnostics=_diagnostics(rng),
        truth=dict(zip(channels, 1.1 * np.linspace(0.6, 3.0, len(channels)), strict=True)),
        **panel,
        **_over_time(rng, panel["expected"], channels),
        **by_channel,
    )


@pytest.fixture(scope="session")
def report_of() -> Callable[..., MediaMixReport]:
    return make_report


@pytest.fixture(scope="session")
def report() -> MediaMixReport:
    return make_report(regions=2, dates=30)


@pytest.fixture(scope="session")
def document(report: MediaMixReport) -> str:
    return media_mix_html(report)
