"""Threads for many passes over rows in NumPy, one a core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

__all__ = ["CORES", "threads"]

CORES = os.cpu_count() or 1


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads in which linear algebra stays within the thread that asks for it.

    Its own threads would wait for each other longer than small products take.

    Examples
    --------
    >>> with threads() as pool:
    ...     list(pool.map(abs, [-1, 2]))
    [1, 2]
    """
    with threadpool_limits(1), ThreadPoolExecutor(CORES) as pool:
        yield pool
