"""What a page shows of each region: expected sales, mean contributions, quantiles of curves."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import xarray as xr

from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.fit import Fit, usable
from bayes_mkt.media_mix.counterfactual import CELLS, lagged
from bayes_mkt.media_mix.estimand import Estimand, Question

MULTIPLIERS: Final = tuple(0.25 * i for i in range(9))
MOST_REGIONS: Final = 60
CURVE_DRAWS: Final = 1000
TOGETHER: Final = "All regions"
DIMS: Final = {
    "observed": (REGION, DATE),
    "expected": (REGION, DATE, "bound"),
    "baseline": (REGION, DATE),
    "contribution": (REGION, DATE, CHANNEL),
    "curve": (REGION, CHANNEL, "multiplier", "bound"),
    "spend": (REGION, CHANNEL),
}


def regional_summary(
    fit: Fit,
    estimand: Estimand,
    expected: xr.DataArray,
    *,
    interval: float,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return sales, contributions and response curves by region, and of all regions together.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question that the curves answer.
    expected
        Draws of expected sales, ``chain, draw, region, date``, NaN where sales aren't observed.
    interval
        Probability inside the intervals.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Over `region` (all together first, where there are several, then at most 60 by their
        sales), `date`, `channel`, `multiplier` and `bound` (low, median, high): `observed`
        (region, date); `expected` (region, date, bound); `baseline` (region, date) and
        `contribution` (region, date, channel), posterior means; `curve` (region, channel,
        multiplier, bound), incremental sales; `spend` (region, channel), of the window, exposure
        for a channel without spend. Curves are from 1,000 evenly spaced draws.
    """
    marks = usable(fit, allow_unconverged)
    panel = fit.data
    question = estimand.resolve(panel, fit.spec.adstock.max_lag)
    probabilities = [(1 - interval) / 2, 0.5, (1 + interval) / 2]
    seen = panel.observed.to_numpy()
    sales = panel.data["sales"].to_numpy()
    parts = _mean_contributions(fit)
    draws = expected.transpose("chain", "draw", REGION, DATE).to_numpy()
    draws = draws.reshape(-1, *draws.shape[2:])
    curves, all_curves = _curves(fit, question, probabilities)
    media = panel.data["spend"].to_numpy()
    paid = np.asarray([c in panel.paid_channels for c in panel.channels])
    media = np.where(paid, media, panel.data["exposure"].to_numpy()) * question.paid[:, :, None]
    spend = media.sum(axis=1)
    names = list(panel.regions)
    order = np.sort(np.argsort(-np.nansum(sales, axis=1), kind="stable")[:MOST_REGIONS])
    bands = np.stack([_bands(draws[:, g], probabilities) for g in order])
    base = np.where(seen, draws.mean(axis=0) - parts.sum(axis=-1), np.nan)
    shown = np.where(seen[:, :, None], parts, np.nan)
    found = {
        "observed": sales[order],
        "expected": bands,
        "baseline": base[order],
        "contribution": shown[order],
        "curve": curves[order],
        "spend": spend[order],
    }
    labels = [names[g] for g in order]
    if len(names) > 1:
        total = {
            **_together(sales, draws, base, shown, probabilities),
            "curve": all_curves,
            "spend": spend.sum(axis=0),
        }
        found = {key: np.concatenate([total[key][None], values]) for key, values in found.items()}
        labels = [TOGETHER, *labels]
    units = {
        name: {"units": panel.data["sales"].attrs["units"]} for name in DIMS if name != "spend"
    }
    units["spend"] = {"units": panel.currency or "currency"}
    return xr.Dataset(
        {name: (DIMS[name], values, units[name]) for name, values in found.items()},
        coords={
            REGION: labels,
            DATE: panel.data[DATE],
            CHANNEL: list(panel.channels),
            "multiplier": list(MULTIPLIERS),
            "bound": ["low", "median", "high"],
            "paid": (CHANNEL, paid),
        },
        attrs={"regions": len(names), **marks},
    )


def _together(
    sales: np.ndarray,
    draws: np.ndarray,
    base: np.ndarray,
    parts: np.ndarray,
    probabilities: list[float],
) -> dict[str, np.ndarray]:
    """Return sums over regions on each date, of the regions observed then."""
    seen = np.isfinite(sales).any(axis=0)
    whole = np.where(seen, np.nansum(draws, axis=1), np.nan)
    return {
        "observed": np.where(seen, np.nansum(sales, axis=0), np.nan),
        "expected": _bands(whole, probabilities),
        "baseline": np.where(seen, np.nansum(base, axis=0), np.nan),
        "contribution": np.where(seen[:, None], np.nansum(parts, axis=0), np.nan),
    }


def _bands(draws: np.ndarray, probabilities: list[float]) -> np.ndarray:
    """Return quantiles of draws (draw, date) as (date, bound), NaN where nothing is observed."""
    out = np.full((draws.shape[1], len(probabilities)), np.nan)
    known = np.isfinite(draws).all(axis=0)
    out[known] = np.quantile(draws[:, known], probabilities, axis=0).T
    return out


def _mean_contributions(fit: Fit) -> np.ndarray:
    """Return the posterior mean of each channel's contribution (region, date, channel)."""
    total = np.zeros(tuple(fit.data.data.sizes[d] for d in CELLS))
    count = 0
    for where, (result,) in fit.target.evaluate(
        fit.posterior, ["media_contribution"], hold=("effect",)
    ):
        total = total + result["media_contribution"].sum(axis=0)
        count += where.stop - where.start
    return total / count


def _curves(
    fit: Fit, question: Question, probabilities: list[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles of incremental sales by region, and of their sum over regions."""
    now = fit.data.data["exposure"].to_numpy()
    changed = question.changed[:, :, None]
    factors = [f for f in MULTIPLIERS if f > 0]
    plans = [np.where(changed, now * factor, now) for factor in (0.0, *factors)]
    sets = [{"lagged_exposure": lagged(fit, plan)} for plan in plans]
    posterior = fit.posterior
    every = math.ceil(posterior.sizes["chain"] * posterior.sizes["draw"] / CURVE_DRAWS)
    posterior = posterior.isel(draw=slice(None, None, every))
    counted = question.counted.astype(float)
    rows: list[np.ndarray] = []
    for _, (off, *on) in fit.target.evaluate(
        posterior, ["media_contribution"], data=sets, hold=("effect",)
    ):
        before = off["media_contribution"]
        gained = [
            np.einsum("zgtm,gt->zgm", plan["media_contribution"] - before, counted) for plan in on
        ]
        rows.append(np.stack([np.zeros_like(gained[0]), *gained], axis=-1))
    draws = np.concatenate(rows)
    by_region = np.quantile(draws, probabilities, axis=0)
    together = np.quantile(draws.sum(axis=1), probabilities, axis=0)
    return np.moveaxis(by_region, 0, -1), np.moveaxis(together, 0, -1)
