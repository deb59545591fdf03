"""What is set for a whole process while anyone needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock

__all__ = ["Shared"]


class Shared:
    """A setting that whoever comes first makes, and whoever leaves last takes back.

    Parameters
    ----------
    setting
        Makes it when entered, takes it back when left.
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[object]]) -> None:
        self._setting, self._lock, self._inside = setting, Lock(), 0
        self._made = ExitStack()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the setting in the block, in whatever threads enter it at once."""
        with self._lock:
            if not self._inside:
                self._made.enter_context(self._setting())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    self._made.close()
