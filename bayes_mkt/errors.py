"""What can go wrong, each with the remedy in its message."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BayesMktError", "ConvergenceWarning", "DataError", "SamplingError", "SpecError"]


class BayesMktError(Exception):
    """Base of every error that bayes_mkt raises on purpose."""


class DataError(BayesMktError, ValueError):
    """The data break a stated requirement.

    All problems found in one pass are raised together, before any compilation.

    Parameters
    ----------
    problems
        One sentence each: column, offending values and where they stand, remedy.

    Examples
    --------
    >>> print(DataError(["spend 'tv' has 1 negative value: ...", "date has 2 gaps: ..."]))
    2 problems in the data:
      1. spend 'tv' has 1 negative value: ...
      2. date has 2 gaps: ...
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (
            (problems,) if isinstance(problems, str) else tuple(problems)
        )
        if len(self.problems) == 1:
            message = self.problems[0]
        else:
            lines = [f"  {i}. {problem}" for i, problem in enumerate(self.problems, 1)]
            message = "\n".join([f"{len(self.problems)} problems in the data:", *lines])
        super().__init__(message)


class SpecError(BayesMktError, ValueError):
    """A model specification, estimand or option contradicts itself or the data it is given."""


class SamplingError(BayesMktError, RuntimeError):
    """A sampler could not start or finish, or its draws may not be used as they are."""


class ConvergenceWarning(UserWarning):
    """Draws were returned, but their diagnostics fail; decisions on them are refused."""
