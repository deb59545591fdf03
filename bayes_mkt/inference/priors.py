"""Which priors of a PyMC model call for a quantile transform: graphs only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
from pymc.distributions.transforms import Interval, LogOddsTransform, LogTransform
from pymc.pytensorf import constant_fold

# Medians of positive priors whose density doesn't vanish at zero, in units of their scale, which is
# the last parameter of the random variable; that of Student's t is taken at 3 degrees of freedom.
_MEDIANS = {
    "ExponentialRV": float(np.log(2.0)),
    "HalfCauchyRV": 1.0,
    "HalfNormalRV": 0.6745,
    "HalfStudentTRV": 0.765,
}
_BOUNDED = {"UniformRV", "TruncatedNormalRV", "BetaRV"}


def quantile_medians(model: pm.Model) -> dict[str, np.ndarray | None]:
    """Return prior medians of positive variables, None for bounded ones, by value variable.

    Positive: HalfNormal, HalfCauchy, HalfStudentT, Exponential with constant parameters, on the
    log scale. Bounded on both sides: Uniform, TruncatedNormal, Beta, on the logit scale.
    """
    found: dict[str, np.ndarray | None] = {}
    for rv in model.free_RVs:
        kind, transform = type(rv.owner.op).__name__, model.rvs_to_transforms[rv]
        value = model.rvs_to_values[rv].name
        if kind in _MEDIANS and isinstance(transform, LogTransform):
            (scale,) = _constants(rv, slice(-1, None))
            if scale is not None and (scale > 0).all() and np.isfinite(scale).all():
                found[value] = _MEDIANS[kind] * scale
        elif kind in _BOUNDED and isinstance(transform, (Interval, LogOddsTransform)):
            ends = _constants(rv, slice(2, None)) if kind == "TruncatedNormalRV" else []
            if all(end is not None and np.isfinite(end).all() for end in ends):
                found[value] = None
    return found


def _constants(rv: Any, which: slice) -> list[np.ndarray | None]:
    """Return parameters of a random variable, None where one isn't constant."""
    parameters = rv.owner.op.dist_params(rv.owner)[which]
    folded = constant_fold(parameters, raise_not_constant=False)
    return [np.asarray(p, dtype=float) if isinstance(p, np.ndarray) else None for p in folded]
