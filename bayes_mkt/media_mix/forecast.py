"""Sales ahead, or looked back on, under any plan; and the difference between two plans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import DATE, REGION, SAMPLE, check_by
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.media_mix.alike import scatter_alike
from bayes_mkt.media_mix.future import Twin
from bayes_mkt.media_mix.plan import MediaPlan
from bayes_mkt.media_mix.scaling import Scaling

CELLS = (REGION, DATE)


def forecast(
    fit: Fit,
    plan: MediaPlan,
    by: Sequence[str] | str = CELLS,
    *,
    seed: int,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return predicted sales under a plan, noise and all.

    For each draw of the posterior the model's mean is computed under the plan, after what ran
    before it, and sales are drawn about it. Sums are of joint draws, so that their intervals are
    right: what regions and weeks share (trend, curves, coefficients) doesn't cancel. The noise of
    regions on one date is correlated as much as what the fit left unexplained: the model's own
    likelihood takes it for independent, and sums over regions would look surer than they are.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    plan
        Media on dates of the panel (hindcast), after it (forecast), or both:
        `MediaPlan.repeat(panel, 8)`, the same ``.without()`` any media, `MediaPlan.from_frame`.
    by
        Dimensions to keep, of ``region, date``; others are summed.
    seed
        Integer.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `sales` and `expected_sales` (without the noise), dims ``chain, draw, *by``, in units of
        the panel's sales.

    Raises
    ------
    SpecError
        If the plan doesn't fit the panel.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    After the panel a constant trend stays, a line goes on, and more knots go on as a random walk
    with the steps of the past. What the model doesn't hold (new competitors, other prices, regions
    that change) is not in the interval: `backtest` shows how forecasts did.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, CELLS, "forecast")
    twin = Twin.of(fit, [plan], seed=seed)
    places = twin.places(plan)
    family = fit.spec.likelihood
    parameters = {n: _flat(fit.posterior[n])[:, None, None] for n in family.priors}
    scaling = Scaling.of(fit.data)
    unit = (scaling.population * scaling.sales_sd)[:, None]
    rng = seeds.generator(seed, "forecast")
    together = scatter_alike(fit)
    kept = [twin.panel.data.sizes[d] if d == REGION else len(places) for d in by]
    size = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    expected, sales = (np.empty((size, *kept)) for _ in range(2))
    axes = tuple(1 + i for i, d in enumerate(CELLS) if d not in by)
    for where, (result,) in twin.evaluate(["expected_sales"], [plan]):
        mean = result["expected_sales"][:, :, places]
        own = {name: value[where] for name, value in parameters.items()}
        drawn = family.scatter(rng, mean, unit, own, together)
        expected[where] = mean.sum(axis=axes)
        sales[where] = drawn.sum(axis=axes)
    units = fit.data.data["sales"].attrs["units"]
    return xr.Dataset(
        {
            name: _labelled(fit, plan, values, by).assign_attrs(units=units, long_name=title)
            for name, values, title in (
                ("sales", sales, "Predicted sales"),
                ("expected_sales", expected, "Expected sales"),
            )
        },
        attrs={"seed": seed, **marks},
    )


def compare_plans(
    fit: Fit,
    plan_a: MediaPlan,
    plan_b: MediaPlan,
    by: Sequence[str] | str = (),
    *,
    seed: int = 0,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return the posterior of what plan A brings over plan B.

        d = sum_gt E[sales_gt | A] - E[sales_gt | B],     net = revenue of d - (spend A - spend B),

    over the plans' dates and, with no media in either, the `max_lag` periods after them, where
    carry-over still sells.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    plan_a, plan_b
        Plans on equal dates; they differ in media only.
    by
        ``"region"`` for one answer each, or nothing (default) for the total.
    seed
        Of the trend after the panel, which is the same under both plans and cancels.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Dims ``chain, draw, *by``: `difference`, in units of sales; `net`, in the panel's currency,
        where sales have a worth. Dims ``*by``: `spend_difference`; `probability`, P(A is better);
        `regret_a` and `regret_b`, what is lost on average by choosing that plan, E[max(0, -v)]
        and E[max(0, v)]; all three of `net` where there is one, else of `difference`.

    Raises
    ------
    SpecError
        If the plans don't fit the panel or each other.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, (REGION,), "compare_plans")
    _check_equal(plan_a, plan_b)
    lag = fit.spec.adstock.max_lag
    twin = Twin.of(fit, [plan_a, plan_b], seed=seed, after=lag)
    begin = twin.places(plan_a)[0]
    end = min(twin.places(plan_a)[-1] + lag + 1, twin.panel.n_dates)
    price = price_ahead(twin)
    size = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    regions = fit.data.n_regions
    change, worth = (np.empty((size, regions)) for _ in range(2))
    for where, (a, b) in twin.evaluate(["media_contribution"], [plan_a, plan_b]):
        gain = (a["media_contribution"] - b["media_contribution"]).sum(axis=-1)[:, :, begin:end]
        change[where] = gain.sum(axis=2)
        worth[where] = (gain * price[:, begin:end]).sum(axis=2)
    spend = (plan_a.spend - plan_b.spend).sum((DATE, "channel"), skipna=True)
    if REGION not in by:
        change, worth = change.sum(axis=1), worth.sum(axis=1)
        spend = spend.sum(REGION)
    money = fit.data.currency or "currency"
    units = fit.data.data["sales"].attrs["units"]
    has_worth = "revenue_per_sale" in fit.data.data or units == money
    out = {
        "difference": _labelled(fit, plan_a, change, by).assign_attrs(
            units=units, long_name="Sales, plan A less plan B"
        ),
        "spend_difference": spend.assign_attrs(units=money, long_name="Spend, plan A less plan B"),
    }
    value = out["difference"]
    if has_worth:
        value = _labelled(fit, plan_a, worth, by) - out["spend_difference"]
        out["net"] = value.assign_attrs(units=money, long_name="Net gain, plan A over plan B")
    of = {"units": out["net" if has_worth else "difference"].attrs["units"]}
    out["probability"] = (value > 0).mean(SAMPLE).assign_attrs(units="1", long_name="P(A better)")
    out["regret_a"] = (-value).clip(min=0).mean(SAMPLE).assign_attrs(long_name="Regret of A", **of)
    out["regret_b"] = value.clip(min=0).mean(SAMPLE).assign_attrs(long_name="Regret of B", **of)
    return xr.Dataset(out, attrs=marks)


def _check_equal(a: MediaPlan, b: MediaPlan) -> None:
    """Raise if plans differ in anything but media."""
    if not a.dates.equals(b.dates):
        raise SpecError(f"The plans have different dates: {a!r} and {b!r}. Give equal ones.")
    for name in ("controls", "revenue_per_sale"):
        if name in a.data and not a.data[name].equals(b.data[name]):
            raise SpecError(
                f"The plans differ in {name}, not in media alone: make one from the other, as "
                "plan.times(...) does."
            )


def price_ahead(twin: Twin) -> np.ndarray:
    """Return revenue per sale (region, date) on the twin's dates; after the plan, as at its end."""
    data = twin.panel.data
    if "revenue_per_sale" not in data:
        return np.ones((twin.panel.n_regions, twin.panel.n_dates))
    known = pd.DataFrame(data["revenue_per_sale"].transpose(DATE, REGION).to_numpy())
    return np.asarray(known.ffill().bfill().to_numpy().T)


def _flat(array: xr.DataArray) -> np.ndarray:
    return np.asarray(array.transpose(*SAMPLE).to_numpy().reshape(-1))


def _labelled(fit: Fit, plan: MediaPlan, values: np.ndarray, by: tuple[str, ...]) -> xr.DataArray:
    """Return values (chain x draw, *by) with the plan's coordinates."""
    posterior = fit.posterior
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], *values.shape[1:])
    coords = {d: plan.data[d] for d in by} | {d: posterior[d] for d in SAMPLE}
    return xr.DataArray(values.reshape(shape), dims=(*SAMPLE, *by), coords=coords)
