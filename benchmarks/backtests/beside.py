"""The same forecasts by pymc-marketing, scored by the same function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.backtest import scored
from benchmarks import other_libraries

PEER_NAME = "pymc-marketing 1.3.0, nutpie 0.16.11"
FORMS = {
    "pooled": "the panel's curves and covariates, regions' effects about common ones",
    "defaults": "logistic saturation and the library's own priors: each region for itself",
}
CURVES = {bm.NoSaturation: "none", bm.HillSaturation: "hill"}


def peer(
    form: str,
    panel: bm.MediaPanel,
    spec: bm.MediaMix,
    starts: Sequence[int],
    horizon: int,
    *,
    parts: Path | None = None,
    **settings: Any,
) -> tuple[xr.Dataset | None, dict[str, Any]]:
    """Return scores of pymc-marketing's forecasts, and how it went.

    Parameters
    ----------
    form
        One of `FORMS`.
    panel, spec
        The data, and the model whose curve, carry-over, trend and season it is to have.
    starts
        Places of the first dates forecast among the panel's.
    horizon
        Periods of each forecast.
    parts
        Folder in which each origin's forecast is kept as it is made, and looked for first.
    **settings
        draws, tune, seed.
    """
    data = panel.data
    arrays = {
        "sales": data["sales"].to_numpy(),
        "media": data["exposure"].to_numpy(),
        "controls": data["controls"].to_numpy(),
        "dates": panel.dates.to_numpy(),
        "regions": np.asarray(panel.regions),
        "channels": np.asarray(panel.channels),
        "controls_are": np.asarray(panel.controls, dtype=str),
        "starts": np.asarray(starts),
    }
    pooled = form == "pooled"
    options = {
        "horizon": horizon,
        "max_lag": spec.adstock.max_lag,
        "saturation": CURVES[type(spec.saturation)] if pooled else "logistic",
        "season": 0 if spec.seasonality is None else spec.seasonality.order,
        "knots": spec.knots,
        "pooled": pooled,
        **settings,
    }
    told: dict[str, Any] = {"is": FORMS[form], **options}
    try:
        theirs = other_libraries.run(
            "mix_ahead", arrays, **options, parts=None if parts is None else str(parts)
        )
    except SystemExit as failure:
        return None, {**told, "failure": str(failure)}
    told |= {
        "seconds": float(theirs["seconds"].sum()),
        "divergences": int(theirs["divergences"].sum()),
        "rhat_by_origin": theirs["rhat"].tolist(),
    }
    name = f"pymc_marketing_{form}"
    parts = [
        scored({name: own}, arrays["sales"][:, start : start + horizon], panel.regions)
        for own, start in zip(theirs["draws"], starts, strict=True)
    ]
    return xr.concat(parts, pd.Index(panel.dates[list(starts)], name="origin")), told
