"""Do intervals of pooled markets cover: hyperparameters, next quarter's revenue, totals."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from benchmarks.environment import described, write

SIZES = (800, 400, 200, 100, 50, 30)
SMALL = 1  # markets, the last ones, that are fitted by themselves too
HYPER = ("r", "alpha", "a", "b", "p", "q", "v")
# A year, a half and a quarter in tenths of days, each of which the log takes for a day: purchases
# that fall on one day are one, and with whole days enough do to bias alpha (see `customers.md`).
FINE: dict[str, Any] = {
    "start": "2010-01-01", "days": 3650, "joining": 1800, "after": 900, "rate": 1 / 500
}  # fmt: skip
# A market after two months, whose customers came in the first, and the year that follows.
YOUNG: dict[str, Any] = {**FINE, "days": 600, "joining": 300, "after": 3650}
YOUNG_SIZE = 400
TAILS = (0.05, 0.95)
SPEC = bm.Lifetime(purchases=bm.BGNBD(), spend=bm.GammaGamma())


@dataclass
class Tally:
    """What the replications add up to: hits by quantity, errors, widths of totals."""

    hits: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)
    widths: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0

    def hit(self, name: str, inside: Iterable[bool]) -> None:
        """Note whether intervals held the truth."""
        self.hits.setdefault(name, []).extend(float(v) for v in inside)

    def error(self, name: str, values: Iterable[float]) -> None:
        """Note errors of point estimates."""
        self.errors.setdefault(name, []).extend(float(v) for v in values)


def measure(*, replications: int = 40, young: int = 200, seed: int = 1, note: str = "") -> None:
    """Simulate markets of unequal size again and again, fit them together, and count what holds.

    90 % intervals of every market's hyperparameters and of its revenue in the next quarter, and of
    the revenue and the purchases of all, from joint draws and from customers taken to be
    independent. The smallest market is also fitted by itself, under the same priors. Then totals
    of young markets over a year: there, what all customers share is most of what isn't known. The
    result is written as it goes.

    Parameters
    ----------
    replications
        Simulated data sets, of 1,580 customers in 6 markets each.
    young
        Simulated young markets, of 400 customers each.
    seed
        Of the simulations and fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    tally, begun = Tally(), time.perf_counter()
    for i in range(replications + young):
        if i < replications:
            replicate(seed * 10_000 + i, tally)
        else:
            replicate_young(seed * 10_000 + 5_000 + i - replications, tally)
        done = {"replications": min(i + 1, replications), "young": max(i + 1 - replications, 0)}
        if i % 10 == 9 or i + 1 == replications + young:
            said = {k: f"{np.mean(v):.3f}" for k, v in tally.hits.items()}
            print(f"{done} after {time.perf_counter() - begun:.0f} s: {said}", flush=True)
            write("market_coverage", summary(tally, done, seed, note))  # a stopped run is kept too


def summary(tally: Tally, done: Mapping[str, int], seed: int, note: str) -> dict[str, Any]:
    """Return the result of so many replications."""
    options = " ".join(f"--{name} {count}" for name, count in done.items())
    return {
        **described(f"python -m benchmarks market_coverage {options} --seed {seed}"),
        "note": note,
        "question": "do 90 % intervals hold the truth in 90 % of cases; what does pooling buy?",
        "simulation": (
            f"{done['replications']} times {len(SIZES)} markets of {SIZES} customers, BG/NBD and "
            "Gamma-Gamma, hyperparameters of markets drawn around common ones (SD 0.25); a year, "
            "and a quarter to forecast, in tenths of days"
        ),
        "young": (
            f"{done['young']} times one market of {YOUNG_SIZE} customers, joined within a month "
            "and seen for two, and the year after; BG/NBD, in tenths of days"
        ),
        "unconverged_and_left_out": tally.failed,
        "coverage": coverage_rows(tally),
        "smallest_market": error_rows(tally) if tally.errors else [],
        "median width of the total's interval, joint / independent": {
            name: float(np.median(ratios)) for name, ratios in tally.widths.items()
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
    made = bm.simulate.customers(SIZES, seed=seed, **FINE)
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
    drawn = bm.revenue(fit, [future(made, FINE)], seed=seed).isel(period=0)
    low, high = drawn.quantile(TAILS, ("chain", "draw")).to_numpy()
    tally.hit("revenue of a market", (low <= actual) & (actual <= high))
    for name, value, ask in (
        ("revenue of all", actual.sum(), bm.revenue),
        ("purchases of all", float(holdout.purchases), bm.future_purchases),
    ):
        total(name, ask(fit, [future(made, FINE)], by="customer", seed=seed), value, tally)
    small(fit, made, actual, seed, tally)


def replicate_young(seed: int, tally: Tally) -> None:
    """Simulate and fit a young market, and count once whether its total is held."""
    made = bm.simulate.customers((YOUNG_SIZE,), seed=seed, **YOUNG)
    history, holdout = bm.CustomerHistory.split_transactions(made.frame, **made.columns)
    fit = fitted(history, seed, bm.BGNBD())
    if not fit.diagnostics.ok:
        tally.failed += 1
        return
    each = bm.future_purchases(fit, [future(made, YOUNG)], by="customer", seed=seed)
    total("purchases of a young market", each, float(holdout.purchases), tally)


def future(made: Any, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return first and last day of what is simulated after the end."""
    days = pd.Timestamp(made.columns["end"]) + pd.to_timedelta([1, options["after"]], unit="D")
    return f"{days[0]:%Y-%m-%d}", f"{days[1]:%Y-%m-%d}"


def fitted(history: bm.CustomerHistory, seed: int, spec: Any = SPEC) -> bm.Fit:
    """Return a fit; its verdict is read by who asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        return bm.fit(spec, history, seed=seed, progress=False)


def total(name: str, each: xr.DataArray, actual: float, tally: Tally) -> None:
    """Compare the joint interval of a total with that of independent customers.

    Independent customers' variances add: the same customers' draws (chain, draw, customer,
    period), summed as if nothing were shared.
    """
    each = each.isel(period=0)
    low, high = each.sum("customer").quantile(TAILS, ("chain", "draw")).to_numpy()
    tally.hit(f"{name}, joint draws", [low <= actual <= high])
    mean = float(each.mean(("chain", "draw")).sum())
    half = stats.norm.ppf(TAILS[1]) * float(each.var(("chain", "draw")).sum()) ** 0.5
    tally.hit(f"{name}, independent sums", [abs(actual - mean) <= half])
    tally.widths.setdefault(name, []).append(float(high - low) / (2 * half))


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
            said = bm.revenue(one, [future(made, FINE)], seed=seed, allow_unconverged=True)
            mean = float(said.sel(market=name).mean())
            tally.error(f"{kind}: revenue, share of actual", [mean / max(actual[place], 1.0) - 1])
