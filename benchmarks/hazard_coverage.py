"""Do intervals of hazards hold the truth, and are contact windows near the best?"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write
from benchmarks.intervals import INTERVAL, about_fit, beside, coverage, seconds, verdicts

TARGET = (0.85, 0.95)
LENGTH, HORIZON = 14, 84
SPEC = bm.SecondPurchase(effects="normal")
QUANTITIES = {
    "hazard": "probability of a purchase in an interval, given none before, by market",
    "never": "share of a market's customers who never come back",
    "window": "probability of a purchase in each window ahead of a customer",
}


def measure(
    *, logs: int = 20, customers: int = 3000, markets: int = 5, seed: int = 1, note: str = ""
) -> None:
    """Count how often 90 % intervals hold the truth on simulated logs, and what windows lose.

    Customers are acquired over a year and followed for at least half a year; one fit for each log.
    The typical share of never-returners of a log is drawn from the model's prior: half a year tells
    little of it, and of one and the same share inside the prior intervals would hold too often.
    The regret of contact windows is what the chosen window's true probability falls short of the
    best one's, as a share of it. No log is left out, converged or not.

    Parameters
    ----------
    logs
        Number of simulated logs.
    customers, markets
        Of each.
    seed
        From which the seeds of logs and fits follow.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    cases: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    for index in range(logs):
        rows, about = answer(seed, index, customers, markets)
        cases += rows
        fits.append(about)
        print(index, about, flush=True)
    frame = pd.DataFrame(cases)
    found = coverage(frame, QUANTITIES)
    command = (
        f"python -m benchmarks hazard_coverage --logs {logs} --customers {customers} "
        f"--markets {markets} --seed {seed}"
    )
    result = {
        **described(command),
        "note": note,
        "question": (
            f"share of {INTERVAL:.0%} intervals that hold the truth, on {logs} simulated logs of "
            f"{customers} customers in {markets} markets"
        ),
        "model": 'SecondPurchase(effects="normal")',
        "target": {"share": list(TARGET), "regret": 0.05},
        "coverage": found,
        "regret": float(np.mean([about["regret"] for about in fits])),
        "verdicts": verdicts(fits),
        "seconds": seconds(fits),
        "fits": fits,
    }
    print(pd.DataFrame(found).drop(columns="what").round(3).to_string(index=False))
    print(f"regret {result['regret']:.4f}", verdicts(fits))
    print(write("hazard_coverage", result))


def answer(
    seed: int, index: int, customers: int, markets: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Simulate a log, fit it, and return intervals beside the truth, verdict and regret."""
    log_seed = seeds.integer(seed, f"hazard_coverage log {index}")
    fit_seed = seeds.integer(seed, f"hazard_coverage fit {index}")
    prior = dict(SPEC.prior("never_level").parameters)
    logit = seeds.generator(log_seed, "never returners").normal(prior["mu"], prior["sigma"])
    sim = bm.simulate.second_purchases(
        customers=customers, markets=markets, never=float(expit(logit)), seed=log_seed
    )
    data = bm.FirstPurchases.from_transactions(sim.frame, **{**sim.columns, "end": "2024-03-01"})
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        fit = bm.fit(SPEC, data, seed=fit_seed, progress=False)
    spent = time.perf_counter() - begun
    alive = survival(sim.truth)
    seen = sim.frame.drop_duplicates("customer")
    seen = seen.loc[seen["date"] < "2024-03-01", "customer"].to_numpy()
    window, regret = windows(fit, alive)
    pairs = {
        "hazard": (bm.hazard(fit, allow_unconverged=True), hazards(sim.truth, alive, seen, fit)),
        "never": (bm.never_return(fit, allow_unconverged=True), never(sim.truth, fit)),
        "window": window,
    }
    about = about_fit(index, fit.diagnostics, fit.posterior.sizes["draw"], spent)
    about |= {"log_seed": log_seed, "fit_seed": fit_seed, "regret": regret}
    rows = [
        {"log": index, **row, "converged": fit.diagnostics.ok}
        for name, (draws, truth) in pairs.items()
        for row in beside(name, draws, truth)
    ]
    return rows, about


def survival(truth: xr.Dataset) -> xr.DataArray:
    """Return the true survival of each customer by day (customer, day)."""
    interval = truth["interval"].values
    days = np.arange(interval[-1] + 1.0)
    market = truth["market_of_customer"].values
    total = np.concatenate(
        [np.zeros((truth.sizes["market"], 1)), np.exp(truth["log_hazard"].values).cumsum(axis=1)],
        axis=1,
    )
    ends = np.concatenate([[0.0], interval])
    by_day = np.stack([np.interp(days, ends, curve) for curve in total])[market]
    share = 1.0 / (1.0 + np.exp(-truth["never"].values[market]))[:, None]
    alive = share + (1.0 - share) * np.exp(-np.exp(truth["linear"].values)[:, None] * by_day)
    return xr.DataArray(
        alive, dims=("customer", "day"), coords={"customer": truth["customer"], "day": days}
    )


def hazards(truth: xr.Dataset, alive: xr.DataArray, seen: np.ndarray, fit: bm.Fit) -> xr.DataArray:
    """Return true hazards of the customers fitted (market, interval)."""
    market = truth["market_of_customer"].sel(customer=seen).values
    ends = np.concatenate([[0.0], fit.data.cuts])
    curves = alive.sel(customer=seen, day=ends).values
    mean = np.stack(
        [curves[market == truth["market"].values.tolist().index(m)].mean(axis=0)
         for m in fit.data.markets]
    )  # fmt: skip
    return xr.DataArray(
        1.0 - mean[:, 1:] / mean[:, :-1],
        dims=("market", "interval"),
        coords={"market": list(fit.data.markets), "interval": fit.data.cuts},
    )


def never(truth: xr.Dataset, fit: bm.Fit) -> xr.DataArray:
    """Return true shares of never-returners (market)."""
    own = truth["never"].sel(market=list(fit.data.markets))
    share: xr.DataArray = 1.0 / (1.0 + np.exp(-own))
    return share


def windows(fit: bm.Fit, alive: xr.DataArray) -> tuple[tuple[xr.DataArray, xr.DataArray], float]:
    """Return the chosen windows' probabilities beside the truth, and their mean regret."""
    waits = fit.data.data["elapsed"]
    inside = waits["customer"].values[waits.values + HORIZON <= fit.data.cuts[-1]]
    found = bm.contact_windows(
        fit, length=LENGTH, horizon=HORIZON, ids=inside, allow_unconverged=True
    )
    who = found["customer"].values
    curves = alive.sel(customer=who).values
    row = np.arange(len(who))[:, None]
    now = waits.sel(customer=who).values.astype(int)[:, None]
    starts = now + np.arange(HORIZON - LENGTH + 1)[None, :]
    chance = (curves[row, starts] - curves[row, starts + LENGTH]) / curves[row, now]
    chosen = chance[np.arange(len(who)), found["best_window"].values.astype(int)]
    regret = float((chance.max(axis=1) - chosen).sum() / chance.max(axis=1).sum())
    # A few customers stand for all: those of one cell and wait have one and the same figure.
    some = slice(None, None, max(len(who) // 50, 1))
    truth = xr.DataArray(chosen, dims="customer", coords={"customer": who})
    return (found["best_probability"][:, :, some], truth[some]), regret
