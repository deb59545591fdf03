"""The TOML file of a run: read whole, checked whole, every problem named at once."""

from __future__ import annotations

import datetime as dt
import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bayes_mkt.errors import SpecError

__all__ = ["MediaMixConfig", "read_media_mix_config"]

type Table = Mapping[str, Any]
type Check = Callable[[Any], Any]


@dataclass(frozen=True)
class MediaMixConfig:
    """What a media-mix run was asked to do.

    Parameters
    ----------
    data
        Keyword arguments of `MediaPanel.from_frame`.
    model
        The table `[model]` as it stands; the specification reads it.
    sampler
        Keyword arguments of `fit`.
    estimand
        Keyword arguments of `Estimand`.
    report
        `title` and `interval`, where given.
    forecast, budget, refutation, backtest
        What else is asked of the fit; None where the table is absent.
    treatments
        Control -> the level that its contribution is compared with.
    folder
        Where the file stands; a plan is looked for from there.
    """

    data: Table
    model: Table
    sampler: Table
    estimand: Table
    report: Table
    forecast: Table | None
    budget: Table | None
    refutation: Table | None
    backtest: Table | None
    treatments: Table
    folder: Path


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError('must be text, such as "tv_spend"')
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of texts, such as ["price", "holiday"]')
    return value


def _columns(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError('must be a table of channel = "column", such as tv = "tv_spend"')
    return value


def _whole(least: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"must be a whole number >= {least}")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError("must lie between 0 and 1, such as 0.9")
    return float(value)


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError("must be a number > 0, such as 400")
    return float(value)


def _window(value: Any) -> tuple[str, str]:
    message = 'must be two dates, first and last, such as ["2024-01-01", "2024-03-31"]'
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(message)
    ends: list[str] = []
    for end in value:
        text = end.isoformat() if isinstance(end, dt.date) else end
        try:
            dt.datetime.fromisoformat(text)
        except (TypeError, ValueError):
            raise ValueError(message) from None
        ends.append(text)
    return ends[0], ends[1]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError("must be a number >= 0, such as 250000")
    return float(value)


def _total(value: Any) -> float | tuple[float, float]:
    if isinstance(value, list):
        return _pair(value)
    return _number(value)


def _pair(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be a number, or the lowest and the highest, such as [0, 250000]")
    return _number(value[0]), _number(value[1])


def _by_channel(check: Check, example: str) -> Check:
    def checked(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"must be a table of channel = {example}, such as tv = {example}")
        return {name: check(entry) for name, entry in value.items()}

    return checked


def _bounds(value: Any) -> dict[str | tuple[str, str], tuple[float, float]]:
    if not isinstance(value, dict):
        raise ValueError("must be a table of channel or region = [0, 250000]")
    found: dict[str | tuple[str, str], tuple[float, float]] = {}
    for name, entry in value.items():
        if entry == {}:
            raise ValueError(f"{name} is empty: give it channel = [0, 250000]")
        if isinstance(entry, dict):
            found |= {(name, inside): _pair(pair) for inside, pair in entry.items()}
        else:
            found[name] = _pair(entry)
    return found


def _shares(value: Any) -> list[float]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of numbers between 0 and 1, such as [0.5, 0.9]")
    return [_share(entry) for entry in value]


SCHEMA: Final[Mapping[str, Mapping[str, Check]]] = {
    "data": {
        "sales": _text,
        "date": _text,
        "region": _text,
        "population": _text,
        "revenue_per_sale": _text,
        "currency": _text,
        "missing_sales": _text,
        "controls": _texts,
        "spend": _columns,
        "exposure": _columns,
        "reach": _columns,
        "frequency": _columns,
    },
    "sampler": {
        "seed": _whole(0),
        "chains": _whole(1),
        "draws": _whole(1),
        "warmup": _whole(1),
        "max_draws": _whole(1),
        "target_ess": _positive,
        "target_accept": _share,
        "sampler": _text,
    },
    "estimand": {
        "spend_window": _window,
        "outcome_window": _window,
        "carryover": _flag,
        "carry_in": _flag,
        "regions": _texts,
        "channels": _texts,
    },
    "report": {"title": _text, "interval": _share},
    "forecast": {
        "horizon": _whole(1),
        "plan": _text,
        "date": _text,
        "region": _text,
        "spend": _columns,
        "exposure": _columns,
        "reach": _columns,
        "frequency": _columns,
        "controls": _texts,
        "revenue_per_sale": _text,
    },
    "budget": {
        "horizon": _whole(1),
        "total": _total,
        "bounds": _bounds,
        "by": _texts,
        "risk": _text,
        "level": _share,
        "minimum_move": _number,
        "price_change": _by_channel(_positive, "1.1"),
        "starts": _whole(1),
        "draws": _whole(1),
    },
    "refutation": {"checks": _texts},
    "backtest": {"origins": _whole(1), "horizon": _whole(1), "levels": _shares},
}
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {"data": ("sales", "date")}
OPTIONAL: Final = ("forecast", "budget", "refutation", "backtest")
FREE: Final = ("model", "treatments")
TABLES: Final = ("data", "model", "sampler", "estimand", "report", *OPTIONAL, "treatments")


def read_media_mix_config(path: Path) -> MediaMixConfig:
    """Read and check the TOML file of a media-mix run.

    Raises
    ------
    SpecError
        If the file is absent or not TOML, or with all its problems: keys that are
        unknown, missing or of the wrong type.
    """
    raw = _load(path)
    problems = [
        f"there is no table [{name}]{_instead(name, TABLES)}" for name in raw if name not in TABLES
    ]
    tables: dict[str, Any] = {}
    for name in TABLES:
        table = raw.get(name, {})
        if name in OPTIONAL and name not in raw:
            tables[name] = None
        elif isinstance(table, dict):
            tables[name] = table if name in FREE else _checked(name, table, problems)
        else:
            problems.append(f"[{name}] must be a table, but is {table!r}")
    problems.extend(_treatment_problems(tables.get("treatments", {})))
    if problems:
        raise SpecError(_message(path, problems))
    return MediaMixConfig(**tables, folder=path.parent)


def _treatment_problems(table: Table) -> list[str]:
    """Return what is wrong with the levels that controls are compared with."""
    return [
        f'[treatments] {name} = {level!r} must be a number, "mean", "min" or "max"'
        for name, level in table.items()
        if level not in ("mean", "min", "max")
        and (isinstance(level, bool) or not isinstance(level, int | float))
    ]


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"The configuration {path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise SpecError(f"The configuration {path} is not valid TOML: {error}.") from error


def _checked(name: str, table: Table, problems: list[str]) -> dict[str, Any]:
    schema = SCHEMA[name]
    checked: dict[str, Any] = {}
    for key, value in table.items():
        if key not in schema:
            problems.append(f"[{name}] has no key {key!r}{_instead(key, schema)}")
            continue
        try:
            checked[key] = schema[key](value)
        except ValueError as error:
            problems.append(f"[{name}] {key} = {value!r} {error}")
    problems.extend(
        f"[{name}] lacks the key {key!r}, the name of a column"
        for key in REQUIRED.get(name, ())
        if key not in table
    )
    return checked


def _instead(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=2, cutoff=0.7)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; use any of {', '.join(map(repr, known))}"


def _message(path: Path, problems: list[str]) -> str:
    if len(problems) == 1:
        return f"{path}: {problems[0]}" + "." * (not problems[0].endswith("?"))
    lines = [f"  {i}. {problem}" for i, problem in enumerate(problems, 1)]
    return "\n".join([f"{path}: {len(problems)} problems in the configuration:", *lines])
