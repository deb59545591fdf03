"""Where a run of chains stands between two chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_mkt.inference.density import Forms
from bayes_mkt.inference.warmup import Tuning


@dataclass(frozen=True)
class State:
    """All that a run needs to go on from between two chunks, the same bit for bit.

    Attributes
    ----------
    positions
        (chain, size), unconstrained.
    tuning
        Scale, step size and length of trajectories.
    forms
        What the density has learnt of its own form.
    done
        Steps taken, the warmup's included.
    warmup
        Steps of warmup, as far as is known: a warmup that hasn't settled goes on. 0 at the start.
    gradients
        Gradients evaluated by all chains.
    """

    positions: np.ndarray
    tuning: Tuning
    forms: Forms = ()
    done: int = 0
    warmup: int = 0
    gradients: int = 0
