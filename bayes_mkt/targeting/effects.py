"""What a fitted campaign says: effects by customer, their average, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import ARM, CHAIN, CUSTOMER, DRAW, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.frames import Problems, read_columns
from bayes_mkt.targeting.campaign import Campaign
from bayes_mkt.targeting.uplift import Uplift

__all__ = ["ate", "expected_outcome", "prob_positive", "uplift"]

Array = NDArray[Any]
Of = Literal["outcome", "revenue"]
BLOCK = 4096


def uplift(
    fit: Fit,
    customers: Campaign | object | None = None,
    *,
    of: Of = "outcome",
    max_draws: int = 400,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return each customer's effect of each arm: the conditional average treatment effect.

    E[y | x, arm] - E[y | x, control], of the outcome (a probability) or of revenue.

    Parameters
    ----------
    fit
        A fitted `Uplift`.
    customers
        A `Campaign`, or a frame with the feature columns; None takes the customers of the fit.
    of
        `"outcome"`, or `"revenue"` for a fit with `spend`.
    max_draws
        Draws of all chains together that are kept, evenly spaced: the result holds customers x
        arms x draws numbers.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, arm, customer``; float32.

    Raises
    ------
    DataError
        If a frame lacks a feature, or has levels that the model doesn't know.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Causal under the assumptions of `Campaign`.
    """
    marks = usable(fit, allow_unconverged)
    codes, names = codes_of(fit, customers)
    posterior = thin(fit.posterior, max_draws)
    cells, index = distinct(fit, codes)
    arms = fit.data.treatments
    draws = posterior.sizes[CHAIN] * posterior.sizes[DRAW]
    by_cell = np.empty((draws, len(arms), len(cells)), dtype=np.float32)

    def keep(where: slice, rows: slice, values: Array) -> None:
        lift = values[:, :, 1:] - values[:, :, :1]
        by_cell[where, :, rows] = lift.transpose(0, 2, 1)

    over_cells(fit, posterior, cells, of, keep)
    sample = tuple(posterior.sizes[d] for d in SAMPLE)
    return xr.DataArray(
        by_cell[:, :, index].reshape(*sample, len(arms), len(index)),
        dims=(*SAMPLE, ARM, CUSTOMER),
        coords={d: posterior[d] for d in SAMPLE} | {ARM: list(arms), CUSTOMER: names},
        name="uplift",
        attrs=_attrs(fit, of) | {"long_name": "Uplift", "seed": fit.seed, **marks},
    )


