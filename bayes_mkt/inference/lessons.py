"""The course of warmup: lessons from all chains together, for as long as these are on their way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayes_mkt.inference import warmup as adaptation
from bayes_mkt.inference.density import Density, gradient_of
from bayes_mkt.inference.state import State

# Steps of warmup before the axes are asked again, and how many times the gradients which that takes
# come before the next time.
LOOK_AGAIN, LOOK_EVERY = 100, 2


class Lessons:
    """What a warmup remembers from one lesson to the next.

    Parameters
    ----------
    length
        Steps of a lesson.
    warmup, most
        Steps of adaptation, and how many where it hasn't settled by then.
    """

    def __init__(self, length: int, warmup: int, most: int) -> None:
        self._length, self._warmup, self._most = length, warmup, most
        self._first, self._latest, self._next_look = 0, most, 0
        self._history: np.ndarray | None = None
        self._arrived = True

    def learnt(
        self,
        state: State,
        density: Density,
        drawn: np.ndarray,
        heights: np.ndarray,
        step_size: float,
        longest: float,
    ) -> tuple[State, Density]:
        """Return the state and the density's form after a lesson; the last may make it go on.

        Parameters
        ----------
        state, density
            Where chains stand after the lesson's steps, and the density in the form they had.
        drawn, heights
            The lesson's draws (chain, draw, size), and the log-densities (chain, draw).
        step_size
            What step-size adaptation came to.
        longest
            Leapfrog steps of the longest trajectory that was allowed.
        """
        before, self._arrived = self._arrived, adaptation.arrived(heights)
        known = drawn if self._history is None else np.concatenate([self._history, drawn], axis=1)
        # What came before the latter half is how the chains arrived; it says nothing else.
        known = known[:, max(known.shape[1] - (state.done - self._first + 1) // 2, 0) :]
        final = state.warmup - state.done < self._length
        if final and state.warmup + 2 * self._length <= self._latest:
            final = adaptation.settled(drawn) and before and self._arrived
            more = 0 if final else 2 * self._length
            state = replace(state, warmup=state.warmup + more)
        if not final:
            density, known = density.reformed(known)
        tuning = state.tuning
        if state.done >= LOOK_AGAIN and not final and state.gradients >= self._next_look:
            tuning, asked = adaptation.look_again(tuning, known, gradient_of(density))
            state = replace(state, gradients=state.gradients + asked)
            self._next_look = state.gradients + LOOK_EVERY * asked
        lesson, capped = known[:, -drawn.shape[1] :], longest < tuning.longest
        tuning = adaptation.learn(tuning, known, lesson, step_size, final=final, capped=capped)
        self._history = known if self._arrived else None
        positions, forms = known[:, -1], density.forms
        return replace(state, positions=positions, tuning=tuning, forms=forms), density

    def left(self, state: State, acceptance: np.ndarray, target: float) -> bool:
        """Return whether chains have left what the warmup knew, by the first draws after it.

        Parameters
        ----------
        state
            After these draws.
        acceptance
            (chain, draw), of these draws.
        target
            Mean acceptance that the step size aims at.
        """
        first = state.done - acceptance.shape[1] == state.warmup
        room = state.warmup + 2 * self._length <= self._most
        return first and room and adaptation.strayed(acceptance, target)

    def again(self, state: State) -> State:
        """Return the state in which warmup begins again, from where the chains are."""
        self._first, self._latest = state.done, state.done + self._most
        self._history, self._arrived, self._next_look = None, True, 0
        return replace(state, warmup=state.done + self._warmup)
