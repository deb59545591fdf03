"""``python -m benchmarks NAME``: run one benchmark and write ``benchmarks/results/NAME.json``.

A benchmark is a module of this package with a function ``measure``, whose keyword arguments are
the options of its command. ``python -m benchmarks all`` runs each with its defaults.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from cyclopts import App

OTHERS = {"__init__", "__main__", "environment", "intervals"}
NAMES = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - OTHERS)


def run_all() -> None:
    """Run every benchmark with its defaults."""
    for name in NAMES:
        print(f"== {name}")
        import_module(f"benchmarks.{name}").measure()


def main() -> None:
    app = App(name="python -m benchmarks", help=__doc__, version_flags=[])
    for name in NAMES:
        app.command(f"benchmarks.{name}:measure", name=name)
    app.command(run_all, name="all")
    app(sys.argv[1:])


if __name__ == "__main__":
    main()
