"""What was forecast beside what happened: tracking, calibration, coverage, independence."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.customers.asked import purchase_model, spend_model, thinned
from bayes_mkt.customers.history import CustomerHistory, Holdout
from bayes_mkt.customers.reduction import HELD
from bayes_mkt.customers.revenue import futures
from bayes_mkt.customers.states import spend_rows
from bayes_mkt.customers.swings import CalendarSwings, expected_repeats
from bayes_mkt.dims import MARKET, SAMPLE
from bayes_mkt.fit import Fit, usable

__all__ = ["check"]

Array = NDArray[Any]
CLASSES: Final = 8
PROBABILITIES: Final = (0.5, 0.9)
BINS: Final = 10
POINTS: Final = 40


def check(
    fit: Fit,
    holdout: Holdout,
    *,
    seed: int,
    draws: int = 400,
    swings: CalendarSwings | None = None,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Compare what a fit says of the time after its history with what happened then.

    Parameters
    ----------
    fit
        A fitted `Lifetime`, `BGNBD`, `MBGNBD` or `ParetoNBD`.
    holdout
        Of the same history; both come from `CustomerHistory.split_transactions`.
    seed
        Integer.
    draws
        Draws of the hyperparameters that are used.
    swings
        As in `revenue`: what `calendar_swings` returned for this fit, or None (default).
        `tracking` is of customers' own behaviour, without them.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        - `purchases` (chain, draw, market), drawn as in `revenue`, and `purchases_actual`; with
          spend `revenue` and `revenue_actual` too;
        - `conditional` (chain, draw, frequency): drawn purchases a customer, by repeat purchases in
          the history (the last class is that many or more), `conditional_actual`,
          `conditional_customers`;
        - `tracking` (chain, draw, day): expected cumulative repeat purchases by day after the
          history's end, negative within it, from the hyperparameters alone; `tracking_actual`;
        - `pit` (bin): shares of customers by where their count lies in its predictive
          distribution (randomised; 0.1 each if calibrated);
        - `coverage` (level, probability): share of customers, of markets, and the total (0 or 1)
          inside central predictive intervals;
        - `spend_correlation`, with spend: of log frequency and mean spend over repeat
          customers, and `spend_correlation_low`, `spend_correlation_high`, its 95 % interval by
          Fisher's z (approximate: spend is skewed). Gamma-Gamma takes it to be 0; where it is far
          from that, CLV is too low for frequent customers (too high, if it is negative).

    References
    ----------
    Czado, Gneiting, Held (2009), Predictive model assessment for count data, Biometrics 65.
    """
    marks = usable(fit, allow_unconverged)
    history: CustomerHistory = fit.data
    purchase_model(fit)
    posterior = thinned(fit.posterior, draws)
    variables = _futures(fit, holdout, posterior, seed, swings)
    variables.update(_tracking(fit, holdout, posterior))
    if spend_model(fit) is not None:
        variables.update(_independence(history))
    labels = [*map(str, range(CLASSES - 1)), f"{CLASSES - 1}+"]
    coords = {
        **{d: posterior[d] for d in SAMPLE},
        MARKET: list(history.markets),
        "frequency": labels,
        "level": ["customer", "market", "total"],
        "probability": list(PROBABILITIES),
    }
    return xr.Dataset(variables, coords=coords, attrs={"seed": seed, "days": holdout.days, **marks})


