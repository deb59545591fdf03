# /// script
# requires-python = ">=3.12,<3.14"
# dependencies = [
#     "pymc-marketing==1.3.0",
#     "nutpie==0.16.11",
# ]
# ///
"""One media mix by pymc-marketing with nutpie: reads a task, leaves draws and seconds.

The task states priors in the units of `bm.MediaMix`; here they are written as pymc-marketing
writes the same distribution.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Fit the task in a folder, and leave `found.json` and `draws.npz` beside it."""
    import numpy as np
    import pandas as pd

    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    frame = pd.read_csv(folder / "rows.csv", parse_dates=["date"])
    mix = stated(task)
    begun = time.perf_counter()
    mix.fit(
        frame.drop(columns="y"),
        frame["y"],
        draws=task["draws"],
        tune=task["tune"],
        chains=4,
        nuts_sampler="nutpie",
        target_accept=task["target_accept"],
        random_seed=task["seed"],
        progressbar=False,
    )
    found: dict[str, Any] = {"seconds": time.perf_counter() - begun}
    posterior = mix.idata["posterior"]
    stats = mix.idata["sample_stats"]
    found["sampling_seconds"] = posterior.attrs.get("sampling_time")
    found["divergences"] = int(stats["diverging"].sum())
    found["gradients"] = int(stats["n_steps"].sum())
    arrays = {
        f"free:{variable.name}": posterior[variable.name].transpose("chain", "draw", ...).to_numpy()
        for variable in mix.model.free_RVs
    }
    order = ("chain", "draw", *(("region",) if task["regions"] else ()), "channel")
    begun = time.perf_counter()
    for name, window in (("", {}), ("late_", dict(zip(WINDOW, task["window"], strict=True)))):
        asked = {"frequency": "all_time", "include_carryover": True, **window}
        own = mix.incrementality
        arrays[f"{name}contribution"] = (
            own.compute_incremental_contribution(**asked).transpose(*order).to_numpy()
        )
        arrays[f"{name}roi"] = own.contribution_over_spend(**asked).transpose(*order).to_numpy()
    found["answer_seconds"] = time.perf_counter() - begun
    found["channels"] = list(map(str, posterior["channel"].to_numpy()))
    np.savez(folder / "draws.npz", **arrays)
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


WINDOW = ("start_date", "end_date")


def stated(task: dict[str, Any]) -> Any:
    """Return the model that a task describes."""
    import xarray as xr
    from pymc_extras.prior import Prior
    from pymc_marketing.mmm import GeometricAdstock
    from pymc_marketing.mmm.mmm import MMM
    from pymc_marketing.mmm.scaling import FixedScaling, Scaling

    channels, given = task["channels"], task["priors"]
    by_region = ("region",) if task["regions"] else ()
    typical = xr.DataArray(task["exposure"], dims="channel", coords={"channel": channels})
    config = {
        "intercept": intercept(given, task["sales_center"] / task["sales_sd"], by_region),
        "likelihood": Prior("Normal", sigma=prior(given["sigma"])),
        "adstock_alpha": prior(given["adstock_alpha"], "channel"),
        "gamma_control": pooled(given["control_effect"], given["control_sd"], "control", by_region),
    }
    if task["season"]:
        config["gamma_fourier"] = prior(given["season_effect"], "fourier_mode")
    saturation, curve = saturated(task["saturation"], given, by_region)
    return MMM(
        date_column="date",
        target_column="y",
        channel_columns=channels,
        control_columns=task["controls"],
        dims=by_region or None,
        adstock=GeometricAdstock(l_max=task["max_lag"] + 1, normalize=True),
        saturation=saturation,
        yearly_seasonality=task["season"] or None,
        scaling=Scaling(
            target=FixedScaling(dims=(), value=task["sales_sd"]),
            channel=FixedScaling(dims=(), value=typical),
        ),
        model_config={**config, **curve},
    )


def saturated(
    name: str, given: dict[str, Any], by_region: tuple[str, ...]
) -> tuple[Any, dict[str, Any]]:
    """Return the curve and the priors of its parameters, the coefficient among them.

    The logistic curve's rate is log(3) / half-saturation: log-normal if that is.
    """
    from pymc_extras.prior import Prior
    from pymc_marketing.mmm import LogisticSaturation, MichaelisMentenSaturation

    effect = coefficient(given, by_region)
    half = given["half_saturation"]
    if name == "hill":
        own = {"saturation_alpha": effect, "saturation_lam": prior(half, "channel")}
        return MichaelisMentenSaturation(), own
    assert half["dist"] == "LogNormal", half
    mean = math.log(math.log(3.0)) - half["mu"]
    rate = Prior("LogNormal", mu=mean, sigma=half["sigma"], dims="channel")
    return LogisticSaturation(), {"saturation_beta": effect, "saturation_lam": rate}


def prior(given: dict[str, Any], dims: Any = None) -> Any:
    """Return a prior as pymc-marketing writes it."""
    from pymc_extras.prior import Prior

    parameters = {name: value for name, value in given.items() if name != "dist"}
    return Prior(given["dist"], dims=dims, **parameters)


def pooled(mean: dict[str, Any], sd: dict[str, Any], dim: str, by_region: tuple[str, ...]) -> Any:
    """Return a normal effect; of several regions, theirs about a common one."""
    from pymc_extras.prior import Prior

    if not by_region:
        return prior(mean, dim)
    return Prior(
        "Normal", mu=prior(mean, dim), sigma=prior(sd, dim), dims=(*by_region, dim), centered=False
    )


def intercept(given: dict[str, Any], center: float, by_region: tuple[str, ...]) -> Any:
    """Return the intercept, about the mean of sales, which isn't taken from them here."""
    from pymc_extras.prior import Prior

    level = Prior("Normal", mu=center, sigma=given["knot_value"]["sigma"])
    if not by_region:
        return level
    return Prior(
        "Normal", mu=level, sigma=prior(given["intercept_sd"]), dims=by_region, centered=False
    )


def coefficient(given: dict[str, Any], by_region: tuple[str, ...]) -> Any:
    """Return the coefficient; of several regions, log-normal about a common one."""
    from pymc_extras.prior import Prior

    common = given["coefficient"]
    if not by_region:
        return prior(common, "channel")
    assert common["dist"] == "LogNormal", common
    return Prior(
        "Normal",
        mu=Prior("Normal", mu=common["mu"], sigma=common["sigma"], dims="channel"),
        sigma=prior(given["effect_sd"], "channel"),
        dims=(*by_region, "channel"),
        centered=False,
        transform="exp",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
