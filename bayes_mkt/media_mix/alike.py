"""How alike regions scatter on one date: what a sum over regions needs besides each one's noise."""

from __future__ import annotations

import numpy as np

from bayes_mkt.dims import DATE, REGION
from bayes_mkt.fit import Fit

MOST_DRAWS = 50  # of each chain, for the mean from which residuals are taken
MOST = 0.999


def scatter_alike(fit: Fit) -> float:
    """Return the mean correlation between regions of what a fit leaves unexplained.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.

    Returns
    -------
    float
        From 0, as for one region, to below 1.
    """
    panel = fit.data
    if panel.n_regions < 2:
        return 0.0
    every = max(1, fit.posterior.sizes["draw"] // MOST_DRAWS)
    few = fit.posterior.isel(draw=slice(None, None, every))
    total, count = np.zeros((panel.n_regions, panel.n_dates)), 0
    for _, (result,) in fit.target.evaluate(few, ["expected_sales"]):
        total += result["expected_sales"].sum(axis=0)
        count += len(result["expected_sales"])
    sales = panel.data["sales"].transpose(REGION, DATE).to_numpy()
    return alike(sales - total / count)


def alike(residual: np.ndarray) -> float:
    """Return the mean correlation between the rows of residuals, 0 where it is negative.

        rho = sum_t sum_{g != h} r_gt r_ht / sum_t n_t (n_t - 1),

    r in units of each row's root mean square, n_t the rows seen in column t.

    Parameters
    ----------
    residual
        (region, date), NaN where nothing was seen.

    Examples
    --------
    >>> alike(np.array([[1.0, -1.0], [2.0, -2.0]])) > 0.99
    True
    >>> alike(np.array([[1.0, -1.0], [-2.0, 2.0]]))
    0.0
    """
    seen = np.isfinite(residual)
    r = np.where(seen, residual, 0.0)
    size = np.sqrt((r**2).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
    r = r / np.where(size > 0, size, 1.0)[:, None]
    n = seen.sum(axis=0)
    pairs = float((n * (n - 1)).sum())
    products = float((r.sum(axis=0) ** 2 - (r**2).sum(axis=0)).sum())
    return float(np.clip(products / pairs, 0.0, MOST)) if pairs else 0.0
