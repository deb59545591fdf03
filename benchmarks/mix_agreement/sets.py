"""The sets that pymc-marketing and Robyn publish, and one model for each, stated for both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt.media_mix.scaling import Scaling
from bayes_mkt.media_mix.seasonality import DAYS_A_YEAR
from benchmarks.environment import real_data

# What both libraries can state, in the units of `bm.MediaMix`: sales centred and in SDs, media in
# medians of their non-zero values, controls standardised.
PRIORS: dict[str, dict[str, Any]] = {
    "coefficient": {"dist": "LogNormal", "mu": -1.0, "sigma": 1.0},
    "effect_sd": {"dist": "HalfNormal", "sigma": 0.5},
    "adstock_alpha": {"dist": "Beta", "alpha": 1.0, "beta": 3.0},
    "half_saturation": {"dist": "LogNormal", "mu": 0.0, "sigma": 0.7},
    "knot_value": {"dist": "Normal", "mu": 0.0, "sigma": 2.0},
    "intercept_sd": {"dist": "HalfNormal", "sigma": 1.0},
    "control_effect": {"dist": "Normal", "mu": 0.0, "sigma": 1.0},
    "control_sd": {"dist": "HalfNormal", "sigma": 0.5},
    "season_effect": {"dist": "Normal", "mu": 0.0, "sigma": 0.5},
    "sigma": {"dist": "HalfNormal", "sigma": 1.0},
}
LATE = 52


@dataclass(frozen=True)
class DayOfYear(bm.Fourier):
    """A season that begins anew on each 1 January, as pymc-marketing counts it.

    `bm.Fourier` counts days through: after a leap year the two are up to a day apart.
    """

    def basis(self, dates: pd.DatetimeIndex) -> np.ndarray:
        """Return the terms at `dates`, (date, 2 x order)."""
        turns = np.asarray(dates.dayofyear)[:, None] / DAYS_A_YEAR
        angles = 2 * np.pi * turns * np.arange(1, self.order + 1)
        return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(dates), -1)


@dataclass(frozen=True)
class Case:
    """A set: its panel, the curve and the season of its model, and what is known of the truth.

    Attributes
    ----------
    truth
        ROI by channel, of the parameters taken for the simulation's, where there are any.
    source
        Where they are.
    """

    panel: bm.MediaPanel
    saturation: str = "hill"
    season: int = 2
    max_lag: int = 8
    truth: dict[str, float] | None = None
    source: str = ""

    @property
    def spec(self) -> bm.MediaMix:
        """Return the model as this package states it."""
        curve = bm.HillSaturation() if self.saturation == "hill" else bm.LogisticSaturation()
        return bm.MediaMix(
            adstock=bm.GeometricAdstock(max_lag=self.max_lag),
            saturation=curve,
            media_prior="coefficient",
            seasonality=bm.Fourier(self.season) if self.season else None,
            priors={name: bm.Prior(**given) for name, given in PRIORS.items()},
        )

    @property
    def window(self) -> tuple[str, str]:
        """Return the first and the last date of the last year."""
        dates = self.panel.dates
        return str(dates[-LATE].date()), str(dates[-1].date())

    def task(self) -> dict[str, Any]:
        """Return the model as the peer is told it."""
        scaling = Scaling.of(self.panel)
        return {
            "channels": list(self.panel.channels),
            "controls": list(self.panel.controls),
            "regions": self.panel.n_regions > 1,
            "saturation": self.saturation,
            "season": self.season,
            "max_lag": self.max_lag,
            "sales_center": scaling.sales_center,
            "sales_sd": scaling.sales_sd,
            "exposure": scaling.exposure.tolist(),
            "window": self.window,
            "priors": PRIORS,
        }

    def rows(self) -> pd.DataFrame:
        """Return the panel as the peer reads it: a row for each region and date."""
        data, scaling = self.panel.data, Scaling.of(self.panel)
        regions, dates = self.panel.n_regions, self.panel.n_dates
        controls = scaling.scale_controls(data["controls"].to_numpy())
        media = data["exposure"].to_numpy()
        columns: dict[str, Any] = {
            "date": np.tile(self.panel.dates, regions),
            "y": data["sales"].to_numpy().ravel(),
        }
        if regions > 1:
            columns["region"] = np.repeat(self.panel.regions, dates)
        columns |= {c: media[:, :, k].ravel() for k, c in enumerate(self.panel.channels)}
        columns |= {c: controls[:, :, k].ravel() for k, c in enumerate(self.panel.controls)}
        return pd.DataFrame(columns)


def mmm_example(data: Path | None) -> Case:
    """Return pymc-marketing's first example; its notebook tells how it was made."""
    frame = read(data, "pymc_marketing_mmm/mmm_example.csv")
    panel = bm.MediaPanel.from_frame(
        frame,
        sales="y",
        date="date_week",
        spend={"x1": "x1", "x2": "x2"},
        controls=["event_1", "event_2", "t"],
    )
    # y = 1000 (... + 3 s(x1; 0.4, 4) + 2 s(x2; 0.2, 3) + noise of SD 0.25), s the logistic curve
    # of the rate that comes last, after normalised geometric adstock of 8 weeks.
    truth = {
        name: 1000.0 * beta * float(_logistic(_carried(frame[name], alpha), rate).sum())
        / float(frame[name].sum())
        for name, alpha, rate, beta in (("x1", 0.4, 4.0, 3.0), ("x2", 0.2, 3.0, 2.0))
    }  # fmt: skip
    where = "the simulation in pymc-marketing's notebook mmm_example"
    return Case(panel, "logistic", max_lag=7, truth=truth, source=where)


