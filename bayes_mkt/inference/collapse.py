"""Finding the linear-Gaussian block of a model, and taking it out of what is sampled.

Variables are candidates by the form of the graph; whether they enter the mean linearly, with a
constant design, is decided by numbers at random points, and so is the closed form itself: a model
that only seems linear is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt.errors import SamplingError, SpecError
from bayes_mkt.inference import arrow
from bayes_mkt.inference.arrow import Arrow
from bayes_mkt.inference.block import (
    LOG_2PI,
    Constants,
    Data,
    LinearModel,
    Structure,
    block_draw,
    collapsed_density,
    constants,
    quadratic,
)
from bayes_mkt.inference.density import Density, Layout

if TYPE_CHECKING:
    from bayes_mkt.inference.target import Target

Array = jax.Array
MAX_HUBS = 300
TOLERANCE = 1e-8
TINY = 1e-300
# A program that runs three times need not be fast.
QUICK = {"xla_backend_optimization_level": 0}


def collapse(
    posterior: Target, names: Collection[str] | None = None, exclude: Collection[str] = ()
) -> Density | None:
    """Return the density of a model with its linear-Gaussian block integrated out.

    Parameters
    ----------
    posterior
        The model's target.
    names
        Random variables that must make up the block; None (auto) takes all that qualify.
    exclude
        Random variables that may not be in it.

    Returns
    -------
    Density or None
        None if no variable qualifies, or nothing would be left to sample.

    Raises
    ------
    SpecError
        If one of `names` doesn't qualify; says why.
    """
    wanted = None if names is None else set(names)
    excluded = set(exclude)
    if wanted is not None:
        excluded |= {rv.name for rv in posterior.model.free_RVs} - wanted
    found = posterior.linear(excluded)
    while found is not None:
        model, theta, beta = found
        points = _points(posterior, theta, beta)
        data = posterior.arguments
        look = _looked_at(model)
        looks = [[np.asarray(part) for part in look(*point, data)] for point in points]
        designs, maps, noises, (observed, *_) = zip(*looks, strict=True)
        bent = _varying(beta, designs) | _varying(beta, maps)
        if not bent:
            break
        if wanted is not None:
            raise SpecError(
                f"collapse: {', '.join(sorted(bent))} doesn't enter the mean of the likelihood "
                "linearly with a constant design. Leave it out of collapse=."
            )
        excluded |= bent
        found = posterior.linear(excluded)
    if found is None or not theta.size:
        _require_none(wanted)
        return None
    reason = _unfit(noises)
    if wanted is not None and (reason or wanted != set(beta.names)):
        lost = sorted(wanted - set(beta.names))
        other = (
            f"{lost} is used elsewhere, or is not Normal, or {', '.join(lost)} doesn't enter the "
            "mean linearly with a constant design"
        )
        raise SpecError(f"collapse: {reason or other}.")
    if reason:
        return None
    unwhiten = np.linalg.inv(np.eye(beta.size) - maps[0])
    design = designs[0] @ unwhiten
    structure = _structure(design)
    if len(structure.arrow.hubs) > MAX_HUBS:
        _require_none(wanted)
        return None
    omega = noises[0] / noises[0][0]
    fixed = constants(structure, design, unwhiten, omega, observed)
    density = Density(
        layout=theta,
        log_density=collapsed_density(model, structure),
        arguments=(data, fixed),
        start=theta.join(posterior.start),
        complete=_completed(block_draw(model, structure), theta, beta, posterior.layout),
    )
    _verify(density, beta, model, structure, points)
    return density


def _require_none(wanted: set[str] | None) -> None:
    """Raise if variables were asked for by name."""
    if wanted is not None:
        raise SpecError(
            f"collapse={sorted(wanted)}: none of them is a Normal variable in the mean of the "
            "model's (largest) Normal likelihood, which it enters linearly with a constant design; "
            "or nothing would be left to sample."
        )


def _points(posterior: Target, theta: Layout, beta: Layout) -> list[tuple[Array, Array]]:
    """Return points (theta, b) around the model's start at which claims are checked."""
    rng = np.random.default_rng(0)
    start = posterior.start
    points = []
    for scale in (0.0, 0.7, 1.0):
        pair = []
        for layout in (theta, beta):
            center = layout.join(start)
            pair.append(jnp.asarray(center + scale * rng.normal(size=center.size)))
        points.append((pair[0], pair[1]))
    return points


@lru_cache(maxsize=64)
def _looked_at(model: LinearModel) -> Callable[..., tuple[Array, ...]]:
    """Return ``(theta, b, data) -> (A, M, SD of rows, y)``; A, M: both means' derivatives in b."""

    def look(theta: Array, b: Array, data: Data) -> tuple[Array, ...]:
        return (
            jax.jacfwd(model.mean, argnums=1)(theta, b, data),
            jax.jacfwd(model.prior_mean, argnums=1)(theta, b, data),
            model.noise(theta, data),
            model.observed(data),
        )

    return jax.jit(look)


def _varying(beta: Layout, slopes: Sequence[np.ndarray]) -> set[str]:
    """Return the variables whose columns of a Jacobian differ between points."""
    first, *others = slopes
    scale = np.abs(first).max(axis=0, initial=0.0) + TINY
    gap = np.max([np.abs(other - first).max(axis=0, initial=0.0) for other in others], axis=0)
    wrong = ~(gap <= TOLERANCE * scale)
    return {beta.owner(int(i)).split("[")[0] for i in np.flatnonzero(wrong)}


