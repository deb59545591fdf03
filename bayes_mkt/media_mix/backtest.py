"""How good forecasts were: rolling origins, against a seasonal-naive and a structural forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Options, fit
from bayes_mkt.media_mix.experiments import known_tests
from bayes_mkt.media_mix.forecast import forecast
from bayes_mkt.media_mix.model import MediaMix
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.media_mix.plan import MediaPlan, periods_a_year, whole
from bayes_mkt.media_mix.seasonality import Fourier

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = (0.5, 0.8, 0.95)
TOTAL = "all regions"
RATIOS = np.concatenate([[0.0], np.geomspace(1e-4, 10.0, 26)])


def backtest(
    spec: MediaMix,
    panel: MediaPanel,
    *,
    origins: int = 4,
    horizon: int = 8,
    seed: int,
    levels: Sequence[float] = LEVELS,
    **options: Unpack[Options],
) -> xr.Dataset:
    """Return how forecasts from earlier dates did, with the media that then ran.

    From each of `origins` dates, `horizon` periods apart and the last `horizon` before the end,
    the model is fitted to what lies before and forecasts what comes after. Beside it stand

    - seasonal-naive: sales of a year before (of the last period where the panel is shorter), with
      the past differences as errors;
    - structural: a random-walk level with a yearly season by region (Fourier of order 2),
      variances by maximum likelihood.

    Parameters
    ----------
    spec, panel
        As for `fit`.
    origins, horizon
        Number of forecasts, and periods of each.
    seed
        Integer.
    levels
        Probabilities of the central intervals whose coverage is counted.
    **options
        As in `fit`.

    Returns
    -------
    Dataset
        Over `forecaster` (`media_mix, seasonal_naive, structural`), `origin` (the first date
        forecast), and `region` (with ``"all regions"``, the sum): `crps`, the mean continuous
        ranked probability score of the periods, in units of sales; `covered` (with `level`), the
        share of periods inside the interval; over `origin` alone `converged`.

    Raises
    ------
    SpecError
        If the panel is too short.

    References
    ----------
    Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation.
    """
    first = first_origin(spec, panel, origins, horizon)
    starts = [first + i * horizon for i in range(origins)]
    parts, converged = [], []
    for start in starts:
        parts_here, ok = _one(spec, panel, start, horizon, seed, levels, options)
        parts.append(parts_here)
        converged.append(ok)
    origin = pd.DatetimeIndex(panel.dates[starts], name="origin")
    out = xr.concat(parts, dim=origin)
    out["converged"] = ("origin", converged)
    out["crps"].attrs = {
        "units": panel.data["sales"].attrs["units"],
        "long_name": "Continuous ranked probability score",
    }
    out["covered"].attrs = {"units": "1", "long_name": "Share inside the interval"}
    return out.assign_attrs(seed=seed, horizon=horizon)


def first_origin(spec: MediaMix, panel: MediaPanel, origins: int, horizon: int) -> int:
    """Return where the first forecast begins among the panel's dates.

    Raises
    ------
    SpecError
        If too few dates are left before it.
    """
    whole(origins, "origins", 1)
    whole(horizon, "horizon", 1)
    least = max(2 * horizon, spec.adstock.max_lag + 2, spec.knots)
    first = panel.n_dates - origins * horizon
    if first < least:
        raise SpecError(
            f"backtest: {origins} origins of {horizon} periods leave {first} of the panel's "
            f"{panel.n_dates} dates to fit; at least {least} are needed. Use fewer or shorter ones."
        )
    return first


def _one(
    spec: MediaMix,
    panel: MediaPanel,
    start: int,
    horizon: int,
    seed: int,
    levels: Sequence[float],
    options: Options,
) -> tuple[xr.Dataset, bool]:
    """Return scores of one origin, and whether the fit converged."""
    dates = panel.dates
    past = panel.between(end=str(dates[start - 1].date()))
    ahead = MediaPlan.observed(
        panel, str(dates[start].date()), str(dates[start + horizon - 1].date())
    )
    # Experiments that were yet to come were not known either.
    then = replace(spec, lift_tests=known_tests(spec.lift_tests, past, panel))
    result = fit(then, past, seed=seed, **options)
    predicted = forecast(result, ahead, seed=seed, allow_unconverged=True)["sales"]
    rng = seeds.generator(seed, f"backtest {start}")
    draws = {
        "media_mix": np.asarray(predicted.to_numpy().reshape(-1, panel.n_regions, horizon)),
        "seasonal_naive": seasonal_naive(past, horizon, rng),
        "structural": structural(past, ahead.dates, rng),
    }
    actual = ahead.data["sales"].to_numpy()
    return scored(draws, actual, panel.regions, levels), result.diagnostics.ok


def scored(
    draws: Mapping[str, np.ndarray],
    actual: np.ndarray,
    regions: Sequence[str],
    levels: Sequence[float] = LEVELS,
) -> xr.Dataset:
    """Return scores of forecasts of the same dates, by region and of all regions' sum.

    Parameters
    ----------
    draws
        Forecaster -> joint draws (draw, region, step).
    actual
        What was sold (region, step); NaN where unseen, which isn't scored. The sum counts on
        dates where every region was seen.
    regions
        Their names.
    levels
        Probabilities of the central intervals.

    Returns
    -------
    Dataset
        `crps` (forecaster, region) and `covered` (forecaster, level, region), means over steps.
    """
    seen = np.isfinite(actual)
    whole_weeks = seen.all(axis=0)
    scores, inside = [], []
    for own in draws.values():
        crps = _by_region(crps_of_draws(own, actual), seen)
        covered = [_by_region(_inside(own, actual, level), seen) for level in levels]
        total, truth = own.sum(axis=1), actual.sum(axis=0)
        crps_total = _mean(crps_of_draws(total, truth), whole_weeks)
        covered_total = [_mean(_inside(total, truth, level), whole_weeks) for level in levels]
        scores.append([*crps, crps_total])
        inside.append([[*c, t] for c, t in zip(covered, covered_total, strict=True)])
    coords = {"forecaster": list(draws), "region": [*regions, TOTAL], "level": list(levels)}
    data = {
        "crps": (("forecaster", "region"), np.asarray(scores)),
        "covered": (("forecaster", "level", "region"), np.asarray(inside)),
    }
    return xr.Dataset(data, coords=coords)


def score_table(found: xr.Dataset) -> pd.DataFrame:
    """Return CRPS and shares inside intervals by origin, forecaster and region."""
    inside = {
        f"inside {100 * float(level):g}%": found["covered"].sel(level=level, drop=True)
        for level in found["level"].to_numpy()
    }
    return xr.Dataset({"crps": found["crps"], **inside}).to_dataframe()


def crps_of_draws(draws: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return the CRPS, E|X - y| - E|X - X'| / 2, of draws (draw, ...) against actual (...).

    Examples
    --------
    >>> crps_of_draws(np.array([0.0, 2.0]), np.array(1.0)).item()
    0.5
    """
    ordered = np.sort(draws, axis=0)
    count = len(draws)
    weight = (2.0 * np.arange(1, count + 1) - count - 1.0).reshape(-1, *(1,) * (draws.ndim - 1))
    spread = (weight * ordered).sum(axis=0) / count**2
    return np.asarray(np.abs(draws - actual).mean(axis=0) - spread)