def multidimensional(data: Path | None) -> Case:
    """Return pymc-marketing's example of two regions."""
    frame = read(data, "pymc_marketing_mmm/mmm_multidimensional_example.csv")
    frame = frame.assign(t=frame.groupby("geo").cumcount())
    panel = bm.MediaPanel.from_frame(
        frame,
        sales="y",
        date="date",
        region="geo",
        spend={"x1": "x1", "x2": "x2"},
        controls=["event_1", "event_2", "t"],
    )
    return Case(panel)


def case_study(data: Path | None) -> Case:
    """Return four years of a retailer's sales: ten channels, prices, stores, holidays."""
    frame = read(data, "pymc_marketing_mmm/case_study_data.csv")
    channels = [c.removeprefix("mdsp_") for c in frame if c.startswith("mdsp_")]
    days = [c for c in frame if c.startswith("hldy_")]
    economy = ["me_ics_all", "me_gas_dpg", "st_ct", "mrkdn_valadd_edw", "mrkdn_pdm"]
    panel = bm.MediaPanel.from_frame(
        frame.assign(t=np.arange(len(frame))),
        sales="sales",
        date="wk_strt_dt",
        spend={name: f"mdsp_{name}" for name in channels},
        controls=[*economy, "t", *days],
    )
    return Case(panel)


def robyn(data: Path | None) -> Case:
    """Return Robyn's simulated weeks, with spend as exposure, as both can have it."""
    frame = read(data, "robyn_simulated/dt_simulated_weekly.csv")
    frame = frame.assign(
        t=np.arange(len(frame)),
        event=(frame["events"] != "na").astype(float),
        competitor=frame["competitor_sales_B"],
    )
    panel = bm.MediaPanel.from_frame(
        frame,
        sales="revenue",
        date="DATE",
        spend={name: f"{name}_S" for name in ("tv", "ooh", "print", "facebook", "search")},
        controls=["competitor", "newsletter", "event", "t"],
    )
    return Case(panel)


SETS = {
    "mmm_example": mmm_example,
    "multidimensional": multidimensional,
    "case_study": case_study,
    "robyn": robyn,
}


def read(data: Path | None, name: str) -> pd.DataFrame:
    """Return a file of the data sets."""
    return pd.read_csv(real_data(data, name))


def _carried(x: pd.Series, alpha: float, lags: int = 8) -> np.ndarray:
    """Return media after normalised geometric adstock."""
    weights = alpha ** np.arange(lags)
    return np.convolve(x.to_numpy(), weights / weights.sum())[: len(x)]


def _logistic(x: np.ndarray, rate: float) -> np.ndarray:
    return np.asarray(np.tanh(0.5 * rate * x))
