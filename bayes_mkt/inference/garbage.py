"""When unreachable objects are looked for: not while graphs are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from bayes_mkt.inference.shared import Shared

__all__ = ["uncollected"]


@contextmanager
def _off() -> Iterator[None]:
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


_OFF = Shared(_off)


def uncollected() -> AbstractContextManager[None]:
    """Have no cycles of objects looked for in the block, in the whole process.

    Graphs and their rewriting make some hundred thousand objects, next to all of which live on.
    Looking through all objects of the process takes some tenths of a second each time, and this
    many have it done in the middle.
    """
    return _OFF.held()
