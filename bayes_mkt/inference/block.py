"""Exact marginalisation of linear-Gaussian blocks, and the exact draw of what was taken out.

Where theta are a model's other variables and b a block of Normals in the mean of a Normal
likelihood,

    y ~ N(a(theta) + A b, (tau(theta) omega)^2),    b = m(theta) + M b + S(theta) e,  e ~ N(0, I),

the block is integrated out in closed form. A, M and omega are constants, so that with the design
of the whitened block, D = A (I - M)^-1, its constant Gram matrix G = D' W D, W = diag(omega^-2),
and r = y - a(theta) - D m(theta),

    Q = I + S G S / tau^2,    v = S D' W r / tau^2,
    log p(y, theta) = log p(theta) + log N(r; 0, (tau omega)^2) + v' Q^-1 v / 2 - log det(Q) / 2.

Given theta, e ~ N(Q^-1 v, Q^-1) exactly, and b = (I - M)^-1 (m + S e). In this form nothing blows
up where a prior SD goes to zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt.inference import arrow
from bayes_mkt.inference.arrow import Arrow

Array = jax.Array
Data = tuple[Array, ...]
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class LinearModel:
    """The parts of a Normal likelihood with a Normal block, as JAX functions.

    Attributes
    ----------
    mean
        ``(theta, b, data) -> (row,)``.
    base, noise
        ``(theta, data) -> (row,)``: the mean at b = 0, and the SD.
    prior_mean
        ``(theta, b, data) -> (entry,)``.
    prior_offset
        ``(theta, data) -> (entry,)``: the prior mean at b = 0; None where that is zero.
    prior_sd
        ``(theta, data) -> (entry,)``.
    observed
        ``(data) -> (row,)``.
    rest
        ``(theta, data) -> float``, the log-density of every other term.
    own
        ``(theta, b, data) -> float``, the log-density of likelihood and block as the model states
        it: what the other parts are held against.
    """

    mean: Callable[[Array, Array, Data], Array]
    base: Callable[[Array, Data], Array]
    noise: Callable[[Array, Data], Array]
    prior_mean: Callable[[Array, Array, Data], Array]
    prior_offset: Callable[[Array, Data], Array] | None
    prior_sd: Callable[[Array, Data], Array]
    observed: Callable[[Data], Array]
    rest: Callable[[Array, Data], Array]
    own: Callable[[Array, Array, Data], Array]


@dataclass(frozen=True)
class Structure:
    """What of the block is fixed by the model's form: an argument of compilation.

    Attributes
    ----------
    arrow
        Hubs and blocks of the block's entries.
    rows
        (block, place) rows of the likelihood that meet each block, filled up with `n_rows`.
    n_rows
        Number of rows.
    """

    arrow: Arrow
    rows: tuple[tuple[int, ...], ...]
    n_rows: int

    @property
    def row_places(self) -> np.ndarray:
        """Return `rows` as an array (block, place)."""
        return np.asarray(self.rows, dtype=int).reshape(len(self.rows), -1)

    def spread(self, values: Array) -> Array:
        """Return row values (row,) by block, (block, place), 0 where filled up."""
        places = self.row_places
        if places.size == self.n_rows and (places.ravel() == np.arange(self.n_rows)).all():
            return values.reshape(places.shape)
        return jnp.append(values, 0.0)[places]


class Constants(NamedTuple):
    """What of the block doesn't depend on theta: computed once for a data set.

    Attributes
    ----------
    weight
        W by row place (block, place).
    log_omega
        Sum of log omega over rows.
    observed
        y by row place.
    local_design, hub_design
        D by row place: (block, entry, place), (hub, block, place).
    local, cross, hub
        G in arrow form.
    unwhiten
        (I - M)^-1, (entry, entry).
    """

    weight: Array
    log_omega: Array
    observed: Array
    local_design: Array
    hub_design: Array
    local: Array
    cross: Array
    hub: Array
    unwhiten: Array


def constants(
    structure: Structure, design: np.ndarray, unwhiten: np.ndarray, omega: np.ndarray, y: np.ndarray
) -> Constants:
    """Return the constants of a block.

    Parameters
    ----------
    design
        D (row, entry).
    unwhiten
        (I - M)^-1 (entry, entry).
    omega
        (row,), SD of each row up to the common tau.
    y
        (row,).
    """
    shape = structure.arrow
    places, hubs = shape.places, np.asarray(shape.hubs, dtype=int)
    rows = structure.row_places
    padded = np.pad(design, ((0, 1), (0, 1)))
    local_design = padded[rows[:, :, None], places[:, None, :]]
    hub_design = padded[rows][:, :, hubs]
    weight = np.append(omega**-2.0, 0.0)[rows]
    values = {
        "weight": weight,
        "log_omega": np.log(omega).sum(),
        "observed": np.append(y, 0.0)[rows],
        "local_design": np.ascontiguousarray(local_design.transpose(0, 2, 1)),
        "hub_design": np.ascontiguousarray(hub_design.transpose(2, 0, 1)),
        "local": np.einsum("kt,ktp,ktq->kpq", weight, local_design, local_design),
        "cross": np.einsum("kt,ktp,kth->kph", weight, local_design, hub_design),
        "hub": np.einsum("kt,kth,ktj->hj", weight, hub_design, hub_design),
        "unwhiten": unwhiten,
    }
    return Constants(**jax.device_put(values))


@lru_cache(maxsize=64)
def collapsed_density(
    model: LinearModel, structure: Structure
) -> Callable[[Array, tuple[Data, Constants]], Array]:
    """Return ``(theta, (data, constants)) -> log p(y, theta)``; one object for equal arguments."""

    def log_density(theta: Array, arguments: tuple[Data, Constants]) -> Array:
        form, constant = quadratic(model, structure)(theta, arguments)
        return constant + arrow.log_integral(form)

    return log_density


@lru_cache(maxsize=64)
def block_draw(
    model: LinearModel, structure: Structure
) -> Callable[[Array, Array, tuple[Data, Constants]], Array]:
    """Return ``(noise, theta, (data, constants)) -> b``, exact draws of standard normal noise."""

    def draw(noise: Array, theta: Array, arguments: tuple[Data, Constants]) -> Array:
        data, fixed = arguments
        form, _ = quadratic(model, structure)(theta, arguments)
        shape = structure.arrow
        local, hub = arrow.draw(form, shape.local(noise), shape.hub(noise))
        steps = model.prior_sd(theta, data) * shape.join(local, hub)
        if model.prior_offset is not None:
            steps = model.prior_offset(theta, data) + steps
        return fixed.unwhiten @ steps

    return draw


@lru_cache(maxsize=64)
def quadratic(
    model: LinearModel, structure: Structure
) -> Callable[[Array, tuple[Data, Constants]], tuple[arrow.Quadratic, Array]]:
    """Return ``(theta, (data, constants)) -> Q and v, log-density at e = 0``.

    The density is without the block's own prior. Jitted, so that programs which need it for
    several ends trace it once.
    """
    return jax.jit(partial(_quadratic, model, structure))


def _quadratic(
    model: LinearModel, structure: Structure, theta: Array, arguments: tuple[Data, Constants]
) -> tuple[arrow.Quadratic, Array]:
    """Return Q and v given theta, and the log-density at e = 0, without the block's own prior."""
    data, c = arguments
    shape = structure.arrow
    residual = c.observed - structure.spread(model.base(theta, data))
    if model.prior_offset is not None:
        center = model.prior_offset(theta, data)
        residual = (
            residual
            - jnp.einsum("kpt,kp->kt", c.local_design, shape.local(center))
            - jnp.einsum("hkt,h->kt", c.hub_design, shape.hub(center))
        )
    weighted = c.weight * residual
    # The noise is tau omega with omega constant and one in the first row, which so gives tau.
    precision = model.noise(theta, data)[0] ** -2.0
    sd = model.prior_sd(theta, data)
    local, hub = shape.local(sd), shape.hub(sd)
    places = local.shape[1]
    form = arrow.Quadratic(
        local=jnp.eye(places) + c.local * precision * local[:, :, None] * local[:, None, :],
        cross=c.cross * precision * local[:, :, None] * hub,
        hub=jnp.eye(hub.size) + c.hub * precision * hub[:, None] * hub,
        local_linear=jnp.einsum("kpt,kt->kp", c.local_design, weighted) * precision * local,
        hub_linear=jnp.einsum("hkt,kt->h", c.hub_design, weighted) * precision * hub,
    )
    constant = (
        model.rest(theta, data)
        - 0.5 * precision * jnp.sum(weighted * residual)
        + 0.5 * structure.n_rows * (jnp.log(precision) - LOG_2PI)
        - c.log_omega
    )
    return form, constant
