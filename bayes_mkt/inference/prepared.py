"""What is sampled of a model, kept for the latest ones: sampling again costs no graphs."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_mkt.inference.centring import Groups, centred
from bayes_mkt.inference.collapse import collapse, prepare_collapse
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.quantiles import Quantiles, transformed
from bayes_mkt.inference.skew import straightened
from bayes_mkt.inference.target import Target, target
from bayes_mkt.inference.threads import alone

if TYPE_CHECKING:
    import pymc as pm

Collapsing = str | Sequence[str] | None
KEPT = 2


@dataclass(frozen=True)
class Prepared:
    """What is sampled of a model.

    Attributes
    ----------
    target
        The whole of the model.
    collapsing
        As `collapse` of `bayes_mkt.sample`.
    """

    target: Target
    collapsing: Collapsing

    @cached_property
    def marginal(self) -> Density:
        """Return the density with the linear-Gaussian block integrated out, on own variables.

        Raises
        ------
        SpecError
            As `collapse`.
        """
        with alone():  # so that no digit depends on who asks first
            return _marginal(self.target, self.collapsing)

    def begin(self) -> None:
        """Begin to compile what `marginal` looks at the model by, while something else is done."""
        what = _named(self.collapsing)
        if what is not None:
            prepare_collapse(self.target, None if what == "auto" else what)

    @cached_property
    def density(self) -> Density:
        """Return the marginal density in the coordinates in which it is sampled."""
        with alone():
            return _formed(self.target, self.marginal)


# By the model's identity, which the target holds on to, and all that it was made from.
_LATEST: OrderedDict[tuple[Any, ...], Prepared] = OrderedDict()


def prepared(model: pm.Model, collapsing: Collapsing = "auto") -> Prepared:
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
        As `target`.
    """
    key = _identity(model, collapsing)
    if key in _LATEST:
        _LATEST.move_to_end(key)
        return _LATEST[key]
    _LATEST[key] = found = Prepared(target(model), _named(collapsing))
    while len(_LATEST) > KEPT:
        _LATEST.popitem(last=False)
    return found


def latest(model: pm.Model) -> Target | None:
    """Return the target of a model that was among the latest prepared, or None."""
    return next((made.target for made in _LATEST.values() if made.target.model is model), None)


def marginal(posterior: Target, collapsing: Collapsing) -> Density:
    """Return the density with the block integrated out, on the model's own variables."""
    for key, made in _LATEST.items():
        if made.target is posterior and key[2] == _named(collapsing):
            return made.marginal
    return Prepared(posterior, collapsing).marginal


def _marginal(posterior: Target, collapsing: Collapsing) -> Density:
    what = _named(collapsing)
    if what is None:
        return posterior.density()
    found = collapse(posterior, None if what == "auto" else list(what))
    return found or posterior.density()


def _named(collapsing: Collapsing) -> str | tuple[str, ...] | None:
    return collapsing if collapsing is None or isinstance(collapsing, str) else tuple(collapsing)


def _identity(model: pm.Model, collapsing: Collapsing) -> tuple[Any, ...]:
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
    return tuple(map(id, parts)), tuple(starts), _named(collapsing), digest.digest()


def _formed(posterior: Target, density: Density) -> Density:
    """Return the density in the coordinates in which it is sampled."""
    found = posterior.groups(density.layout)
    density = centred(density, Groups.of(density.layout, found), posterior.arguments)
    # Effects are near standard normal in their own form, which is learnt: no second one on top.
    effects = {name for name, *_ in found}
    medians = {name: m for name, m in posterior.medians().items() if name not in effects}
    density = transformed(density, Quantiles.of(density.layout, medians))
    return straightened(density)
