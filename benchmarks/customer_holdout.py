"""Real customers held out in time: CRPS, MAE and coverage, beside lifetimes and pymc-marketing."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from benchmarks.environment import described, real_data, write
from benchmarks.purchases import ROOT, UV, histories, theirs

PEER = Path(__file__).parent / "purchases" / "lifetimes_peer.py"
Source = tuple[pd.DataFrame, bm.CustomerHistory, bm.Holdout]
MODELS = {"BG/NBD": bm.BGNBD, "MBG/NBD": bm.MBGNBD, "Pareto/NBD": bm.ParetoNBD}


def measure(
    *,
    data: Path | None = None,
    peers: bool = True,
    seed: int = 1,
    limit: float = 1800.0,
    note: str = "",
) -> None:
    """Calibrate, forecast every customer's purchases in the holdout, and score.

    CDNOW's sample to 1997-09-30 (39 weeks held out) and Online Retail to 2011-06-30, markets being
    countries (to 2011-12-09).

    Parameters
    ----------
    data
        Folder of the data sets; by default as `real_data` finds it.
    peers
        Whether pymc-marketing and lifetimes are run, in environments of their own.
    seed
        Of fits and draws.
    limit
        Seconds for each of pymc-marketing's fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    rows: list[dict[str, Any]] = []
    for name, source in sources(data).items():
        _, history, holdout = source
        print(name, history, holdout, flush=True)
        actual = held_out(history, holdout)
        for label, model in MODELS.items():
            rows.append(ours(name, label, model(), source, actual, seed))
            print(rows[-1], flush=True)
        if peers:
            rows += others(name, history, holdout, actual, seed, limit)
            print(rows[-2:], flush=True)
    result = {
        **described(f"python -m benchmarks customer_holdout --seed {seed}"),
        "note": note,
        "question": "purchases of each customer in the holdout, forecast from the time before",
        "columns": {
            "crps": "mean over customers; a point forecast's is its absolute error",
            "mae": "of the forecast's mean",
            "covered_90": "share of customers inside central 90 % intervals (randomised PIT)",
            "total": "purchases of all: actual, forecast, and 90 % interval",
            "swings": "that interval with calendar_swings of four weeks",
            "markets_covered_90": "share of markets whose total lies inside its 90 % interval",
        },
        "scores": rows,
    }
    print(write("customer_holdout", result))


def sources(data: Path | None) -> dict[str, Source]:
    """Return log, history and holdout of each data set."""
    sample = pd.read_csv(real_data(data, "cdnow/cdnow_sample.csv"))
    split = bm.CustomerHistory.split_transactions
    found = split(sample, customer="sample_id", date="date", end="1997-09-30", unit="W")
    lines = retail(real_data(data, "online_retail"))
    theirs = split(
        lines, customer="CustomerID", date="InvoiceDate", market="Country",
        end="2011-06-30", unit="W",
    )  # fmt: skip
    return {"CDNOW sample": (sample, *found), "Online Retail": (lines, *theirs)}


def retail(folder: Path) -> pd.DataFrame:
    """Return the lines of both years that are purchases of known customers."""
    early = pd.read_parquet(folder / "online_retail_2009_2010.parquet")
    late = pd.read_parquet(folder / "online_retail.parquet")
    lines = pd.concat([early[early["InvoiceDate"] < late["InvoiceDate"].min()], late])
    bought = (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0) & lines["CustomerID"].notna()
    lines = lines.loc[bought, ["CustomerID", "InvoiceDate", "Country"]]
    return lines.assign(CustomerID=lines["CustomerID"].astype("int64"))


def held_out(history: bm.CustomerHistory, holdout: bm.Holdout) -> np.ndarray:
    """Return held-out purchases, sorted by state: a customer's name doesn't matter to a score."""
    table = holdout.data
    state = np.repeat(table["state"].to_numpy(), table["weight"].to_numpy())
    count = np.repeat(table["holdout"].to_numpy(), table["weight"].to_numpy())
    return count[np.argsort(state, kind="stable")]


