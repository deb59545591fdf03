"""Finding the linear-Gaussian block of a model, and taking it out of what is sampled.

Variables are candidates by the form of the graph; whether they enter the mean linearly, with a
constant design, is decided by numbers at random points, and so is whether the parts that were found
are what the model states: one that only seems linear is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

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
)
from bayes_mkt.inference.density import Density, Layout
from bayes_mkt.inference.programs import ONCE, Compiled, compiling

if TYPE_CHECKING:
    from bayes_mkt.inference.target import Target

Array = jax.Array
MAX_HUBS = 300
TOLERANCE = 1e-8
TINY = 1e-300


class Look(NamedTuple):
    """What a linear model's parts are at one point (theta, b).

    Attributes
    ----------
    design, prior_design
        A (row, entry) and M (entry, entry): the derivatives in b of the likelihood's mean and of
        the prior mean.
    base, noise, observed
        Mean at b = 0, SD and observed value of each row.
    prior_offset, prior_sd
        Prior mean at b = 0 and prior SD of each entry.
    own
        Log-density of likelihood and block, as the model states it.
    """

    design: Any
    prior_design: Any
    base: Any
    noise: Any
    observed: Any
    prior_offset: Any
    prior_sd: Any
    own: Any

    def sum_of_parts(self, b: np.ndarray) -> float:
        """Return log p(y, b | theta) as the parts of likelihood and prior give it."""
        likelihood = _normal(self.observed, self.base + self.design @ b, self.noise)
        prior = _normal(b, self.prior_offset + self.prior_design @ b, self.prior_sd)
        return likelihood + prior


def _normal(x: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> float:
    return float(-np.sum(0.5 * ((x - mean) / sd) ** 2 + np.log(sd)) - 0.5 * x.size * LOG_2PI)


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
    excluded = _excluded(posterior, wanted, exclude)
    found = posterior.linear(excluded)
    while found is not None:
        model, theta, beta = found
        points = _points(posterior, theta, beta)
        data = posterior.arguments
        looks, bent = _looks(model, beta, points, data)
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
    reason = _unfit([at.noise for at in looks])
    if wanted is not None and (reason or wanted != set(beta.names)):
        lost = sorted(wanted - set(beta.names))
        other = (
            f"{lost} is used elsewhere, or is not Normal, or {', '.join(lost)} doesn't enter the "
            "mean linearly with a constant design"
        )
        raise SpecError(f"collapse: {reason or other}.")
    if reason:
        return None
    first = looks[0]
    unwhiten = np.linalg.inv(np.eye(beta.size) - first.prior_design)
    design = first.design @ unwhiten
    structure = _structure(design)
    if len(structure.arrow.hubs) > MAX_HUBS:
        _require_none(wanted)
        return None
    _verify(beta, points, looks)
    omega = first.noise / first.noise[0]
    fixed = constants(structure, design, unwhiten, omega, first.observed)
    _verify_constants(structure, fixed, design, omega)
    return Density(
        layout=theta,
        log_density=collapsed_density(model, structure),
        arguments=(data, fixed),
        start=theta.join(posterior.start),
        complete=_completed(block_draw(model, structure), theta, beta, posterior.layout),
    )


def prepare_collapse(posterior: Target, names: Collection[str] | None = None) -> None:
    """Begin to compile what `collapse` looks at the model by, while something else is done."""
    found = posterior.linear(_excluded(posterior, names))
    if found is not None:
        model, theta, beta = found
        _looked_at(model, _points(posterior, theta, beta)[0], posterior.arguments)


def _excluded(
    posterior: Target, wanted: Collection[str] | None, exclude: Collection[str] = ()
) -> set[str]:
    """Return the free variables that may not be in the block."""
    if wanted is None:
        return set(exclude)
    return set(exclude) | ({rv.name for rv in posterior.model.free_RVs} - set(wanted))


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
            pair.append(jax.device_put(center + scale * rng.normal(size=center.size)))
        points.append((pair[0], pair[1]))
    return points


def _looked_at(model: LinearModel, point: tuple[Array, Array], data: Data) -> Future[Compiled]:
    """Return the program ``(theta, b, data) -> Look``; begin to compile it."""
    return compiling(_look(model), *point, data, level=ONCE)


@lru_cache(maxsize=64)
def _look(model: LinearModel) -> Callable[..., Look]:
    """Return ``(theta, b, data) -> Look``."""

    def look(theta: Array, b: Array, data: Data) -> Look:
        offset = model.prior_offset
        return Look(
            design=jax.jacfwd(model.mean, argnums=1)(theta, b, data),
            prior_design=jax.jacfwd(model.prior_mean, argnums=1)(theta, b, data),
            base=model.base(theta, data),
            noise=model.noise(theta, data),
            observed=model.observed(data),
            prior_offset=jnp.zeros(b.size) if offset is None else offset(theta, data),
            prior_sd=model.prior_sd(theta, data),
            own=model.own(theta, b, data),
        )

    return jax.jit(look)


def _looks(
    model: LinearModel, beta: Layout, points: list[tuple[Array, Array]], data: Data
) -> tuple[list[Look], set[str]]:
    """Return what the parts are at each point, and the variables of which A or M vary.

    A is large: the first point's stands for the others', once they are compared.
    """
    look = _looked_at(model, points[0], data).result()
    looks: list[Look] = []
    bent: set[str] = set()
    for point in points:
        # In double precision whatever the data came in: NumPy takes logs of small integers in half.
        at = Look(*(np.asarray(part, dtype=float) for part in look(*point, data)))
        if looks:
            first = looks[0]
            bent |= _varying(beta, first.design, at.design) | _varying(
                beta, first.prior_design, at.prior_design
            )
            at = at._replace(design=first.design, prior_design=first.prior_design)
        looks.append(at)
    return looks, bent


def _varying(beta: Layout, first: np.ndarray, other: np.ndarray) -> set[str]:
    """Return the variables whose columns of a Jacobian differ between two points."""
    scale = np.abs(first).max(axis=0, initial=0.0) + TINY
    gap = np.abs(other - first).max(axis=0, initial=0.0)
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
    """Return ``(noise, theta, arguments) -> (model's vector)``."""

    def complete(noise: Array, x: Array, arguments: Any) -> Array:
        parts = dict(zip(theta.names, theta.split(x), strict=True))
        b = draw(noise, x, arguments)
        parts.update(zip(beta.names, beta.split(b), strict=True))
        return jnp.concatenate([parts[name].ravel() for name in full.names])

    return complete


def _verify(beta: Layout, points: list[tuple[Array, Array]], looks: list[Look]) -> None:
    """Raise unless the parts that were found add up to the log-density that the model states."""
    for at, (_, b) in zip(looks, points, strict=True):
        own = float(at.own)
        if not np.isfinite(own):
            continue
        with np.errstate(all="ignore"):
            parts = at.sum_of_parts(np.asarray(b))
        if not abs(own - parts) <= 1e-6 * (abs(own) + 1.0):
            raise SamplingError(
                f"The linear block {list(beta.names)} was found, but its parts disagree with the "
                f"model: {parts} against {own}. Sample with collapse=None, and report it."
            )


def _verify_constants(
    structure: Structure, fixed: Constants, design: np.ndarray, omega: np.ndarray
) -> None:
    """Raise unless hubs and blocks hold D and its Gram matrix G: by their products with noise."""
    shape = structure.arrow
    places, hubs = shape.places, np.asarray(shape.hubs, dtype=int)
    held = {name: np.asarray(part) for name, part in fixed._asdict().items()}
    x = np.random.default_rng(0).normal(size=shape.size)
    local, hub = np.append(x, 0.0)[places], x[hubs]
    rows = np.einsum("kpt,kp->kt", held["local_design"], local)
    rows += np.einsum("hkt,h->kt", held["hub_design"], hub)
    inside = np.einsum("kpq,kq->kp", held["local"], local) + held["cross"] @ hub
    outside = np.einsum("kph,kp->h", held["cross"], local) + held["hub"] @ hub
    mean, most = design @ x, np.abs(design) @ np.abs(x)
    moment, largest = design.T @ (mean / omega**2), np.abs(design).T @ (most / omega**2)
    # Sums of large terms that cancel keep the terms' rounding.
    for found, expected, terms in (
        (rows, np.append(mean, 0.0)[structure.row_places], most),
        (inside, np.append(moment, 0.0)[places], largest),
        (outside, moment[hubs], largest),
    ):
        gap = np.abs(found - expected).max(initial=0.0)
        if not gap <= TOLERANCE * terms.max(initial=TINY):
            raise SamplingError(
                "The hubs and blocks of a linear block don't hold its design. Sample with "
                "collapse=None, and report it."
            )
