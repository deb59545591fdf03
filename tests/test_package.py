"""The package as installed: its import, its public names, its versions, its lock files."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import bayes_mkt

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt")
HEAVY = ("pymc", "pytensor", "jax", "blackjax", "numba", "pandas", "xarray", "matplotlib", "scipy")

IMPORT = f"""
import json, sys, time
start = time.perf_counter()
import bayes_mkt
seconds = time.perf_counter() - start
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"seconds": seconds, "heavy": heavy}}))
"""


def fresh_import() -> tuple[float, list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    return result["seconds"], result["heavy"]


def pins(lock: str) -> dict[str, str]:
    """Return the pinned versions of a lock file by name."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))


def project() -> dict[str, list[str]]:
    """Return the requirements that each lock file has to meet."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        table = tomllib.load(file)
    extras = table["project"]["optional-dependencies"]
    groups = table["dependency-groups"]
    run = table["project"]["dependencies"]
    development = [*run, *extras["engines"], *extras["docs"], *groups["dev"], *groups["build"]]
    return dict(zip(LOCKS, (run, development, groups["build"]), strict=True))


def test_import_is_quick_and_loads_nothing_heavy() -> None:
    first, heavy = fresh_import()
    assert heavy == []
    assert min(first, fresh_import()[0]) < 1.0  # the better of two: other work may hold the CPU


def test_import_gives_the_version_that_is_installed() -> None:
    assert bayes_mkt.__version__ == version("bayes-mkt")


def test_some_names_are_public() -> None:
    assert len(bayes_mkt.__all__) == len(set(bayes_mkt.__all__)) > 0
    assert set(bayes_mkt.__all__) <= set(dir(bayes_mkt))


@pytest.mark.parametrize("name", bayes_mkt.__all__)
def test_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(bayes_mkt, name)
    text = inspect.getdoc(value)
    assert text
    if dataclasses.is_dataclass(value):
        # The signature that a dataclass without a docstring is given instead of one.
        assert not text.startswith(f"{name}(")


def test_function_keeps_its_name_from_the_module_that_it_shares_it_with() -> None:
    code = "import bayes_mkt, bayes_mkt.fit; print(type(bayes_mkt.fit).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "function"


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        bayes_mkt.no_such_name  # noqa: B018


def test_package_is_marked_as_typed() -> None:
    assert (ROOT / "bayes_mkt" / "py.typed").is_file()


def test_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="bayes-mkt")
    assert callable(command.load())


def test_documents_name_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert bayes_mkt.__version__ in changelog
    assert f"\nversion: {bayes_mkt.__version__}\n" in citation


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_meets_the_project(lock: str) -> None:
    pinned = pins(lock)
    for text in project()[lock]:
        requirement = Requirement(text)
        assert pinned[requirement.name] in requirement.specifier, f"{text}: run make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place_and_hashes_every_file(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links", text) == []
    unhashed = re.findall(r"^[a-z0-9-]+==[^\\\n]*$", text, re.MULTILINE)
    assert unhashed == []
    assert text.count("--hash=sha256:") >= len(pins(lock)) > 0


def test_locks_agree() -> None:
    everything = pins("requirements-dev.txt")
    for lock in LOCKS:
        assert pins(lock).items() <= everything.items()
