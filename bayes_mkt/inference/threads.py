"""Who may use the cores: our threads or linear algebra's own, not both at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from bayes_mkt.inference.shared import Shared

__all__ = ["CORES", "alone", "threads"]

CORES = os.cpu_count() or 1


@cache
def _libraries() -> ThreadpoolController:
    """Return the libraries of linear algebra that are loaded: those of NumPy and SciPy."""
    import scipy.linalg  # noqa: F401  # what isn't loaded isn't found

    return ThreadpoolController()


_ONE = Shared(lambda: _libraries().limit(limits=1, user_api="blas"))


def alone() -> AbstractContextManager[None]:
    """Keep linear algebra within the thread that asks for it, in the whole process.

    Its own threads would wait for each other longer than small products take, and go on waiting for
    the next one on cores that others need.
    """
    return _ONE.held()


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads, one a core, with linear algebra `alone` in each.

    Examples
    --------
    >>> with threads() as pool:
    ...     list(pool.map(abs, [-1, 2]))
    [1, 2]
    """
    with alone(), ThreadPoolExecutor(CORES) as pool:
        yield pool