def ate(
    fit: Fit,
    customers: Campaign | object | None = None,
    *,
    of: Of = "outcome",
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the average treatment effect of each arm: the mean of `uplift` over customers.

    Parameters
    ----------
    fit, customers, of, allow_unconverged
        As in `uplift`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, arm``: every draw of the fit.

    Notes
    -----
    The average is over these customers. It is adjusted for their features: where arms differ by
    chance in features that matter, it differs from the raw difference in means by that much.
    """
    marks = usable(fit, allow_unconverged)
    mean = _mean_outcome(fit, customers, of)
    lift = mean.isel({ARM: slice(1, None)}) - mean.isel({ARM: 0}, drop=True)
    about = _attrs(fit, of) | {"long_name": "Average treatment effect", **marks}
    return lift.assign_attrs(about).rename("ate")


def expected_outcome(
    fit: Fit,
    customers: Campaign | object | None = None,
    *,
    of: Of = "outcome",
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the mean outcome of customers if all were given each arm, the control among them.

    Parameters
    ----------
    fit, customers, of, allow_unconverged
        As in `uplift`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, arm``.
    """
    marks = usable(fit, allow_unconverged)
    about = _attrs(fit, of) | {"long_name": "Expected outcome", **marks}
    return _mean_outcome(fit, customers, of).assign_attrs(about).rename("expected_outcome")


def prob_positive(effect: xr.DataArray, above: float = 0.0) -> xr.DataArray:
    """Return the posterior probability that an effect is above a value: the share of draws.

    Parameters
    ----------
    effect
        Draws, dims ``chain, draw, ...``, such as `uplift` or `ate` gives.
    above
        In the effect's units, such as the cost of a contact.

    Returns
    -------
    DataArray
        Without ``chain, draw``.

    Examples
    --------
    >>> float(prob_positive(xr.DataArray([[-1.0, 1.0, 2.0, 3.0]], dims=("chain", "draw"))))
    0.75
    """
    share = (effect > above).mean(SAMPLE)
    return share.assign_attrs(units="1", long_name=f"P(> {above:g})").rename("prob_positive")


def means_by_arm(fit: Fit, campaign: Campaign, of: Of) -> Array:
    """Return the posterior mean of each customer's outcome under each arm (customer, arm)."""
    cells, index = distinct(fit, campaign.data["code"].to_numpy())
    total = np.zeros((len(cells), len(campaign.arms)))

    def add(where: slice, rows: slice, values: Array) -> None:
        total[rows] += values.sum(axis=0)

    posterior = thin(fit.posterior, 400)
    over_cells(fit, posterior, cells, of, add)
    return np.asarray(total / (posterior.sizes[CHAIN] * posterior.sizes[DRAW]))[index]


def codes_of(fit: Fit, customers: Campaign | object | None) -> tuple[Array, Array]:
    """Return the codes of customers' features, and their names."""
    campaign: Campaign = fit.data
    if not isinstance(fit.spec, Uplift):
        raise SpecError(f"A fitted Uplift is needed, not {type(fit.spec).__name__}.")
    if customers is None:
        customers = campaign
    if isinstance(customers, Campaign):
        if customers.encoding != campaign.encoding:
            raise SpecError(
                "The campaign has other features or bins than the fit's. Split one campaign, or "
                "give a frame: it is read with the fit's bins."
            )
        return customers.data["code"].to_numpy(), customers.data[CUSTOMER].to_numpy()
    problems = Problems()
    wanted = campaign.encoding.wanted()
    values = read_columns(customers, wanted, problems)
    problems.raise_if_any()
    named = {key.partition(":")[2]: v for key, v in values.items()}
    codes = campaign.encoding.encode(named, problems)
    problems.raise_if_any()
    return codes, np.arange(len(codes))


def distinct(fit: Fit, codes: Array) -> tuple[Array, Array]:
    """Return the distinct rows of codes, and the row of each customer among them."""
    _, first, index = np.unique(
        fit.data.encoding.cell(codes), return_index=True, return_inverse=True
    )
    return codes[first], index


def over_cells(
    fit: Fit,
    posterior: xr.Dataset,
    cells: Array,
    of: Of,
    use: Callable[[slice, slice, Array], None],
) -> None:
    """Hand ``use(draws, cells, values)`` the expected outcome (draw, cell, arm), part by part.

    Cells go through the model in blocks of one size, so that it is compiled once; of few cells the
    size is a power of two, so that other customers seldom need another.
    """
    if of not in ("outcome", "revenue"):
        raise SpecError(f"of={of!r}: choose from 'outcome', 'revenue'.")
    if of == "revenue" and fit.spec.spend is None:
        raise SpecError("of='revenue' needs a fit with spend, such as Uplift(spend='gamma').")
    names = ["probability"] if of == "outcome" else ["probability", "buyer_spend"]
    size = min(BLOCK, 2 ** int(np.ceil(np.log2(len(cells)))))
    for start in range(0, len(cells), size):
        rows = slice(start, min(start + size, len(cells)))
        padded = np.arange(start, start + size) % len(cells)
        design = fit.data.encoding.design(cells[padded])
        for where, (found,) in fit.target.evaluate(posterior, names, data=[{"design": design}]):
            values = found["probability"]
            if of == "revenue":
                values = values * found["buyer_spend"]
            use(where, rows, values[:, : rows.stop - start])


def thin(posterior: xr.Dataset, most: int) -> xr.Dataset:
    """Return at most `most` draws of all chains together, evenly spaced."""
    if most < 1:
        raise SpecError(f"max_draws={most!r} must be at least 1.")
    each = max(most // posterior.sizes[CHAIN], 1)
    if posterior.sizes[DRAW] <= each:
        return posterior
    rows = np.linspace(0, posterior.sizes[DRAW] - 1, each).round().astype(int)
    return posterior.isel({DRAW: rows})


def _mean_outcome(fit: Fit, customers: Campaign | object | None, of: Of) -> xr.DataArray:
    codes, _ = codes_of(fit, customers)
    cells, index = distinct(fit, codes)
    weight = np.bincount(index, minlength=len(cells)) / len(index)
    posterior, arms = fit.posterior, fit.data.arms
    total = np.zeros((posterior.sizes[CHAIN] * posterior.sizes[DRAW], len(arms)))

    def add(where: slice, rows: slice, values: Array) -> None:
        total[where] += np.einsum("zca,c->za", values, weight[rows])

    over_cells(fit, posterior, cells, of, add)
    sample = tuple(posterior.sizes[d] for d in SAMPLE)
    return xr.DataArray(
        total.reshape(*sample, len(arms)),
        dims=(*SAMPLE, ARM),
        coords={d: posterior[d] for d in SAMPLE} | {ARM: list(arms)},
    )


def _attrs(fit: Fit, of: Of) -> dict[str, Any]:
    campaign: Campaign = fit.data
    currency = campaign.currency or "currency"
    outcome = fit.spec.outcome_of(campaign)
    return {
        "units": "1" if of == "outcome" else f"{currency} per customer",
        "outcome": outcome if of == "outcome" else "revenue",
    }
