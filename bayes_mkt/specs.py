"""Specifications as plain tables, for JSON and TOML, and back."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

PLAIN = "plain"  # in the metadata of a field whose table has names of the user's as keys
_PLAIN = (str, int, float, bool, type(None))


def to_table(value: Any) -> Any:
    """Return a spec as nested dicts and lists; dataclasses carry their public name as `type`.

    Examples
    --------
    >>> to_table(Prior("HalfNormal", sigma=1.0))
    {'dist': 'HalfNormal', 'sigma': 1.0}
    """
    if isinstance(value, Prior):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_table(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): to_table(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_table(item) for item in value]
    if isinstance(value, _PLAIN):
        return value
    raise SpecError(f"{value!r} of type {type(value).__name__} can't be saved as part of a spec.")


def from_table(table: Any, where: str = "spec") -> Any:
    """Return what `to_table` wrote: a table with `type` becomes that public class of bayes_mkt.

    Parameters
    ----------
    table
        Nested dicts, lists and plain values.
    where
        Name of the table, for messages.

    Raises
    ------
    SpecError
        For an unknown type or field; names the closest known ones.

    Examples
    --------
    >>> from_table({"type": "GeometricAdstock", "max_lag": 4})
    GeometricAdstock(max_lag=4)
    """
    if isinstance(table, list):
        return tuple(from_table(item, where) for item in table)
    if not isinstance(table, Mapping):
        return table
    if "dist" in table:
        return Prior.from_dict(table)
    kind = public_class(table["type"], where) if "type" in table else None
    given = {k: v for k, v in table.items() if k != "type"}
    # Tables whose keys are the user's names may have a `dist` or a `type` among them.
    plain = [f.name for f in dataclasses.fields(kind) if PLAIN in f.metadata] if kind else []
    inside = {k: v if k in plain else from_table(v, f"{where}.{k}") for k, v in given.items()}
    if kind is None:
        return inside
    check_keys(inside, [f.name for f in dataclasses.fields(kind) if f.init], where)
    return kind(**inside)


def public_class(name: str, where: str) -> Any:
    """Return the public dataclass of bayes_mkt with this name."""
    import bayes_mkt

    kind = getattr(bayes_mkt, name) if name in bayes_mkt.__all__ else None
    if not dataclasses.is_dataclass(kind):
        raise SpecError(f"{where}: type {name!r} is no public class of bayes_mkt.")
    return kind


def remade(spec: Any) -> tuple[Callable[[], Any], tuple[()]]:
    """Return what `__reduce__` of a specification with read-only mappings, `priors`, returns.

    Such a mapping can't be copied or pickled itself: the spec is made anew from its own values.
    """
    given = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    kind: Callable[..., Any] = type(spec)
    plain = {name: dict(v) if isinstance(v, Mapping) else v for name, v in given.items()}
    return partial(kind, **plain), ()


def check_keys(given: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Raise `SpecError` naming the first key that is not allowed, with the closest that is."""
    possible = list(allowed)
    for key in given:
        if key not in possible:
            close = difflib.get_close_matches(key, possible, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(possible)}."
            raise SpecError(f"{where}: unknown key {key!r}; {hint}")
