"""Do intervals of pooled markets cover: hyperparameters, next quarter's revenue, totals."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

import bayes_mkt as bm
from benchmarks.environment import described, write

SIZES = (800, 400, 200, 100, 50, 30)
SMALL = 1  # markets, the last ones, that are fitted by themselves too
HYPER = ("r", "alpha", "a", "b", "p", "q", "v")
QUARTER = ("2024-01-01", "2024-03-30")  # the 90 days that are simulated after the end
TAILS = (0.05, 0.95)
SPEC = bm.Lifetime(purchases=bm.BGNBD(), spend=bm.GammaGamma())


@dataclass
class Tally:
    """What the replications add up to: hits by quantity, errors, widths of totals."""

    hits: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)
    widths: list[float] = field(default_factory=list)
    failed: int = 0

    def hit(self, name: str, inside: Iterable[bool]) -> None:
        """Note whether intervals held the truth."""
        self.hits.setdefault(name, []).extend(float(v) for v in inside)

    def error(self, name: str, values: Iterable[float]) -> None:
        """Note errors of point estimates."""
        self.errors.setdefault(name, []).extend(float(v) for v in values)


def measure(*, replications: int = 40, seed: int = 1, note: str = "") -> None:
    """Simulate markets of unequal size again and again, fit them together, and count what holds.

    90 % intervals of every market's hyperparameters and of its revenue in the next quarter, and of
    the revenue and the purchases of all, from joint draws and from customers taken to be
    independent. The smallest market is also fitted by itself, under the same priors. The result is
    written after each replication.

    Parameters
    ----------
    replications
        Simulated data sets, of 1,580 customers in 6 markets each.
    seed
        Of the simulations and fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    tally, begun = Tally(), time.perf_counter()
    for i in range(replications):
        replicate(seed * 10_000 + i, tally)
        seconds = time.perf_counter() - begun
        said = {k: f"{np.mean(v):.3f}" for k, v in tally.hits.items()}
        print(f"{i + 1}/{replications} after {seconds:.0f} s: {said}", flush=True)
        command = f"market_coverage --replications {i + 1} --seed {seed}"
        write("market_coverage", summary(tally, i + 1, command, note))  # a stopped run is kept too


def summary(tally: Tally, replications: int, command: str, note: str) -> dict[str, Any]:
    """Return the result of so many replications."""
    return {
        **described(f"python -m benchmarks {command}"),
        "note": note,
        "question": "do 90 % intervals hold the truth in 90 % of cases; what does pooling buy?",
        "simulation": (
            f"{replications} times {len(SIZES)} markets of {SIZES} customers, BG/NBD and "
            "Gamma-Gamma, hyperparameters of markets drawn around common ones (SD 0.25)"
        ),
        "unconverged_and_left_out": tally.failed,
        "coverage": coverage_rows(tally),
        "smallest_market": error_rows(tally) if tally.errors else [],
        "totals": {
            "median width of the total's interval, joint / independent": float(
                np.median(tally.widths)
            )
        },
    }


def coverage_rows(tally: Tally) -> list[dict[str, Any]]:
    """Return share of 90 % intervals that held, with its 95 % interval (Clopper-Pearson)."""
    rows = []
    for name, inside in tally.hits.items():
        n, k = len(inside), int(sum(inside))
        low, high = stats.binomtest(k, n).proportion_ci(0.95)
        rows.append({"quantity": name, "intervals": n, "share": k / n, "low": low, "high": high})
    return rows


def error_rows(tally: Tally) -> list[dict[str, Any]]:
    """Return root mean square errors in the smallest market, pooled and by itself."""
    names = dict.fromkeys(name.split(": ")[1] for name in tally.errors)
    rows = []
    for name in names:
        pooled, alone = (
            float(np.sqrt(np.mean(np.square(tally.errors[f"{kind}: {name}"]))))
            for kind in ("pooled", "alone")
        )
        rows.append({"error_of": name, "pooled": pooled, "by_itself": alone})
    return rows


def replicate(seed: int, tally: Tally) -> None:
    """Simulate, fit and count once."""
    made = bm.simulate.customers(SIZES, seed=seed)
    history, holdout = bm.CustomerHistory.split_transactions(made.frame, **made.columns)
    fit = fitted(history, seed)
    if not fit.diagnostics.ok:
        tally.failed += 1
        return
    for name in HYPER:
        low, high = fit.posterior[name].quantile(TAILS, ("chain", "draw")).to_numpy()
        truth = made.truth[name].to_numpy()
        tally.hit(name, (low <= truth) & (truth <= high))
    actual = bm.check(fit, holdout, seed=seed, draws=40)["revenue_actual"].to_numpy()
    drawn = bm.revenue(fit, [QUARTER], seed=seed).isel(period=0)
    low, high = drawn.quantile(TAILS, ("chain", "draw")).to_numpy()
    tally.hit("revenue of a market", (low <= actual) & (actual <= high))
    totals(fit, actual.sum(), float(holdout.purchases), seed, tally)
    small(fit, made, actual, seed, tally)


def fitted(history: bm.CustomerHistory, seed: int) -> bm.Fit:
    """Return a fit; its verdict is read by who asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        return bm.fit(SPEC, history, seed=seed, progress=False)


def totals(fit: bm.Fit, revenue: float, purchases: float, seed: int, tally: Tally) -> None:
    """Compare joint intervals of totals with those of independent customers.

    Independent customers' variances add: the same customers' draws, summed as if nothing were
    shared.
    """
    for name, actual, ask in (
        ("revenue", revenue, bm.revenue),
        ("purchases", purchases, bm.future_purchases),
    ):
        each = ask(fit, [QUARTER], by="customer", seed=seed).isel(period=0)
        low, high = each.sum("customer").quantile(TAILS, ("chain", "draw")).to_numpy()
        tally.hit(f"{name} of all, joint draws", [low <= actual <= high])
        mean = float(each.mean(("chain", "draw")).sum())
        half = stats.norm.ppf(0.95) * float(each.var(("chain", "draw")).sum()) ** 0.5
        tally.hit(f"{name} of all, independent sums", [abs(actual - mean) <= half])
        if name == "revenue":
            tally.widths.append(float(high - low) / (2 * half))


def small(fit: bm.Fit, made: Any, actual: np.ndarray, seed: int, tally: Tally) -> None:
    """Note errors in the small markets, of the pooled fit and of fits of one market each."""
    for place in range(len(SIZES) - SMALL, len(SIZES)):
        name = fit.data.markets[place]
        frame = made.frame[made.frame["market"] == name]
        alone = fitted(bm.CustomerHistory.from_transactions(frame, **made.columns), seed)
        for kind, one in (("pooled", fit), ("alone", alone)):
            post = one.posterior.sel(market=name)
            truth = made.truth.sel(market=name)
            for label, value in (
                ("log purchase rate", lambda d: np.log(d["r"] / d["alpha"])),
                ("log-odds of dropout", lambda d: np.log(d["a"] / d["b"])),
                ("log r", lambda d: np.log(d["r"])),
                ("log a + b", lambda d: np.log(d["a"] + d["b"])),
                ("log mean basket", lambda d: np.log(d["p"] * d["v"] / (d["q"] - 1))),
            ):
                found = float(value(post).median(("chain", "draw")))
                tally.error(f"{kind}: {label}", [found - float(value(truth))])
            said = bm.revenue(one, [QUARTER], seed=seed, allow_unconverged=True)
            mean = float(said.sel(market=name).mean())
            tally.error(f"{kind}: revenue, share of actual", [mean / max(actual[place], 1.0) - 1])
