"""Does one model give one answer? ROI and contributions beside pymc-marketing's, on public sets."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt.inference.ess import figures, mean_ess
from benchmarks.environment import described, write
from benchmarks.mix_agreement.sets import PRIORS, SETS, Case, DayOfYear

ROOT = Path(__file__).parents[2]
PEER = Path(__file__).with_name("peer.py")
UV = ROOT / ".venv" / "bin" / "uv"
PEER_NAME = "pymc-marketing 1.3.0, nutpie 0.16.11"
QUANTITIES = {
    "roi": "contribution over spend, all media of the panel",
    "contribution": "sales that a channel caused over the panel",
    "late_roi": "the same over spend of the last 52 weeks: what it causes then and after",
    "late_contribution": "sales that spend of the last 52 weeks caused",
}
CLOSE = 0.1


def measure(
    *,
    sets: tuple[str, ...] = (),
    draws: int = 2000,
    tune: int = 1000,
    target_accept: float = 0.9,
    limit: float = 1800.0,
    data: Path | None = None,
    seed: int = 1,
    note: str = "",
) -> None:
    """Fit one model by both libraries, with the same priors, curves, scaling and estimand.

    Parameters
    ----------
    sets
        Some of mmm_example, multidimensional, case_study, robyn; all by default.
    draws, tune, target_accept
        Of each of the peer's four chains. Ours end where every ESS is above their default.
    limit
        Seconds for each of the peer's fits.
    data
        Folder of the data sets; by default as `real_data` finds it.
    seed
        Of both.
    note
        A remark to keep with the result.
    """
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    for name in sets or tuple(SETS):
        case = SETS[name](data)
        answers, own = ours(case, seed)
        task = {"draws": draws, "tune": tune, "target_accept": target_accept, "seed": seed}
        theirs, other = peers(case, task, limit)
        about[name] = {
            "panel": repr(case.panel),
            "model": repr(case.spec.saturation),
            "season": case.season,
            "controls": len(case.panel.controls),
            "truth": case.source,
            "bayes_mkt": own,
            PEER_NAME: other,
        }
        rows += beside(name, case, answers, theirs)
        result = summary(rows, about, note, seed)
        # Written as it goes, so that a run that is cut short leaves what it found.
        written = write("mix_agreement", result)
        print(pd.DataFrame(rows).drop(columns="quantity_is").to_string(index=False), flush=True)
        print(json.dumps({"ours": own, "theirs": other}), flush=True)
    print(pd.DataFrame(result["agreement"]).to_string(index=False))
    print(written)


def summary(
    rows: list[dict[str, Any]], about: dict[str, Any], note: str, seed: int
) -> dict[str, Any]:
    """Return the differences so far, by set and quantity."""
    agreement = []
    frame = pd.DataFrame(rows)
    if len(frame):
        for (name, quantity), part in frame.groupby(["data", "quantity"], sort=False):
            agreement.append(
                {
                    "data": name,
                    "quantity": quantity,
                    "entries": len(part),
                    "largest_difference_in_sd": float(part.difference_in_sd.abs().max()),
                    "largest_difference_in_mcse": float(part.difference_in_mcse.abs().max()),
                    "sd_ratio_low": float(part.sd_ratio.min()),
                    "sd_ratio_high": float(part.sd_ratio.max()),
                    "agree": bool((part.difference_in_sd.abs() < CLOSE).all()),
                }
            )
    return {
        **described(f"python -m benchmarks mix_agreement --seed {seed}"),
        "note": note,
        "question": "do two libraries give one answer to one question under one model?",
        "columns": {
            "difference_in_sd": "our mean less theirs, in the root mean square of both SDs",
            "difference_in_mcse": "the same in its own Monte Carlo error; 3 happens by chance "
            "once in 400",
            "same_calendar_in_sd": "difference_in_sd if our season too is counted by day of year",
            "sd_ratio": "our posterior SD over theirs",
            "seconds": "ours: from the panel to the verdict, first and second fit in a process; "
            "theirs: the call of fit, compilation included; sampling_seconds: nutpie alone",
            "min_ess_bulk": "of all free parameters, by one function for both",
            "agree": f"no difference above {CLOSE} SD",
        },
        "quantities": QUANTITIES,
        "priors": PRIORS,
        "sets": about,
        "agreement": agreement,
        "rows": rows,
    }


def ours(case: Case, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Fit twice, so that the second is compiled, and answer from the first.

    `same_calendar` is the ROI of a third fit, whose season is counted as the peer counts it.
    """
    seconds, fits = [], []
    for k in range(2):
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is kept
            fits.append(bm.fit(case.spec, case.panel, seed=seed + k, progress=False))
        seconds.append(time.perf_counter() - begun)
    fit = fits[0]
    begun = time.perf_counter()
    answers = {
        f"{name}{quantity}": answered(fit, quantity, bm.Estimand.pymc_marketing(window))
        for name, window in (("", None), ("late_", case.window))
        for quantity in ("roi", "contribution")
    }
    spent = time.perf_counter() - begun
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        as_theirs = replace(case.spec, seasonality=DayOfYear(case.season))
        same = bm.fit(as_theirs, case.panel, seed=seed, progress=False)
    answers["same_calendar"] = answered(same, "roi", bm.Estimand.pymc_marketing())
    free = [str(variable.name) for variable in case.spec.build(case.panel).free_RVs]
    about = {
        "seconds": seconds[0],
        "warm_seconds": seconds[1],
        "answer_seconds": spent,
        "draws": int(fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]),
        "converged": fit.diagnostics.ok,
        "divergences": fit.diagnostics.divergences,
        **ess_of([fit.posterior[name].to_numpy() for name in free]),
    }
    return answers, about


