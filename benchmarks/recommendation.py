"""Accuracy against variety of recommendations, beside best-sellers and matrix factorisation."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt.targeting.recommend import bought, measures, probabilities
from benchmarks.complete_journey import purchase_log
from benchmarks.environment import described, real_data, write
from benchmarks.other_libraries import run

K = 10
SPEC = bm.Propensity(horizon=14, dates=2, min_buyers=500)
PENALTIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


def measure(*, seed: int = 1, data: Path | None = None, note: str = "") -> None:
    """Recommend product categories of the Complete Journey, judged by the 14 days after.

    Parameters
    ----------
    seed
        Of the fit.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    folder = real_data(data, "complete_journey")
    log = purchase_log(folder)
    past = log.until(np.datetime64(log.end, "D") - SPEC.horizon)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is kept
        fit = bm.fit(SPEC, past, seed=seed, progress=False)
    rows: list[dict[str, Any]] = []
    for covered in (0.0, 0.5, 0.9):
        found = bm.recommendation_frontier(
            fit, log, k=K, penalties=PENALTIES, min_coverage=covered, min_offers=20,
            allow_unconverged=True,
        )  # fmt: skip
        for penalty in PENALTIES:
            one = found.sel(bestseller_penalty=penalty)
            rows.append(
                {"list": "model", "penalty": penalty, "min_coverage": covered,
                 **{n: float(one[n]) for n in ("recall", "ndcg", "coverage", "novelty")}}
            )  # fmt: skip
    for name, prefix in (("best-sellers", "bestseller"), ("best-sellers by segment", "segment")):
        figures = {n: float(found[f"{prefix}_{n}"])
                   for n in ("recall", "ndcg", "coverage", "novelty")}  # fmt: skip
        rows.append({"list": name, **figures})
    rows += factorised(fit, log)
    print(pd.DataFrame(rows).round(4).to_string())
    best = next(row for row in rows if row["list"] == "best-sellers")
    equal = [r for r in rows if r["list"] == "model" and r["recall"] >= best["recall"]]
    ratio = max((r["coverage"] for r in equal), default=0.0) / best["coverage"]
    result = {
        **described(f"python -m benchmarks recommendation --seed {seed}"),
        "note": note,
        "question": f"{K} product categories for each household, purchases of 14 days after",
        "sets": fit.posterior.sizes["set"],
        "verdict": fit.diagnostics.verdict.splitlines()[0],
        "target": "at no less recall than best-sellers, at least twice their coverage",
        "coverage_ratio_at_equal_recall": ratio,
        "target_met": ratio >= 2,
        "rows": rows,
    }
    print(write("recommendation", result))


def factorised(fit: bm.Fit, later: bm.PurchaseLog) -> list[dict[str, Any]]:
    """Return the measures of implicit's alternating least squares, on counts of purchase days."""
    _, customers, _ = probabilities(fit, None, 4)
    hits, before = bought(fit, later, customers)
    log = fit.data
    place = np.full(len(log.customers), -1)
    place[np.isin(log.customers, customers)] = np.arange(len(customers))
    from bayes_mkt.targeting.windows import windows

    owner = np.full(len(log.products), -1)
    for j, items in enumerate(windows(fit.spec, log).items):
        owner[items] = j
    who, what = place[log.data["buyer"].to_numpy()], owner[log.data["item"].to_numpy()]
    rows = (who >= 0) & (what >= 0)
    counts = np.zeros(hits.shape, dtype=np.float32)
    np.add.at(counts, (who[rows], what[rows]), 1.0)
    found = run("factorise", {"counts": counts}, k=K)
    return [
        {"list": name, **measures(top.astype(int), hits, before.mean(axis=0))}
        for name, top in found.items()
    ]
