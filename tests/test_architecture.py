"""ARCHITECTURE.md describes the code; these tests hold the one to the other.

`python tests/test_architecture.py` writes the document's table of modules anew.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bayes_mkt"
DOCUMENT = ROOT / "ARCHITECTURE.md"

MAX_FILE = 400
MAX_FUNCTION = 60
LIBRARIES = {"pymc": "PyMC", "pytensor": "PyMC", "jax": "JAX", "jaxlib": "JAX", "blackjax": "JAX"}
BOTH_LIBRARIES = {"inference/target.py", "inference/jaxify.py", "inference/referee.py"}
ROOT_ROOMS = {"cli", "specs"}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NETWORK = {
    "aiohttp", "ftplib", "http", "httpx", "requests", "smtplib", "socket", "telnetlib", "urllib3",
    "urllib.request", "xmlrpc",
}  # fmt: skip
DELEGATION = {"__getattr__", "__getattribute__"}


# The code, read without running it.


def sources() -> dict[str, ast.Module]:
    """Return the parsed modules of the package by path; empty `__init__.py` files are left out."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body:
            found[path.relative_to(PACKAGE).as_posix()] = tree
    return found


SOURCES = sources()
ROOMS = sorted(
    {
        path.split("/")[0].removesuffix(".py")
        for path in (p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*.py"))
        if path != "__init__.py"
    }
)


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through what runs: everything but the imports made for type checkers alone."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from running(child)


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the dotted names that the nodes import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def within(names: set[str], banned: set[str]) -> set[str]:
    """Return the names that are one of the banned modules or lie inside one."""
    return {n for n in names if any(n == b or n.startswith(f"{b}.") for b in banned)}


def libraries(tree: ast.AST) -> set[str]:
    """Return which of PyMC and JAX a module uses when it runs, by whatever part of them."""
    roots = {name.split(".")[0] for name in imported(running(tree))}
    return {LIBRARIES[root] for root in roots & set(LIBRARIES)}


def room_modules(room: str) -> dict[str, ast.Module]:
    return {p: t for p, t in SOURCES.items() if p == f"{room}.py" or p.startswith(f"{room}/")}


def rooms_imported_by(room: str) -> set[str]:
    """Return the other rooms that a room imports; `""` stands for the package's own root."""
    found = set()
    for tree in room_modules(room).values():
        for name in imported(ast.walk(tree)):
            first, _, rest = name.partition(".")
            if first != "bayes_mkt" or rest == "__version__":
                continue
            if rest:
                top = rest.split(".")[0]
                found.add(top if top in ROOMS else "")
            elif any(
                isinstance(node, ast.Import) and "bayes_mkt" in {a.name for a in node.names}
                for node in ast.walk(tree)
            ):
                found.add("")
    return found - {room}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    doc = function.body[0]
    return lines - ((doc.end_lineno or doc.lineno) - doc.lineno + 1)


def faults(tree: ast.AST) -> set[str]:
    """Return what a module does that no module of the package may do."""
    names = imported(ast.walk(tree))
    found = {f"imports {name}" for name in within(names, PICKLES | NETWORK)}
    found |= {f"defines {f.name}" for f in functions(tree) if f.name in DELEGATION}
    found |= {f"imports relatively: {name}" for name in names if name.startswith(".")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"read_pickle", "to_pickle"}:
            found.add(f"calls {node.attr}")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found |= set() if ast.unparse(node.value) == "False" else {"passes allow_pickle"}
        if isinstance(node, ast.FunctionDef) and length(node) > MAX_FUNCTION:
            found.add(f"{node.name} has {length(node)} lines")
    return found


# The contracts of import-linter, in pyproject.toml.


def contracts() -> list[dict[str, list[str]]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed: list[dict[str, list[str]]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return listed


def allowed_by_contracts(room: str) -> set[str]:
    """Return the rooms that the contracts let a room import."""
    allowed: set[str] = set()
    below = False
    for contract in contracts():
        for layer in contract.get("layers", []):
            members = set(re.findall(r"\w+", layer))
            if below:
                allowed |= members
            elif room in members:
                below = True
                allowed |= members if ":" in layer else set()
    allowed -= {room}
    for contract in contracts():
        if f"bayes_mkt.{room}" not in contract.get("source_modules", []):
            continue
        banned = {m.removeprefix("bayes_mkt.") for m in contract["forbidden_modules"]}
        excepted = {
            target.removeprefix("bayes_mkt.")
            for source, target in (i.split(" -> ") for i in contract.get("ignore_imports", []))
            if source.startswith(f"bayes_mkt.{room}")
        }
        allowed &= excepted if "*" in banned else allowed - banned
    return allowed & set(ROOMS)


# The document's tables, between markers.


def section(name: str) -> str:
    text = DOCUMENT.read_text(encoding="utf-8")
    match = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert match is not None, f"ARCHITECTURE.md lacks the markers of {name!r}"
    return match[1].strip()


def rows(name: str) -> list[list[str]]:
    lines = section(name).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def module_table() -> str:
    """Return the table of modules, from the first line of each module's docstring."""
    lines = ["| Module | What it does |", "| --- | --- |"]
    for path, tree in SOURCES.items():
        doc = ast.get_docstring(tree) or ""
        lines.append(f"| `{path}` | {doc.split(chr(10))[0].replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


ROOM_ROWS = {next(iter(quoted(row[0]))): row for row in rows("rooms")}


# The tests.


def test_each_module_says_what_it_does() -> None:
    silent = [path for path, tree in SOURCES.items() if not ast.get_docstring(tree)]
    assert silent == []


def test_module_table_is_current() -> None:
    assert section("modules") == module_table(), "run: python tests/test_architecture.py"


def test_each_room_has_a_row() -> None:
    assert sorted(ROOM_ROWS) == ROOMS


def test_each_room_stands_in_one_layer() -> None:
    layers = [layer for c in contracts() for layer in c.get("layers", [])]
    members = [name for layer in layers for name in re.findall(r"\w+", layer)]
    assert len(members) == len(set(members))
    assert set(ROOMS) <= set(members)


@pytest.mark.parametrize("room", ROOMS)
def test_stated_imports_equal_the_contracts(room: str) -> None:
    assert quoted(ROOM_ROWS[room][2]) == allowed_by_contracts(room)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_are_the_stated_ones(room: str) -> None:
    # The root holds every public name, loaded on demand: through it any wall could be passed.
    root = {""} if room in ROOT_ROOMS else set()
    assert rooms_imported_by(room) <= quoted(ROOM_ROWS[room][2]) | root


@pytest.mark.parametrize("room", ROOMS)
def test_stated_libraries_are_the_imported_ones(room: str) -> None:
    used = {name for tree in room_modules(room).values() for name in libraries(tree)}
    assert set(re.findall("PyMC|JAX", ROOM_ROWS[room][3])) == used


@pytest.mark.parametrize("path", SOURCES)
def test_few_files_know_both_pymc_and_jax(path: str) -> None:
    assert path in BOTH_LIBRARIES or len(libraries(SOURCES[path])) < 2


@pytest.mark.parametrize("path", SOURCES)
def test_module_keeps_the_rules(path: str) -> None:
    assert faults(SOURCES[path]) == set()
    lines = len((PACKAGE / path).read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "imports pickle"),
        ("def load():\n    from joblib import dump", "imports joblib"),
        ("from urllib import request", "imports urllib.request"),
        ("import http.client", "imports http.client"),
        ("from . import dims", "imports relatively: ."),
        ("class A:\n    def __getattr__(self, name): ...", "defines __getattr__"),
        ("frame.to_pickle('x')", "calls to_pickle"),
        ("np.load(path, allow_pickle=True)", "passes allow_pickle"),
        ("def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
    ],
)
def test_rules_notice_a_fault(source: str, fault: str) -> None:
    assert fault in faults(ast.parse(source))


def test_rules_pass_over_harmless_code() -> None:
    source = "import urllib.parse\nnp.load(p, allow_pickle=False)\ndef f():\n"
    source += '    """' + "x\n" * 80 + '    """\n' + "    x = 1\n" * 59
    assert faults(ast.parse(source)) == set()


def test_library_reading_notices_both() -> None:
    source = "import jax.numpy as jnp\n{}:\n    from pytensor.graph import x"
    assert libraries(ast.parse(source.format("def f()"))) == {"PyMC", "JAX"}
    assert libraries(ast.parse(source.format("if TYPE_CHECKING"))) == {"JAX"}


if __name__ == "__main__":
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition("<!-- modules -->\n")
    _, end, tail = rest.partition("<!-- /modules -->")
    table = f"<!-- modules -->\n{module_table()}\n"
    DOCUMENT.write_text(head + table + end + tail, encoding="utf-8")