def answered(fit: bm.Fit, quantity: str, estimand: bm.Estimand) -> np.ndarray:
    """Return ROI or incremental sales (chain, draw, [region,] channel)."""
    by = ("region", "channel") if fit.data.n_regions > 1 else ("channel",)
    ask = bm.roi if quantity == "roi" else bm.incremental_sales
    return np.asarray(ask(fit, estimand, by, allow_unconverged=True).to_numpy())


def peers(
    case: Case, settings: dict[str, Any], limit: float
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Fit by pymc-marketing in an environment of its own; no answers if that fails."""
    command = [str(UV), "run", "--no-project", "--script", str(PEER)]
    with tempfile.TemporaryDirectory(prefix="mix_agreement-") as name:
        folder = Path(name)
        case.rows().to_csv(folder / "rows.csv", index=False)
        (folder / "task.json").write_text(json.dumps({**case.task(), **settings}))
        subprocess.run(command, cwd=ROOT, check=False, capture_output=True)  # made, untimed
        try:
            done = subprocess.run(
                [*command, name], cwd=ROOT, timeout=limit, check=False,
                capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {}, {"failure": f"more than {limit:g} s"}
        if not (folder / "found.json").is_file():
            return {}, {"failure": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
        about = json.loads((folder / "found.json").read_text())
        with np.load(folder / "draws.npz") as arrays:
            draws = {key: arrays[key] for key in arrays.files}
    if about.pop("channels") != list(case.panel.channels):
        raise ValueError("the peer's channels stand in another order")
    free = [values for key, values in draws.items() if key.startswith("free:")]
    chains, length = free[0].shape[:2]
    return draws, {**about, "draws": chains * length, **ess_of(free)}


def ess_of(variables: list[np.ndarray]) -> dict[str, float]:
    """Return the smallest ESS and the largest R-hat of variables (chain, draw, ...)."""
    flat = [values.reshape(*values.shape[:2], -1) for values in variables]
    found = figures(np.concatenate(flat, axis=2))
    return {
        "min_ess_bulk": float(found.bulk.min()),
        "min_ess_tail": float(found.tail.min()),
        "max_rhat": float(found.rhat.max()),
    }


def beside(
    name: str, case: Case, own: dict[str, np.ndarray], other: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Return a row for each quantity of each channel, and region where there are several."""
    regions = case.panel.regions if case.panel.n_regions > 1 else ("",)
    entries = [f"{r} {c}".strip() for r in regions for c in case.panel.channels]
    rows = []
    for quantity, title in QUANTITIES.items():
        if quantity not in other:
            continue
        pair = [v.reshape(*v.shape[:2], -1) for v in (own[quantity], other[quantity])]
        means, sds = ([f(v, axis=(0, 1)) for v in pair] for f in (np.mean, np.std))
        sizes = [mean_ess(v) for v in pair]
        scale = np.sqrt((sds[0] ** 2 + sds[1] ** 2) / 2)
        error = np.sqrt(sds[0] ** 2 / sizes[0] + sds[1] ** 2 / sizes[1])
        same = own["same_calendar"].reshape(*own["same_calendar"].shape[:2], -1)
        for k, entry in enumerate(entries):
            gap = float(means[0][k] - means[1][k])
            true = (case.truth or {}).get(entry) if quantity == "roi" else None
            rows.append(
                {
                    "data": name,
                    "quantity": quantity,
                    "quantity_is": title,
                    "of": entry,
                    "truth": true,
                    "mean": float(means[0][k]),
                    "sd": float(sds[0][k]),
                    "peer_mean": float(means[1][k]),
                    "peer_sd": float(sds[1][k]),
                    "difference_in_sd": gap / float(scale[k]),
                    "difference_in_mcse": gap / float(error[k]),
                    "same_calendar_in_sd": (float(same[:, :, k].mean() - means[1][k]) / scale[k])
                    if quantity == "roi"
                    else None,
                    "sd_ratio": float(sds[0][k] / sds[1][k]),
                    "ess": float(sizes[0][k]),
                    "peer_ess": float(sizes[1][k]),
                }
            )
    return rows