def _futures(
    fit: Fit, holdout: Holdout, posterior: xr.Dataset, seed: int, swings: CalendarSwings | None
) -> dict[str, Any]:
    """Return everything that compares drawn futures with what happened."""
    history, data = fit.data, holdout.data
    money = spend_model(fit) is not None and "holdout_spend" in data
    weight = data["weight"].to_numpy()
    state = np.repeat(data["state"].to_numpy(), weight)
    actual = np.repeat(data[HELD].to_numpy(), weight)
    market = history.state_market()[state]
    kind = np.minimum(history.data["frequency"].to_numpy()[state], CLASSES - 1)
    customers = np.bincount(kind, minlength=CLASSES)
    sizes = tuple(posterior.sizes[d] for d in SAMPLE)
    shape = (sizes[0] * sizes[1], len(history.markets))
    bought, earned = np.zeros(shape), np.zeros(shape)
    by_class = np.zeros((shape[0], CLASSES))
    below, equal = np.zeros(actual.size), np.zeros(actual.size)
    rng = seeds.generator(seed, "customers: check")
    edges = np.array([[0, holdout.days]])
    drawn = futures(fit, posterior, state, edges, rng, money, swings)
    for i, (counts, paid) in enumerate(drawn):
        count = counts[:, 0]
        bought[i] = np.bincount(market, count, shape[1])
        earned[i] = np.bincount(market, paid[:, 0], shape[1])
        by_class[i] = np.bincount(kind, count, CLASSES)
        below += count < actual
        equal += count == actual
    pit = (below + rng.random(actual.size) * (equal + 1)) / (shape[0] + 1)
    seen = np.bincount(market, actual, shape[1])
    with np.errstate(invalid="ignore"):
        conditional = by_class / customers
        found = np.bincount(kind, actual, CLASSES) / customers
    dims = (*SAMPLE, MARKET)
    out: dict[str, Any] = {
        "purchases": (dims, bought.reshape(*sizes, -1)),
        "purchases_actual": (MARKET, seen),
        "conditional": ((*SAMPLE, "frequency"), conditional.reshape(*sizes, -1)),
        "conditional_actual": ("frequency", found),
        "conditional_customers": ("frequency", customers),
        "pit": ("bin", np.histogram(pit, BINS, (0.0, 1.0))[0] / pit.size),
        "coverage": (("level", "probability"), _coverage(pit, bought, seen)),
    }
    if money:
        where = history.state_market()[data["state"].to_numpy()]
        spent = np.bincount(where, data["holdout_spend"].to_numpy(), shape[1])
        out["revenue"] = (dims, earned.reshape(*sizes, -1))
        out["revenue_actual"] = (MARKET, spent)
    return out


def _coverage(pit: Array, drawn: Array, seen: Array) -> Array:
    """Return shares inside central intervals: of customers, of markets, and of the total."""
    rows = []
    places = [
        pit,
        _place(drawn, seen),
        _place(drawn.sum(axis=1, keepdims=True), seen.sum(keepdims=True)),
    ]
    for place in places:
        tails = [(1 - p) / 2 for p in PROBABILITIES]
        rows.append([np.mean((place >= tail) & (place <= 1 - tail)) for tail in tails])
    return np.array(rows)


def _place(drawn: Array, seen: Array) -> Array:
    """Return where each figure lies in its draws, ties counted half."""
    return np.asarray(np.mean(drawn < seen, axis=0) + 0.5 * np.mean(drawn == seen, axis=0))


def _tracking(fit: Fit, holdout: Holdout, posterior: xr.Dataset) -> dict[str, Any]:
    """Return expected and actual cumulative repeat purchases by day after the history's end."""
    first = -float(fit.data.data["age"].max())
    days = np.unique(np.linspace(first, holdout.days, POINTS).round())
    sizes = tuple(posterior.sizes[d] for d in SAMPLE)
    expected = expected_repeats(fit, posterior, days)
    daily = holdout.data["repeats"]
    total = np.array([float(daily.where(daily["day"] <= day, 0).sum()) for day in days])
    return {
        "tracking": ((*SAMPLE, "day"), expected.reshape(*sizes, -1)),
        "tracking_actual": ("day", total),
        "day": days,
    }


def _independence(history: CustomerHistory) -> dict[str, Any]:
    """Return the correlation of log frequency and mean spend of repeat customers."""
    rows = spend_rows(history)
    # Not the log of the mean: its expectation grows with the count that it is a mean of.
    x, z = np.log(rows.columns["frequency"]), rows.columns["mean_spend"]
    n = rows.weight.sum()
    cov = np.cov(x, z, fweights=rows.weight.astype(int))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
        half = 1.96 / np.sqrt(max(n - 3, 1))
        low, high = np.tanh(np.arctanh(r) + np.array([-half, half]))
    return {
        "spend_correlation": float(r),
        "spend_correlation_low": float(low),
        "spend_correlation_high": float(high),
    }
