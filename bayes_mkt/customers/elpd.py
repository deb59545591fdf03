"""Leave-one-out cross-validation of hazard models, customer by customer, on counted rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.utils import ELPDDataLOO
from numpy.typing import NDArray
from scipy import special

from bayes_mkt.customers.hazard import HazardModel
from bayes_mkt.customers.risks import cause_fits
from bayes_mkt.customers.rows import BY_ROW, ENDED, OPEN
from bayes_mkt.dims import CUSTOMER, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["survival_compare", "survival_loo"]

Array = NDArray[Any]
ROW: Final = "row"
ENTRIES: Final = 2**24  # draws x rows that are held at once


def survival_loo(
    fit: Fit, *, draws: int | None = 2000, allow_unconverged: bool = False
) -> ELPDDataLOO:
    """Return the expected log predictive density of customers who weren't fitted, by PSIS-LOO.

    For customer i with the wait y_i, importance weights 1 / p(y_i | theta) of the posterior's
    draws, their tail smoothed by a Pareto distribution, stand for a fit without the customer:

        elpd = sum_i log p(y_i | y_-i).

    A row of w customers who are alike is w terms, each leaving out *one* of them; it is computed
    once. The densities by row are those of the fitted graph.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn`, `ParametricSurvival` or `CompetingRisks`.
    draws
        How many draws to use, of all chains, evenly spaced; None takes all.
    allow_unconverged
        Whether to answer from draws whose verdict failed.

    Returns
    -------
    arviz_stats.utils.ELPDDataLOO
        ArviZ's result: `elpd`, `se`, `p`, and by customer `elpd_i` and `pareto_k`. Above `good_k`
        the customer's term isn't reliable.

    Raises
    ------
    SpecError
        If covariates change within spells: rows then don't hold whole customers; if the likelihood
        was expanded.

    References
    ----------
    Vehtari, Gelman, Gabry (2017), Statistics and Computing 27.
    """
    usable(fit, allow_unconverged)
    rows = fit.data.data
    _refuse_episodes(fit)
    _refuse_expanded(fit)
    part = _thinned(fit, draws)
    informed = np.flatnonzero((rows["duration"] > rows["entry"]).values)
    by_row = log_likelihood(part)
    total = part.posterior.sizes["chain"] * part.posterior.sizes["draw"]
    size = max(ENTRIES // total, 1)
    free = [rv.name for rv in fit.target.model.free_RVs]
    elpd, pareto, expected = ([np.zeros(0)] for _ in range(3))
    found: Any = None
    for start in range(0, len(informed), size):
        some = by_row[:, :, informed[start : start + size]]
        tree = xr.DataTree.from_dict(
            {
                "/posterior": part.posterior[free],
                "/log_likelihood": xr.Dataset({"spell": ((*SAMPLE, ROW), some)}),
            }
        )
        found = arviz_stats.loo(tree, pointwise=True)
        elpd.append(found.elpd_i.to_numpy())
        pareto.append(found.pareto_k.to_numpy())
        expected.append(special.logsumexp(some, axis=(0, 1)) - np.log(total))
    weight = rows["count"].values[informed].astype(int)
    each, k, full = (np.repeat(np.concatenate(v), weight) for v in (elpd, pareto, expected))
    count = len(each)
    return ELPDDataLOO(
        elpd=float(each.sum()),
        se=float(np.sqrt(count) * each.std(ddof=1)),
        p=float((full - each).sum()),
        n_samples=total,
        n_data_points=count,
        scale="log",
        warning=bool((k > found.good_k).any()),
        good_k=found.good_k,
        elpd_i=xr.DataArray(each, dims=CUSTOMER),
        pareto_k=xr.DataArray(k, dims=CUSTOMER),
    )


def survival_compare(
    fits: Mapping[str, Fit], *, draws: int | None = 2000, allow_unconverged: bool = False
) -> pd.DataFrame:
    """Return hazard models side by side: elpd, differences with their errors, stacking weights.

    Parameters
    ----------
    fits
        Name -> a fit, of the same customers.
    draws, allow_unconverged
        As in `survival_loo`.

    Returns
    -------
    DataFrame
        ArviZ's comparison, the best first: `elpd`, its difference from the best `elpd_diff` and
        that difference's standard error `dse`, over customers; `p`, the effective number of
        parameters; stacking `weight`; `diag_elpd` and `diag_diff`, what makes a figure doubtful.

    Raises
    ------
    SpecError
        If the fits are of different customers, waits, or resolutions of time.
    """
    if len(fits) < 2:
        raise SpecError("Give two fits or more, by name.")
    first = next(iter(fits.values()))
    for name, fit in fits.items():
        _refuse_episodes(fit)
        if not _same(first, fit):
            raise SpecError(
                f"fits[{name!r}] is of other customers, waits, events or resolution than the first "
                "fit: densities of different things can't be compared. Fit one and the same data."
            )
    results = {
        name: survival_loo(fit, draws=draws, allow_unconverged=allow_unconverged)
        for name, fit in fits.items()
    }
    table: pd.DataFrame = arviz_stats.compare(results, round_to="none")
    return table


def log_likelihood(fit: Fit) -> Array:
    """Return the log-likelihood of one customer of each row (chain, draw, row)."""
    sizes = fit.posterior.sizes
    out = np.zeros((sizes["chain"] * sizes["draw"], fit.data.data.sizes[ROW]))
    for part in cause_fits(fit).values():
        own = part.data.data["event"].values > 0
        names = [BY_ROW[name] for name, chosen in ((ENDED, own), (OPEN, ~own)) if chosen.any()]
        for where, (result,) in part.target.evaluate(part.posterior, names):
            for name, chosen in ((BY_ROW[ENDED], own), (BY_ROW[OPEN], ~own)):
                if name in result:
                    out[where, chosen] += result[name]
    return out.reshape(sizes["chain"], sizes["draw"], -1)


def _thinned(fit: Fit, draws: int | None) -> Fit:
    """Return the fit with about as many draws as asked for."""
    if draws is None:
        return fit
    if draws < 100:
        raise SpecError(f"draws={draws!r} must be at least 100, or None for all.")
    sizes = fit.posterior.sizes
    step = max(sizes["chain"] * sizes["draw"] // draws, 1)
    tree = xr.DataTree.from_dict({"/posterior": fit.posterior.isel(draw=slice(None, None, step))})
    tree.attrs = dict(fit.draws.attrs)
    return Fit(fit.spec, fit.data, tree, fit.diagnostics)


def _refuse_episodes(fit: Fit) -> None:
    if fit.data.episodic:
        raise SpecError(
            "The data have covariates that change in a spell: rows are episodes, and which of them "
            "are one customer's isn't kept. Score the models on customers acquired later."
        )


def _refuse_expanded(fit: Fit) -> None:
    for part in cause_fits(fit).values():
        if isinstance(part.spec, HazardModel) and part.spec.expands(part.data):
            raise SpecError(
                f"The likelihood of {part.data.data.sizes[ROW]:,} rows was expanded, so what each "
                "adds isn't known. Score the models on customers acquired later, or fit a sample "
                "of the customers with likelihood='exact'."
            )


def _same(one: Fit, other: Fit) -> bool:
    """Return whether two fits are of the same waits, row by row."""
    a, b = one.data.data, other.data.data
    names = ("entry", "duration", "event", "count")
    return (
        one.data.resolution == other.data.resolution
        and one.data.unit == other.data.unit
        and one.data.causes == other.data.causes
        and all(np.array_equal(a[name].values, b[name].values) for name in names)
    )