def _unfit(noises: Sequence[np.ndarray]) -> str | None:
    """Return why a linear block can't be integrated out, by SDs of rows at points, or None."""
    shapes = [noise / noise[0] for noise in noises]
    if not all(np.allclose(shape, shapes[0], rtol=TOLERANCE) for shape in shapes):
        return "the likelihood's SD isn't one parameter times constants"
    if not np.isfinite(np.concatenate(noises)).all() or min(n.min() for n in noises) <= 0:
        return "the likelihood's SD isn't positive and finite"
    return None


def _structure(design: np.ndarray) -> Structure:
    """Return hubs, blocks, and the rows that meet each block."""
    meets = (design != 0).astype(float)
    shape = arrow.split((meets.T @ meets) > 0)
    places, n_rows = shape.places, len(design)
    block_of = np.full(shape.size + 1, -1)
    block_of[places.ravel()] = np.repeat(np.arange(len(places)), places.shape[1])
    owner = np.full(n_rows, len(places))
    row, entry = np.nonzero(design)
    inside = block_of[entry] >= 0
    owner[row[inside]] = block_of[entry[inside]]
    members = [np.flatnonzero(owner == k) for k in range(len(places))]
    # Rows that meet hubs only are dealt out over the blocks: they add nothing to a block.
    loose = np.flatnonzero(owner == len(places))
    if not members:
        members, shape = [np.empty(0, dtype=int)], Arrow(shape.hubs, ((),), shape.size)
    members = [
        np.concatenate([own, extra])
        for own, extra in zip(members, np.array_split(loose, len(members)), strict=True)
    ]
    # Blocks in the order of their rows: rows that lie so need no gathering.
    order = sorted(range(len(members)), key=lambda k: int(members[k].min(initial=n_rows)))
    members = [members[k] for k in order]
    shape = Arrow(shape.hubs, tuple(shape.blocks[k] for k in order), shape.size)
    width = max(len(m) for m in members)
    rows = tuple(
        tuple(int(i) for i in np.pad(m, (0, width - len(m)), constant_values=n_rows))
        for m in members
    )
    return Structure(shape, rows, n_rows)


@lru_cache(maxsize=64)
def _completed(
    draw: Callable[..., Array], theta: Layout, beta: Layout, full: Layout
) -> Callable[[Array, Array, Any], Array]:
    """Return ``(key, theta, arguments) -> (model's vector)``."""

    def complete(key: Array, x: Array, arguments: Any) -> Array:
        parts = dict(zip(theta.names, theta.split(x), strict=True))
        b = draw(key, x, arguments)
        parts.update(zip(beta.names, beta.split(b), strict=True))
        return jnp.concatenate([parts[name].ravel() for name in full.names])

    return complete


def _verify(
    density: Density,
    beta: Layout,
    model: LinearModel,
    structure: Structure,
    points: list[tuple[Array, Array]],
) -> None:
    """Raise unless log p(y, theta, b) = log p(y, theta) + log p(b | y, theta) at the points."""
    both = _both_sides(model, structure)
    for theta, b in points:
        whole, parts = map(float, both(theta, b, density.arguments))
        if np.isfinite(whole) and not abs(whole - parts) <= 1e-6 * (abs(whole) + 1.0):
            raise SamplingError(
                f"The linear block {list(beta.names)} was found, but its closed form disagrees "
                f"with the model: {parts} against {whole}. Sample with collapse=None, and report "
                "it."
            )


@lru_cache(maxsize=64)
def _both_sides(model: LinearModel, structure: Structure) -> Callable[..., tuple[Array, Array]]:
    """Return ``(theta, b, arguments) -> (log p(y, theta, b), log p(y, theta) + log p(b | ...))``.

    With e the whitened b, log p(e | y, theta) = -e'Qe/2 + v'e less its integral, and whitening
    has the Jacobian sum log S. The integral is part of both terms, once with each sign: it is
    worked out once, and a form that has none (NaN) still shows.
    """

    def both(theta: Array, b: Array, arguments: tuple[Data, Constants]) -> tuple[Array, Array]:
        data, fixed = arguments
        form, constant = quadratic(model, structure, theta, arguments)
        sd = model.prior_sd(theta, data)
        e = jnp.linalg.solve(fixed.unwhiten, b)
        if model.prior_offset is not None:
            e = e - model.prior_offset(theta, data)
        e = e / sd
        value = _value(form, structure.arrow.local(e), structure.arrow.hub(e))
        integral = arrow.log_integral(form)
        given = value - integral - 0.5 * b.size * LOG_2PI - jnp.sum(jnp.log(sd))
        return model.whole(theta, b, data), (constant + integral) + given

    return jax.jit(both, compiler_options=QUICK)


def _value(form: arrow.Quadratic, local: Array, hub: Array) -> Array:
    """Return -e'Qe/2 + v'e."""
    quadratic = (
        jnp.einsum("kp,kpq,kq", local, form.local, local)
        + 2 * jnp.einsum("kp,kph,h", local, form.cross, hub)
        + hub @ form.hub @ hub
    )
    linear = jnp.sum(local * form.local_linear) + hub @ form.hub_linear
    return linear - 0.5 * quadratic
