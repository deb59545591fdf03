"""A campaign that may be sent, and what a propensity says that sending it would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from bayes_mkt.days import Bound, day_number
from bayes_mkt.dims import CAMPAIGN, CUSTOMER, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.scoring import score_set, standing

__all__ = ["PlannedCampaign", "campaign_gains"]


@dataclass(frozen=True)
class PlannedCampaign:
    """A campaign that may be sent.

    Parameters
    ----------
    name
        Of the campaign.
    date
        When it is sent.
    cost
        Of a contact, in currency.
    budget
        Sum of its costs allowed; None for no bound.
    excludes
        Campaigns of which a customer who gets this one may get none.
    products
        What it offers; needed where gains come from a fitted `Propensity`.
    margin
        Share of revenue that is kept.
    added
        With `products`: share of a customer's expected revenue of them that a contact adds to it,
        such as 0.1. An experiment can show it; a propensity can't.

    Examples
    --------
    >>> PlannedCampaign("spring", "2024-03-04", cost=0.4, budget=5_000.0).excludes
    ()
    """

    name: str
    date: Bound
    cost: float = 0.0
    budget: float | None = None
    excludes: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    margin: float = 1.0
    added: float | None = None

    def __post_init__(self) -> None:
        day_number(self.date, f"date of {self.name!r}")
        if self.cost < 0:
            raise SpecError(f"cost={self.cost!r} of {self.name!r} must be >= 0.")
        if self.budget is not None and self.budget < 0:
            raise SpecError(f"budget={self.budget!r} of {self.name!r} must be >= 0.")
        if self.products and (self.added is None or self.added < 0):
            raise SpecError(
                f"added={self.added!r} of {self.name!r}: state which share of the expected revenue "
                "of its products a contact adds, >= 0."
            )


def campaign_gains(
    fit: Fit,
    campaigns: Sequence[PlannedCampaign],
    *,
    log: PurchaseLog | None = None,
    max_draws: int = 100,
    seed: int | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return what sending each campaign to each customer would bring, before its cost.

    added_c margin_c P(i buys of the products within the horizon) E[amount if so].

    Parameters
    ----------
    fit
        A fitted `Propensity`.
    campaigns
        Each with `products` and `added`.
    log, max_draws, seed, allow_unconverged
        As in `audience`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, customer, campaign``, in currency; float32.

    Raises
    ------
    SpecError
        If a campaign has no products, or one is unknown.

    Notes
    -----
    Features are read as of the log's end for every campaign, whatever its date. That a contact adds
    the same share for every customer is the caller's assumption; `uplift` estimates it.
    """
    marks = usable(fit, allow_unconverged)
    log, at = standing(fit, log)
    seed = fit.seed if seed is None else seed
    parts = []
    for campaign in campaigns:
        if not campaign.products:
            raise SpecError(f"Campaign {campaign.name!r} has no products to read gains of.")
        items = log.positions(campaign.products)
        scores = score_set(fit, log, at, items, seed=seed, max_draws=max_draws)
        worth = scores.probability * scores.spend * (campaign.margin * (campaign.added or 0.0))
        shape = tuple(scores.posterior.sizes[d] for d in SAMPLE)
        values = worth.astype("float32")[:, scores.cell]
        parts.append(
            xr.DataArray(
                values.reshape(*shape, -1),
                dims=(*SAMPLE, CUSTOMER),
                coords={d: scores.posterior[d] for d in SAMPLE}
                | {CUSTOMER: log.customers[scores.known]},
            )
        )
    names = xr.DataArray([c.name for c in campaigns], dims=CAMPAIGN, name=CAMPAIGN)
    gains = xr.concat(parts, dim=names).transpose(*SAMPLE, CUSTOMER, CAMPAIGN)
    units = log.currency or "currency"
    return gains.assign_attrs(units=units, seed=seed, **marks).rename("gain")
