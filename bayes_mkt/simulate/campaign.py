"""A randomised campaign whose effect on every customer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt import dims, seeds
from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["SimulatedCampaign", "campaign"]


@dataclass(frozen=True)
class SimulatedCampaign:
    """A simulated campaign, the arguments that read it, and the truth behind it.

    Parameters
    ----------
    frame
        One row for each customer: `arm`, `bought` (0 or 1), `spent` (EUR), features `recency`
        (months), `value` (EUR in the last year), `category`, `newbie`, and `segment`, the cell of
        recency and value that a marketer would use.
    truth
        `probability` (customer, arm) of buying under each arm; `uplift` (customer, arm) and its
        mean `ate` (arm), 0 for the control; `expected_revenue` (customer, arm) in EUR.
    columns
        Keyword arguments of `Campaign.from_frame`.
    """

    frame: pd.DataFrame
    truth: xr.Dataset
    columns: Mapping[str, Any]


def campaign(
    *,
    customers: int = 10_000,
    arms: int = 2,
    base_rate: float = 0.1,
    effect: float = 0.4,
    heterogeneity: float = 1.0,
    seed: int,
) -> SimulatedCampaign:
    """Simulate a randomised campaign.

    The log-odds of buying fall with recency and rise with past value; a treatment adds `effect`,
    more to lapsed customers of the category that it shows and less to others, in proportion to
    `heterogeneity`. Buyers spend gamma amounts (shape 2) whose mean rises with past value.

    Parameters
    ----------
    customers
        Number of customers.
    arms
        Arms, the control among them; treatment k shows category k.
    base_rate
        Share of controls that buy, about.
    effect
        Mean addition to the log-odds; 0 with `heterogeneity` 0 for a campaign without effect.
    heterogeneity
        Spread of the effects over customers.
    seed
        Integer.

    Raises
    ------
    SpecError
        If a size or rate is out of range.

    Examples
    --------
    >>> world = campaign(customers=2_000, seed=1)
    >>> (world.truth["ate"] > 0).to_numpy().tolist()
    [False, True]
    """
    if customers < 10 or arms < 2:
        raise SpecError(f"customers={customers}, arms={arms}: needs 10 customers and 2 arms.")
    if not 0 < base_rate < 1:
        raise SpecError(f"base_rate={base_rate!r} must lie between 0 and 1.")
    rng = seeds.generator(seed, "campaign")
    recency = rng.integers(1, 13, customers)
    value = rng.lognormal(5.0, 0.8, customers)
    category = rng.integers(0, arms, customers)  # one more than treatments: nobody's favourite
    newbie = rng.random(customers) < 0.4
    log_value = (np.log(value) - 5.0) / 0.8
    base = np.log(base_rate / (1 - base_rate)) - 0.08 * (recency - 6.5) + 0.3 * log_value
    base = base - 0.3 * newbie
    lift = np.zeros((customers, arms))
    for k in range(1, arms):
        match = np.where(category == k - 1, 0.6, -0.6 / max(arms - 1, 1))
        lift[:, k] = effect + heterogeneity * (match + 0.06 * (recency - 6.5))
    probability = 1 / (1 + np.exp(-(base[:, None] + lift)))
    mean_spend = 40.0 * np.exp(0.2 * log_value)
    arm = rng.integers(0, arms, customers)
    bought = rng.random(customers) < probability[np.arange(customers), arm]
    spent = np.where(bought, rng.gamma(2.0, mean_spend / 2.0), 0.0)
    names = ["none", *(f"mail {k}" for k in range(1, arms))]
    tier = np.digitize(value, np.quantile(value, [1 / 3, 2 / 3]))
    frame = pd.DataFrame(
        {
            "customer": [f"c{i}" for i in range(customers)],
            "arm": np.array(names, dtype=object)[arm],
            "bought": bought.astype(int),
            "spent": spent,
            "recency": recency,
            "value": value,
            "category": np.array([f"category {c + 1}" for c in category], dtype=object),
            "newbie": newbie.astype(int),
            "segment": [
                f"{'recent' if r <= 6 else 'lapsed'}, value {t + 1}"
                for r, t in zip(recency, tier, strict=True)
            ],
        }
    )
    columns = {
        "treated": "arm",
        "outcome": "bought",
        "revenue": "spent",
        "features": ["recency", "value", "category", "newbie"],
        "segment": "segment",
        "customer": "customer",
        "control": "none",
        "currency": "EUR",
    }
    return SimulatedCampaign(frame, _truth(frame, names, probability, mean_spend), columns)


def _truth(
    frame: pd.DataFrame, names: list[str], probability: Array, mean_spend: Array
) -> xr.Dataset:
    """Return what is known of every customer."""
    here = (dims.CUSTOMER, dims.ARM)
    coords = {dims.CUSTOMER: frame["customer"].to_numpy(dtype=object), dims.ARM: names}
    chance = xr.DataArray(probability, dims=here, coords=coords, attrs={"units": "1"})
    uplift = (chance - chance.isel({dims.ARM: 0}, drop=True)).assign_attrs(units="1")
    revenue = chance * xr.DataArray(mean_spend, dims=dims.CUSTOMER)
    return xr.Dataset(
        {
            "probability": chance,
            "uplift": uplift,
            "ate": uplift.mean(dims.CUSTOMER),
            "expected_revenue": revenue.assign_attrs(units="EUR per customer"),
        }
    )
