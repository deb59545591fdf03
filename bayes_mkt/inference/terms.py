"""Which terms of a model's log-density are not finite, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_mkt.inference.initial import initial_point

if TYPE_CHECKING:
    import pymc as pm

MOST = 3


def unusable_terms(model: pm.Model) -> list[str]:
    """Return the terms of the log-density that are -inf or NaN at the model's initial point.

    Parameters
    ----------
    model
        A PyMC model.

    Returns
    -------
    list
        For each prior, likelihood or potential that isn't finite: its name, the value, where it
        stands and what was observed there.
    """
    point = initial_point(model)
    found = []
    for factor in (*model.basic_RVs, *model.potentials):
        kind = "likelihood" if factor in model.observed_RVs else "prior"
        what = f"{'potential' if factor in model.potentials else kind} {factor.name!r}"
        # Compiled for one evaluation.
        function = model.compile_fn(
            model.logp(factor, sum=False)[0],
            inputs=model.value_vars,
            mode="FAST_COMPILE",
            on_unused_input="ignore",
        )
        try:
            value = np.asarray(function(point))
        except ValueError as error:
            # A parameter out of range, such as a negative SD.
            found.append(f"{what} can't be computed ({' '.join(str(error).split())[:100]})")
            continue
        bad = np.argwhere(~np.isfinite(np.atleast_1d(value)))
        if bad.size:
            many = f" in {len(bad)} of {value.size} entries" if value.ndim else ""
            first = np.atleast_1d(value)[tuple(bad[0])]
            place = _values(model, factor, bad, value.shape, point)
            found.append(f"{what} is {first}{many}{place}")
    return found


def _values(
    model: pm.Model,
    factor: object,
    bad: np.ndarray,
    shape: tuple[int, ...],
    point: dict[str, np.ndarray],
) -> str:
    """Return the first values at which a term isn't finite, and where they stand."""
    variable = model.rvs_to_values.get(factor)
    if variable is None:
        return ""
    if variable.name in point:
        # A free variable stands on its unconstrained scale, where this is its name.
        values, name = point[variable.name], variable.name
    else:
        values, name = np.asarray(variable.eval()), "observed"
    if np.shape(values) != shape:
        return ""
    if not shape:
        return f" ({name} {values})"
    places = [tuple(map(int, place)) for place in bad[:MOST]]
    told = [f"{values[place]} at [{', '.join(map(str, place))}]" for place in places]
    more = ", ..." if len(bad) > MOST else ""
    return f" ({name} {', '.join(told)}{more})"
