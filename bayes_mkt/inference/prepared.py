"""What is sampled of a model, kept for the latest ones: sampling again costs no graphs."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_mkt.inference.centring import Groups, centred
from bayes_mkt.inference.collapse import collapse
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.quantiles import Quantiles, transformed
from bayes_mkt.inference.skew import straightened
from bayes_mkt.inference.target import Target, target

if TYPE_CHECKING:
    import pymc as pm

KEPT = 2
# By the model's identity, which the target holds on to, and all that it was made from.
_LATEST: OrderedDict[tuple[Any, ...], tuple[Target, Density]] = OrderedDict()


def prepared(
    model: pm.Model, collapsing: str | Sequence[str] | None = "auto"
) -> tuple[Target, Density]:
    """Return the target of a model, and the density that a sampler is given of it.

    Parameters
    ----------
    model
        Any PyMC model with continuous free variables.
    collapsing
        As `collapse` of `bayes_mkt.sample`.

    Raises
    ------
    SpecError
        As `target` and `collapse`.
    """
    key = _identity(model, collapsing)
    if key in _LATEST:
        _LATEST.move_to_end(key)
        return _LATEST[key]
    posterior = target(model)
    found = posterior, _density(posterior, collapsing)
    _LATEST[key] = found
    while len(_LATEST) > KEPT:
        _LATEST.popitem(last=False)
    return found


def _identity(model: pm.Model, collapsing: str | Sequence[str] | None) -> tuple[Any, ...]:
    """Return what tells one state of a model from another: its parts, and its data's values."""
    parts = [model, *model.basic_RVs, *model.potentials, *model.deterministics]
    for rv in model.basic_RVs:
        parts += [model.rvs_to_values[rv], model.rvs_to_transforms[rv]]
    starts = [repr(model.rvs_to_initial_values.get(rv)) for rv in model.free_RVs]
    digest = hashlib.blake2b()
    for variable in model.data_vars:
        value = np.asarray(variable.get_value(borrow=True))
        digest.update(f"{variable.name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    what = collapsing if collapsing is None or isinstance(collapsing, str) else tuple(collapsing)
    return tuple(map(id, parts)), tuple(starts), what, digest.digest()


def _density(posterior: Target, collapsing: str | Sequence[str] | None) -> Density:
    """Return what is sampled: the model less its linear-Gaussian block, or the whole of it."""
    density = None
    if collapsing is not None:
        density = collapse(posterior, None if collapsing == "auto" else list(collapsing))
    density = density or posterior.density()
    groups = Groups.of(density.layout, posterior.groups(density.layout))
    density = centred(density, groups, posterior.arguments)
    density = transformed(density, Quantiles.of(density.layout, posterior.medians()))
    return straightened(density)
