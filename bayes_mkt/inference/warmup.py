"""Adaptation of step size and diagonal metric, by the windows of Stan.

The pieces (dual averaging, Welford's variance, the schedule) are BlackJAX's; here they act
on one transition at a time, so that warmup and sampling are the same compiled program.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.mass_matrix import MassMatrixAdaptationState, mass_matrix_adaptation
from blackjax.adaptation.step_size import DualAveragingAdaptationState, dual_averaging_adaptation
from blackjax.adaptation.window_adaptation import build_schedule

Array = jax.Array

# What one step of the run does besides moving the chain.
SAMPLE, ADAPT_STEP, ADAPT_BOTH, END_WINDOW, END_WARMUP = range(5)


class Adaptation(NamedTuple):
    """State of the adaptation of one chain."""

    step: DualAveragingAdaptationState
    metric: MassMatrixAdaptationState
    step_size: Array

    @property
    def inverse_mass(self) -> Array:
        """Return the diagonal of the inverse mass matrix, (size,)."""
        inverse_mass: Array = self.metric.inverse_mass_matrix
        return inverse_mass


_metric_init, _metric_update, _metric_final = mass_matrix_adaptation(is_diagonal_matrix=True)


def begin(size: int) -> Adaptation:
    """Return the state before the first step: unit metric, step size 0.1."""
    step_init, _, _ = dual_averaging_adaptation(0.8)
    first = jnp.asarray(0.1)
    return Adaptation(step_init(first), _metric_init(size), first)


def advance(
    state: Adaptation, role: Array, position: Array, acceptance: Array, target_accept: float
) -> Adaptation:
    """Return the adaptation state after a transition, given the role of the step."""
    step_init, step_update, step_final = dual_averaging_adaptation(target_accept)

    def sample(s: Adaptation) -> Adaptation:
        return s

    def adapt_step(s: Adaptation) -> Adaptation:
        step = step_update(s.step, acceptance)
        return Adaptation(step, s.metric, jnp.exp(step.log_step_size))

    def adapt_both(s: Adaptation) -> Adaptation:
        return adapt_step(s)._replace(metric=_metric_update(s.metric, position))

    def end_window(s: Adaptation) -> Adaptation:
        s = adapt_both(s)
        step = step_init(step_final(s.step))
        return Adaptation(step, _metric_final(s.metric), jnp.exp(step.log_step_size))

    def end_warmup(s: Adaptation) -> Adaptation:
        s = adapt_step(s)
        return s._replace(step_size=step_final(s.step))

    branches = (sample, adapt_step, adapt_both, end_window, end_warmup)
    after: Adaptation = jax.lax.switch(role, branches, state)
    return after


def roles(warmup: int) -> np.ndarray:
    """Return the role of each warmup step (warmup,), by Stan's schedule of doubling windows."""
    schedule = [
        END_WINDOW if window_ends else (ADAPT_BOTH if slow else ADAPT_STEP)
        for slow, window_ends in build_schedule(warmup)
    ]
    out = np.asarray(schedule, dtype=np.int32)
    if warmup:
        out[-1] = END_WARMUP
    return out
