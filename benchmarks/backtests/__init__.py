"""How good are rolling forecasts on three panels, beside a naive, a structural and another's?"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.backtest import TOTAL, first_origin
from benchmarks.backtests.beside import FORMS, PEER_NAME, peer
from benchmarks.backtests.panels import AGAIN, CASES, CURVED
from benchmarks.environment import RESULTS, described, write

NAIVE = "seasonal_naive"
LEVELS = (0.5, 0.8, 0.95)


def measure(
    *,
    origins: int = 4,
    horizon: int = 4,
    seed: int = 1,
    panels: tuple[str, ...] = (),
    ours: bool = True,
    peers: tuple[str, ...] = tuple(FORMS),
    draws: int = 500,
    tune: int = 500,
    keep: bool = False,
    parts: Path | None = None,
    data: Path | None = None,
    note: str = "",
) -> None:
    """Score forecasts from rolling origins: CRPS and the share inside intervals.

    Parameters
    ----------
    origins, horizon
        As in `backtest`.
    seed
        Integer.
    panels
        Some of orange_juice, orange_juice_dates, orange_juice_cuts, orange_juice_sizes,
        complete_journey, meridian; all by default.
    ours
        Whether `backtest` is run: our forecast, the seasonal-naive and the structural one.
    peers
        Forms of pymc-marketing's model: pooled, defaults; both by default.
    draws, tune
        Of each of the peer's four chains.
    keep
        Whether what the file has of other panels and forecasters stays, or it begins anew.
    parts
        Folder in which each of the peer's forecasts is kept as it is made: a run that was cut short
        goes on there. It is for one state of the sources.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    about: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for name in panels or tuple(CASES):
        panel, spec = CASES[name](data)
        told: dict[str, Any] = {"panel": repr(panel), "model": repr(spec)}
        scores = []
        if ours:
            options = {"target_accept": 0.95} if name in CURVED else {}
            found, how = _ours(spec, panel, origins, horizon, seed, options)
            scores.append(found)
            told |= how
        first = first_origin(spec, panel, origins, horizon)
        starts = [first + i * horizon for i in range(origins)]
        for form in () if name in AGAIN else peers:
            own = None if parts is None else parts / f"{name}-{form}-{draws}-{tune}-{seed}"
            settings = {"draws": draws, "tune": tune, "seed": seed}
            theirs, how = peer(form, panel, spec, starts, horizon, parts=own, **settings)
            told[f"pymc_marketing_{form}"] = {**how, "measured": described("")["date"]}
            scores += [] if theirs is None else [theirs]
        if keep:  # what others have written in the meantime too
            about, rows, note = _last(note)
        about[name] = {**about.get(name, {}), **told}
        new = [row for found in scores for row in table(name, found)]
        rows = _ordered(against_naive(_merged(rows, new)))
        print(pd.DataFrame(rows).to_string(index=False), flush=True)
        print(json.dumps(told, indent=1), flush=True)
        result = {
            **described(f"python -m benchmarks backtests --origins {origins} --horizon {horizon}"),
            "note": note,
            "question": f"CRPS and coverage of forecasts, {origins} origins x {horizon} weeks",
            "peer": PEER_NAME,
            "panels": about,
            "rows": rows,
        }
        # Written as it goes, so that a run that is cut short leaves what it found.
        write("backtests", result)


def _ours(
    spec: bm.MediaMix,
    panel: bm.MediaPanel,
    origins: int,
    horizon: int,
    seed: int,
    options: dict[str, Any],
) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return what `backtest` finds, and how it went."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        found = bm.backtest(spec, panel, origins=origins, horizon=horizon, seed=seed, **options)
    how = {
        "options": options,
        "converged": int(found["converged"].sum()),
        "seconds": round(time.perf_counter() - begun, 1),
        "measured": described("")["date"],
    }
    return found.drop_vars("converged"), how


def _last(note: str) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """Return what the last result says of panels, its rows, and its note unless there's another."""
    path = RESULTS / "backtests.json"
    if not path.is_file():
        raise SystemExit(f"{path} is absent: nothing to keep")
    last = json.loads(path.read_text(encoding="utf-8"))
    return last["panels"], last["rows"], note or last["note"]


def _merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the new rows, and the old ones of other panels and forecasters."""
    known = {(row["panel"], row["forecaster"]) for row in new}
    return [row for row in old if (row["panel"], row["forecaster"]) not in known] + new


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    places = list(CASES)
    return sorted(rows, key=lambda row: (places.index(row["panel"]), row["of"]))


def against_naive(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with CRPS as a multiple of the seasonal-naive forecast's of the same panel.

    Raises
    ------
    SystemExit
        If that forecast is missing.
    """
    naive = {(r["panel"], r["of"]): r["crps"] for r in rows if r["forecaster"] == NAIVE}
    if lacking := {row["panel"] for row in rows} - {panel for panel, _ in naive}:
        raise SystemExit(
            f"{', '.join(sorted(lacking))}: no seasonal-naive forecast; leave out --no-ours"
        )
    return [{**row, "against_naive": row["crps"] / naive[row["panel"], row["of"]]} for row in rows]


def table(name: str, found: xr.Dataset) -> list[dict[str, Any]]:
    """Return a row for each forecaster, of single regions and of their sum: means over origins."""
    rows = []
    total = found["region"] == TOTAL
    for what, chosen in (("region", ~total), ("total", total)):
        part = found.sel(region=chosen)
        for forecaster in found["forecaster"].to_numpy():
            own = part.sel(forecaster=forecaster)
            inside = own["covered"].mean(("origin", "region"))
            rows.append(
                {
                    "panel": name,
                    "of": what,
                    "forecaster": str(forecaster),
                    "crps": float(own["crps"].mean()),
                    "against_naive": float("nan"),
                    **{f"inside_{level:.0%}": float(inside.sel(level=level)) for level in LEVELS},
                }
            )
    return rows
