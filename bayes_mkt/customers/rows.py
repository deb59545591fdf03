"""Log-likelihoods of spells, given what each one's hazard adds up to. Graphs only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pymc as pm
import pytensor.tensor as pt

# How rows end, each group with a log-likelihood of its own by row.
ENDED: Final = "ended"
OPEN: Final = "open"
BY_ROW: Final = {ENDED: "ended_log_likelihood", OPEN: "open_log_likelihood"}

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any


@dataclass(frozen=True)
class Never:
    """The log probabilities of never having the event, and of having it some day."""

    never: Tensor
    some_day: Tensor

    @classmethod
    def of(cls, logit: Tensor) -> Never:
        """Return both from the logit of never."""
        return cls(-pt.softplus(-logit), -pt.softplus(logit))

    def __getitem__(self, index: Any) -> Never:
        """Return the entries at `index`."""
        return Never(self.never[index], self.some_day[index])


def log_survival(total: Tensor, never: Never | None) -> Tensor:
    """Return log P(no event) after a cumulative hazard: log(pi + (1 - pi) exp(-total))."""
    if never is None:
        return -total
    return pt.logaddexp(never.never, never.some_day - total)


def log_event(before: Tensor, increment: Tensor, never: Never | None) -> Tensor:
    """Return log P(event within an interval), given the hazard summed before and within it.

    log((1 - pi) exp(-before) (1 - exp(-increment))); expm1 keeps the last factor exact where the
    increment is small, and its log is close to zero where it is large.
    """
    value = pt.log(-pt.expm1(-increment)) - before
    return value if never is None else value + never.some_day


def log_density(before: Tensor, log_rate: Tensor, never: Never | None) -> Tensor:
    """Return the log density of an event at a time, given the log hazard there."""
    value = log_rate - before
    return value if never is None else value + never.some_day


def observe(name: str, count: Tensor, each: Tensor) -> None:
    """Add the log-likelihood of a group of rows to the model, each as often as it occurs.

    What one customer of each row adds is kept by name, for whoever needs it customer by customer.
    """
    by_row = pm.Deterministic(BY_ROW[name], each)
    pm.Potential(f"{name}_spells", pt.dot(count, by_row))
