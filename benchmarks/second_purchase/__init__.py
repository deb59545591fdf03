"""Forward in time on real customers: pooled hazards, unpooled ones, and other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.environment import RESULTS, described, write
from benchmarks.second_purchase.scoring import about
from benchmarks.second_purchase.sources import SOURCES


def measure(
    *,
    sources: Sequence[str] = tuple(SOURCES),
    data: Path | None = None,
    seed: int = 1,
    note: str = "",
    into: Path = RESULTS,
) -> None:
    """Fit customers known at a date, and score those acquired since, market by market.

    Online Retail by country, the Complete Journey's households in product categories by cluster of
    stores, CDNOW as one market (forward, and two random halves followed for a year), and 40
    simulated markets. Kaplan-Meier by market, and Cox and Weibull regression of lifelines with an
    indicator for each market, are scored on the same customers by the same function.

    Parameters
    ----------
    sources
        Which of them.
    data
        Folder of the data sets; by default as `real_data` finds it.
    seed
        Of the fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    into
        Folder of the result.
    """
    found: list[dict[str, Any]] = []
    for name in sources:
        source = SOURCES[name](data, seed)
        print(name, source.train, source.test, sep="\n")
        found.append(about(source, seed))
        print(pd.DataFrame(found[-1]["scores"]).round(4).to_string(index=False), flush=True)
        chosen = "" if tuple(sources) == tuple(SOURCES) else named(sources)
        result = {
            **described(f"python -m benchmarks second_purchase {chosen}--seed {seed}"),
            "note": note,
            "question": (
                "P(T <= t) of customers acquired after a date, by models that saw only what was "
                "known then"
            ),
            "columns": {
                "integrated_brier": "mean over the times, of all scored customers; lower is better",
                "less_pooled": (
                    "integrated_brier less that of the pooled model, with a 90 % interval of a "
                    "bootstrap over the scored customers (in the Complete Journey over households "
                    "in a category, as if one household's were independent: too narrow)"
                ),
                "small_markets": (
                    "mean Brier score of scored customers of markets with fewer than 30 fitted ones"
                ),
                "bias": "mean forecast of P(T > last time) less Kaplan-Meier's",
                "calibration_error": (
                    "mean over tenths of risk of |forecast - Kaplan-Meier| at the last time"
                ),
                "error_in_small_markets": (
                    "root mean square error of P(T <= t) against the truth, over the times and the "
                    "markets with fewer than 30 fitted customers; simulated markets only"
                ),
                "calibrated_within_90": "share of forecasts within 1.645 SD, other markets",
            },
            "sources": found,
        }
        print(write("second_purchase", result, into))


def named(sources: Sequence[str]) -> str:
    """Return the options that name some sources."""
    return "".join(f'--sources "{name}" ' for name in sources)