def _inside(draws: np.ndarray, actual: np.ndarray, level: float) -> np.ndarray:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray((actual >= low) & (actual <= high), dtype=float)


def _by_region(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.asarray([_mean(v, s) for v, s in zip(values, seen, strict=True)])


def _mean(values: np.ndarray, seen: np.ndarray) -> float:
    return float(values[seen].mean()) if seen.any() else np.nan


def seasonal_naive(
    panel: MediaPanel, horizon: int, rng: np.random.Generator, draws: int = 1000
) -> NDArray[np.float64]:
    """Return draws (draw, region, step): sales of a year ago plus a past difference, jointly.

    The differences of one past date are taken for all regions together, so that sums are right.
    """
    sales = panel.data["sales"].to_numpy()
    year = round(periods_a_year(panel))
    back = year if panel.n_dates > year + horizon else 1
    filled = pd.DataFrame(sales.T).ffill().bfill().to_numpy().T
    base = filled[:, panel.n_dates - back + np.arange(horizon) % back]
    if back == 1:
        # A walk: the error of h steps is that of past differences over h steps.
        out = np.empty((draws, panel.n_regions, horizon))
        for step in range(1, horizon + 1):
            change = filled[:, step:] - filled[:, :-step]
            pick = rng.integers(change.shape[1], size=draws)
            out[:, :, step - 1] = base[:, step - 1] + change[:, pick].T
        return np.asarray(out)
    change = filled[:, back:] - filled[:, :-back]
    pick = rng.integers(change.shape[1], size=(draws, horizon))
    return np.asarray(base + np.moveaxis(change[:, pick], 0, 1))


def structural(
    panel: MediaPanel, dates: pd.DatetimeIndex, rng: np.random.Generator, draws: int = 1000
) -> NDArray[np.float64]:
    """Return draws (draw, region, step) of a local level with a season, region by region.

        y_t = mu_t + x_t' b + e_t,   mu_t = mu_{t-1} + u_t,   Var(u) = q Var(e),

    mu_0 and b flat, q by restricted likelihood on a grid, Var(e) integrated out (Student t). The
    errors of regions are drawn with the correlation of their standardised residuals.
    """
    sales = panel.data["sales"].to_numpy()
    year = periods_a_year(panel)
    count = panel.n_dates
    order = 2 if count > 1.5 * year else 0
    every = pd.DatetimeIndex([*panel.dates, *dates])
    design = np.ones((len(every), 1))
    if order:
        design = np.concatenate([design, Fourier(order).basis(every)], axis=1)
    fits = [_level(sales[g], design, count) for g in range(panel.n_regions)]
    residual = np.stack([found[3] for found in fits])
    shared = np.atleast_2d(np.corrcoef(np.nan_to_num(residual)))
    root = np.linalg.cholesky(0.95 * np.nan_to_num(shared) + 0.05 * np.eye(len(fits)))
    z = np.einsum("gh,zhs->zgs", root, rng.standard_normal((draws, len(fits), len(dates))))
    freedom = np.asarray([found[2] for found in fits])
    z = z / np.sqrt(rng.chisquare(freedom, size=(draws, len(fits))) / freedom)[:, :, None]
    return np.stack([mean + z[:, g] @ chol.T for g, (mean, chol, _, _) in enumerate(fits)], axis=1)


def _level(
    sales: np.ndarray, design: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Return mean, Cholesky factor, degrees of freedom ahead, and residuals, of one region."""
    seen = np.flatnonzero(np.isfinite(sales))
    y, x = sales[seen], design[seen]
    time = np.arange(len(design), dtype=float)
    walk = np.minimum(time[:, None], time[None, :])
    best = None
    for ratio in RATIOS:
        root = np.linalg.cholesky(np.eye(len(seen)) + ratio * walk[np.ix_(seen, seen)])
        xs, ys = np.linalg.solve(root, x), np.linalg.solve(root, y)
        gram = xs.T @ xs
        weights = np.linalg.solve(gram, xs.T @ ys)
        left = ys - xs @ weights
        freedom = len(y) - x.shape[1]
        variance = float(left @ left) / freedom
        likelihood = -0.5 * freedom * np.log(variance) - np.log(np.diag(root)).sum()
        likelihood -= 0.5 * np.linalg.slogdet(gram)[1]
        if best is None or likelihood > best[0]:
            best = likelihood, ratio, root, xs, left, weights, gram, variance, float(freedom)
    assert best is not None
    _, ratio, root, xs, left, weights, gram, variance, freedom = best
    later = np.arange(count, len(design))
    cross = np.linalg.solve(root, ratio * walk[np.ix_(seen, later)])
    mean = design[later] @ weights + cross.T @ left
    gap = design[later] - cross.T @ xs
    cover = np.eye(len(later)) + ratio * walk[np.ix_(later, later)] - cross.T @ cross
    cover += gap @ np.linalg.solve(gram, gap.T)
    residual = np.full(count, np.nan)
    residual[seen] = left / np.sqrt(variance)
    return mean, np.sqrt(variance) * np.linalg.cholesky(cover), freedom, residual
