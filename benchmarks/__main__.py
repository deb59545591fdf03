"""``python -m benchmarks NAME``: run one benchmark and write ``benchmarks/results/NAME.json``.

A benchmark is a module or package with a function ``measure``, whose keyword arguments are
the options of its command. ``python -m benchmarks all`` runs each with its defaults.
"""

from __future__ import annotations

import sys
from importlib import import_module

from cyclopts import App

NAMES = (
    "backtests",
    "bank_marketing",
    "calibration",
    "campaign_worlds",
    "churn_telco",
    "complete_journey",
    "customer_growth",
    "customer_holdout",
    "geolift",
    "gradient",
    "growth",
    "hazard_coverage",
    "hazard_growth",
    "logistic_growth",
    "market_coverage",
    "meridian_preset",
    "mix_agreement",
    "purchases",
    "recommendation",
    "refit",
    "refutation",
    "roi_coverage",
    "samplers",
    "second_purchase",
    "thompson_regret",
    "twin_coverage",
    "uplift_hillstrom",
    "uplift_worlds",
)


def run_all() -> None:
    """Run every benchmark with its defaults; one that lacks its data is left out, and said."""
    lacking = []
    for name in NAMES:
        print(f"== {name}")
        try:
            import_module(f"benchmarks.{name}").measure()
        except SystemExit as refusal:
            lacking.append(name)
            print(refusal)
    if lacking:
        raise SystemExit(f"left out: {', '.join(lacking)}")


def main() -> None:
    app = App(name="python -m benchmarks", help=__doc__, version_flags=[])
    for name in NAMES:
        app.command(f"benchmarks.{name}:measure", name=name)
    app.command(run_all, name="all")
    app(sys.argv[1:])


if __name__ == "__main__":
    main()
