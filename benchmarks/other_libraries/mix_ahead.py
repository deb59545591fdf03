# /// script
# requires-python = ">=3.12,<3.14"
# dependencies = [
#     "pymc-marketing==1.3.0",
#     "nutpie==0.16.11",
# ]
# ///
"""Sales ahead by pymc-marketing with nutpie; the lines above are its environment.

Reads a folder with `in.npz`: sales (region, date), NaN where unseen; media (region, date, channel);
controls (region, date, control); dates; regions, channels, controls_are: names; starts: places of
the first dates ahead; and `options.json`: horizon, max_lag, saturation, season, knots, pooled,
draws, tune, seed, parts: null, or a folder in which each origin's answer is kept as it is made, and
looked for first. Leaves `out.npz`: draws (origin, draw, region, step); by origin seconds,
divergences, rhat, the largest of the free parameters.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# Each origin is another program: most of the time goes into compiling, which this shortens.
os.environ.setdefault("NUMBA_OPT", "1")

import arviz as az
import numpy as np
import pandas as pd
from pymc_extras.prior import Prior
from pymc_marketing.mmm import (
    GeometricAdstock,
    LinearTrend,
    LogisticSaturation,
    MichaelisMentenSaturation,
    NoSaturation,
)
from pymc_marketing.mmm.additive_effect import LinearTrendEffect
from pymc_marketing.mmm.mmm import MMM

KEPT = 1000  # draws of each forecast
CURVES = {"none": NoSaturation, "hill": MichaelisMentenSaturation, "logistic": LogisticSaturation}
HEIGHT = {"none": "saturation_beta", "hill": "saturation_alpha", "logistic": "saturation_beta"}
EACH = {"method": "max", "dims": ()}  # of each region


def model(given: dict[str, Any], options: dict[str, Any]) -> MMM:
    """Return the model: effects of regions about common ones, or the library's defaults."""
    mix = MMM(
        date_column="date",
        target_column="y",
        channel_columns=list(given["channels"]),
        control_columns=list(given["controls_are"]) or None,
        dims=("region",),
        adstock=GeometricAdstock(l_max=options["max_lag"] + 1),
        saturation=CURVES[options["saturation"]](),
        yearly_seasonality=options["season"] or None,
        scaling={"target": EACH, "channel": EACH},
        model_config=pooled(options) if options["pooled"] else None,
    )
    if options["knots"] > 1:
        trend = LinearTrend(n_changepoints=options["knots"])
        mix.mu_effects.append(LinearTrendEffect(trend=trend, prefix="trend"))
    return mix


def pooled(options: dict[str, Any]) -> dict[str, Any]:
    """Return priors that pool regions; sales and media of each region have a maximum of 1."""
    config = {
        "intercept": _about(Prior("Normal", mu=0.5, sigma=0.5), "region"),
        "adstock_alpha": Prior("Beta", alpha=1, beta=3, dims="channel"),
        "gamma_control": _about(
            Prior("Normal", mu=0, sigma=1, dims="control"), "region", "control"
        ),
        "gamma_fourier": Prior("Laplace", mu=0, b=1, dims="fourier_mode"),
        HEIGHT[options["saturation"]]: _about(
            Prior("Normal", mu=-2, sigma=1, dims="channel"), "region", "channel", transform="exp"
        ),
    }
    if options["saturation"] != "none":
        config["saturation_lam"] = Prior("LogNormal", mu=-1, sigma=1, dims="channel")
    return config


def _about(common: Prior, *dims: str, **more: Any) -> Prior:
    """Return normal effects of regions about a common one."""
    spread = Prior("HalfNormal", sigma=0.5, dims=dims[1:] or None)
    return Prior("Normal", mu=common, sigma=spread, dims=dims, centered=False, **more)


def rows(given: dict[str, Any], first: int, end: int, start: int) -> pd.DataFrame:
    """Return dates from `first` to `end` as the library reads them, for a forecast from `start`.

    The library takes missing sales for sales of zero: they are interpolated here, region by
    region, from what was seen before `start`. Controls are standardised by what was seen then.
    """
    regions, dates = given["regions"], given["dates"]
    seen = np.isfinite(given["sales"][:, :start])
    sales = pd.DataFrame(given["sales"][:, :start].T).interpolate(limit_direction="both")
    known = given["controls"][:, :start][seen]
    controls = np.nan_to_num((given["controls"] - known.mean(axis=0)) / known.std(axis=0))
    span = slice(first, end)
    count = end - first
    columns: dict[str, Any] = {
        "date": np.tile(dates[span], len(regions)),
        "region": np.repeat(regions, count),
    }
    if end <= start:
        columns["y"] = sales.to_numpy().T[:, span].ravel()
    media = given["media"]
    columns |= {c: media[:, span, k].ravel() for k, c in enumerate(given["channels"])}
    columns |= {c: controls[:, span, k].ravel() for k, c in enumerate(given["controls_are"])}
    return pd.DataFrame(columns)


def forecast(given: dict[str, Any], options: dict[str, Any], start: int) -> dict[str, Any]:
    """Return draws (draw, region, step) from one origin, seconds, divergences and R-hat."""
    past = rows(given, 0, start, start)
    ahead = rows(given, start, start + options["horizon"], start)
    mix = model(given, options)
    begun = time.perf_counter()
    mix.fit(
        past.drop(columns="y"),
        past["y"],
        draws=options["draws"],
        tune=options["tune"],
        chains=4,
        nuts_sampler="nutpie",
        random_seed=options["seed"],
        progressbar=False,
    )
    sampled = time.perf_counter()
    said = mix.sample_posterior_predictive(
        ahead,
        extend_idata=False,
        include_last_observations=True,
        random_seed=options["seed"],
        progressbar=False,
        compile_kwargs={"mode": "FAST_COMPILE"},
    )
    values = (said["y"] * mix.get_scales_as_xarray()["target_scale"]).sel(
        region=list(given["regions"])
    )
    draws = values.transpose("sample", "region", "date").to_numpy()
    free = [variable.name for variable in mix.model.free_RVs]
    rhat = az.rhat(mix.idata["posterior"].to_dataset()[free])
    return {
        "draws": draws[:: max(len(draws) // KEPT, 1)],
        "seconds": sampled - begun,
        "divergences": int(mix.idata["sample_stats"]["diverging"].sum()),
        "rhat": max(float(rhat[name].max()) for name in free),
    }


def known(given: dict[str, Any], options: dict[str, Any], start: int) -> dict[str, Any]:
    """Return what `forecast` does, from the folder of parts if it is there."""
    if options["parts"] is None:
        return forecast(given, options, start)
    folder = Path(options["parts"])
    path = folder / f"{start}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{start}.npz"
        np.savez(unfinished, **forecast(given, options, start))
        unfinished.rename(path)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def main(folder: Path) -> None:
    options = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    with np.load(folder / "in.npz", allow_pickle=False) as arrays:
        given = {name: arrays[name] for name in arrays.files}
    for name in ("regions", "channels", "controls_are"):
        given[name] = given[name].tolist()
    found = [known(given, options, int(start)) for start in given["starts"]]
    np.savez(folder / "out.npz", **{name: np.stack([f[name] for f in found]) for name in found[0]})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