def scores(
    drawn: np.ndarray, actual: np.ndarray, expected: np.ndarray | None = None
) -> dict[str, float]:
    """Return CRPS of draws (draw, customer), MAE of their expectation, and the total's place.

    The expectation is the draws' mean where it isn't known exactly.
    """
    n = len(drawn)
    ordered = np.sort(drawn, axis=0)
    rank = (2 * np.arange(1, n + 1) - n - 1)[:, None]
    spread = (rank * ordered).sum(axis=0) / n**2
    crps = np.abs(drawn - actual).mean(axis=0) - spread
    total = drawn.sum(axis=1)
    low, high = np.quantile(total, [0.05, 0.95])
    return {
        "crps": float(crps.mean()),
        "mae": float(
            np.abs((drawn.mean(axis=0) if expected is None else expected) - actual).mean()
        ),
        "total_actual": float(actual.sum()),
        "total": float(total.mean()),
        "total_low": float(low),
        "total_high": float(high),
    }


def ours(
    data: str, label: str, spec: Any, source: Source, actual: np.ndarray, seed: int
) -> dict[str, Any]:
    """Fit one of our models and score its predictive draws."""
    log, history, holdout = source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        fit = bm.fit(spec, history, seed=seed, progress=False)
    end = history.end + pd.Timedelta(days=1)
    period = (f"{end:%Y-%m-%d}", f"{history.end + pd.Timedelta(days=holdout.days):%Y-%m-%d}")
    drawn = bm.future_purchases(
        fit, [period], by="customer", seed=seed, draws=400, allow_unconverged=True
    ).isel(period=0)
    values = drawn.stack(sample=("chain", "draw")).transpose("sample", ...).to_numpy()
    order = np.argsort(history.data["customer_state"].to_numpy(), kind="stable")
    horizon = float(history.per_unit(np.array(float(holdout.days))))
    expected = bm.expected_purchases(fit, horizon, allow_unconverged=True)
    expected = expected.mean(("chain", "draw")).to_numpy()
    found = bm.check(fit, holdout, seed=seed, allow_unconverged=True)["coverage"]
    swings = bm.calendar_swings(fit, log, allow_unconverged=True)
    swung = bm.future_purchases(
        fit, [period], seed=seed, draws=2000, swings=swings, allow_unconverged=True
    )
    low, high = np.quantile(swung, [0.05, 0.95])
    return {
        "data": data,
        "system": f"bayes_mkt {label}",
        "converged": fit.diagnostics.ok,
        **scores(values[:, order], actual, expected[order]),
        "swings_low": float(low),
        "swings_high": float(high),
        "covered_90": float(found.sel(level="customer", probability=0.9)),
        "markets_covered_90": float(found.sel(level="market", probability=0.9)),
    }


def others(
    data: str, history: Any, holdout: Any, actual: np.ndarray, seed: int, limit: float
) -> list[dict[str, Any]]:
    """Score pymc-marketing's draws of expected purchases, and lifetimes' point forecasts.

    Neither has markets. pymc-marketing's draws hold what is uncertain of the hyperparameters, not
    what a customer does by chance.
    """
    horizon = float(history.per_unit(np.array(float(holdout.days))))
    order = np.argsort(history.data["customer_state"].to_numpy(), kind="stable")
    about = theirs(data, history, seed, limit, horizon)
    row = {"data": data, "system": "pymc-marketing 1.3.0 BG/NBD"}
    drawn = about.pop("forecast", None)
    if drawn is None:
        first = row | {"failure": about.get("failure", "no forecast")}
    else:
        low, high = np.quantile(drawn[:, order], [0.05, 0.95], axis=0)
        inside = (low <= actual) & (actual <= high)
        first = row | scores(drawn[:, order], actual) | {"covered_90": float(inside.mean())}
    return [first, lifetimes(data, history, horizon, order, actual)]


def lifetimes(
    data: str, history: Any, horizon: float, order: np.ndarray, actual: np.ndarray
) -> dict[str, Any]:
    """Score lifetimes' point forecasts."""
    row: dict[str, Any] = {"data": data, "system": "lifetimes 0.11.3 BG/NBD"}
    with tempfile.TemporaryDirectory(prefix="lifetimes-") as folder:
        path, out = Path(folder) / "customers.csv", Path(folder) / "said.npy"
        histories(history).to_csv(path, index_label="customer_id")
        done = subprocess.run(
            [str(UV), "run", "--no-project", "--script", str(PEER), str(path), str(out),
             str(horizon)],
            cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if not out.is_file():
            return row | {"failure": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
        found = scores(np.load(out)[:, order], actual)
    return row | {k: v for k, v in found.items() if k not in ("total_low", "total_high")}
