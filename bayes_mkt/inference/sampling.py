"""From a PyMC model to draws in ArviZ layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_mkt import __version__, seeds
from bayes_mkt.errors import SpecError
from bayes_mkt.inference import kernels
from bayes_mkt.inference.approximate import PATHS, approximate
from bayes_mkt.inference.checkpoint import Checkpoint
from bayes_mkt.inference.collect import Collector, Enough
from bayes_mkt.inference.density import Density, initial_positions, prepare_gradient
from bayes_mkt.inference.evaluate import (
    completed_points,
    prepare_completed_points,
    prepare_log_densities,
    prepare_stored_values,
    stored_values,
)
from bayes_mkt.inference.garbage import uncollected
from bayes_mkt.inference.layout import layout_of_draws, stored_names
from bayes_mkt.inference.prepared import Prepared, prepared
from bayes_mkt.inference.programs import make_room
from bayes_mkt.inference.progress import reporter
from bayes_mkt.inference.psis import MARKS
from bayes_mkt.inference.run import prepare_run, run
from bayes_mkt.inference.runtime import chain_mesh
from bayes_mkt.inference.session import Session, about_run
from bayes_mkt.inference.start import begin
from bayes_mkt.inference.state import State
from bayes_mkt.inference.store import Draws
from bayes_mkt.inference.target import Target
from bayes_mkt.inference.terms import unusable_terms
from bayes_mkt.inference.threads import alone

if TYPE_CHECKING:
    import pymc as pm

KERNELS: dict[str, Callable[[], kernels.Kernel]] = {"nuts": kernels.nuts, "hmc": kernels.hmc}
APPROXIMATIONS = ("laplace", "pathfinder")
MOST_WARMUP = 1200
SAMPLERS = (*KERNELS, *APPROXIMATIONS, "pymc")
# What a run itself says of the draws, in their attrs.
KEPT = (
    "free_variables",
    "sampled",
    "gradients",
    "warmup",
    "warmup_seconds",
    "seconds",
    "seen_ess",
    "seen_rhat",
    "interrupted",
)
# Of the settings, what isn't said as it was given: draws are the same with and without a
# checkpoint, and a warmup may have gone on.
TOLD = ("checkpoint", "warmup")

# What a run with old draws at hand begins with: the model, what is sampled of it, and the number
# of chains.
Start = Callable[[Target, Density, int], State]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a posterior is sampled; see `bayes_mkt.sample` for the meaning of each.

    Raises
    ------
    SpecError
        For an option out of range.
    """

    seed: int
    chains: int | None = None
    draws: int | None = None
    target_ess: float = 400
    max_draws: int = 10_000
    warmup: int | None = None
    sampler: str = "hmc"
    target_accept: float = 0.9
    collapse: str | Sequence[str] | None = "auto"
    checkpoint: str | Path | None = None

    def __post_init__(self) -> None:
        seeds.check_seed(self.seed)
        if self.sampler not in SAMPLERS:
            known = ", ".join(map(repr, SAMPLERS))
            raise SpecError(f"sampler={self.sampler!r}: choose from {known}.")
        least = {"chains": 1, "warmup": 20, "max_draws": 4, "draws": 4}
        for name, low in least.items():
            value = getattr(self, name)
            if name != "max_draws" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise SpecError(f"{name}={value!r} must be an integer >= {low}.")
        if not self.target_ess > 0:
            raise SpecError(f"target_ess={self.target_ess!r} must be > 0.")
        if isinstance(self.collapse, str) and self.collapse != "auto":
            raise SpecError(
                f"collapse={self.collapse!r}: give 'auto', None, or a list of variable names."
            )
        if not 0 < self.target_accept < 1:
            raise SpecError(f"target_accept={self.target_accept!r} must lie between 0 and 1.")
        if self.checkpoint is None:
            return
        if not isinstance(self.checkpoint, (str, Path)) or not str(self.checkpoint):
            raise SpecError(f"checkpoint={self.checkpoint!r} must be the path of a directory.")
        if self.sampler not in KERNELS:
            raise SpecError(
                f"checkpoint={str(self.checkpoint)!r} can't be kept with sampler={self.sampler!r}. "
                f"Use {' or '.join(map(repr, KERNELS))}, or leave checkpoint out."
            )

    @property
    def n_chains(self) -> int:
        """Return the number of chains: many where they run batched, four elsewhere."""
        return self.chains or (8 if self.sampler == "hmc" else 4)

    @property
    def n_warmup(self) -> int:
        """Return the steps of adaptation: few where chains learn together."""
        if self.sampler in APPROXIMATIONS:
            return 0
        return self.warmup or (1000 if self.sampler == "pymc" else 300)

    @property
    def most_warmup(self) -> int:
        """Return the steps of adaptation where it hasn't settled before; a given number stays."""
        return self.warmup or MOST_WARMUP


def draw(
    model: pm.Model,
    settings: Settings,
    *,
    var_names: Collection[str] | None = None,
    progress: bool | None = None,
    start: Start | None = None,
) -> xr.DataTree:
    """Return draws from the posterior of `model` in ArviZ layout.

    Parameters
    ----------
    model
        Any PyMC model with continuous free variables.
    settings
        How to sample it.
    var_names
        Free variables and deterministics to keep; None keeps all.
    progress
        Whether to show a bar; None shows one in a notebook or a terminal.
    start
        What the chains begin with; None searches for the mode from random points.
    """
    make_room()
    names = _stored(model, var_names)
    begun = time.perf_counter()
    if settings.sampler == "pymc":
        tree = _referee(model, settings, names, progress)
    elif settings.sampler in APPROXIMATIONS:
        tree = _approximate(model, settings, names, progress)
    else:
        tree = _sample(model, settings, names, progress, start)
    return described(tree, settings, time.perf_counter() - begun)


def described(tree: xr.DataTree, settings: Settings, seconds: float) -> xr.DataTree:
    """Return draws whose attrs say how they came about."""
    tree.attrs = {
        "seconds": round(seconds, 3),
        "warmup": settings.n_warmup,
        **{name: tree.attrs[name] for name in (*MARKS, *KEPT) if name in tree.attrs},
        **{k: v for k, v in asdict(settings).items() if v is not None and k not in TOLD},
        "chains": settings.n_chains,
        "bayes_mkt_version": __version__,
        **_versions(),
    }
    return tree


@cache
def _versions() -> dict[str, str]:
    return {f"{package}_version": version(package) for package in ("pymc", "jax", "blackjax")}


def _referee(
    model: pm.Model, settings: Settings, names: list[str], progress: bool | None
) -> xr.DataTree:
    from bayes_mkt.inference.referee import sample_pymc

    return sample_pymc(
        model,
        seed=settings.seed,
        chains=settings.n_chains,
        draws=settings.draws or 1000,
        warmup=settings.n_warmup,
        target_accept=settings.target_accept,
        var_names=names,
        progress=bool(progress),
    )


def _sample(
    model: pm.Model,
    settings: Settings,
    names: list[str],
    progress: bool | None,
    start: Start | None,
) -> xr.DataTree:
    begun = time.perf_counter()
    limit = settings.draws or settings.max_draws
    # Where chains have the cores, threads of linear algebra would stand in their way.
    crowded = chain_mesh(settings.n_chains).size > 1
    with reporter(progress) as show, alone() if crowded else nullcontext():
        kernel, chains, kept = KERNELS[settings.sampler], settings.n_chains, Draws(limit)
        with uncollected():
            made = prepared(model, settings.collapse)
            posterior, density = made.target, made.density
            # What takes longest to compile comes first.
            prepare_run(density, chains, kernel, settings.target_accept)
            prepare_gradient(density, chains)
            collected = Collector(posterior, density, names, settings.seed, kept)
            collected.prepare(chains)
        checkpoint = None
        if settings.checkpoint is not None:
            about = about_run(settings, posterior, density, collected, start is not None)
            checkpoint = Checkpoint(settings.checkpoint, about, kept.capacity)
            kept.keep_in(checkpoint.files)
        session = Session(collected, Enough(settings, show), checkpoint, begun)
        state = session.resume()
        if state is None and start is not None:
            state = start(posterior, density, chains)
        if not session.finished:
            chunks = run(
                density,
                state or _begin(made, settings),
                kernel=kernel,
                key=seeds.key(settings.seed, "chains"),
                warmup=settings.n_warmup,
                most=settings.most_warmup,
                limit=limit,
                target_accept=settings.target_accept,
            )
            session.follow(chunks)
    tree = layout_of_draws(model, names, *collected.taken(limit))
    if session.finished:
        kept.finish(collected.draws)
    tree.attrs.update(session.attrs, sampled=list(density.layout.names))
    return tree


def _begin(made: Prepared, settings: Settings) -> State:
    """Return where the chains begin: near modes, each found from a random point."""
    rng = seeds.generator(settings.seed, "initial positions")
    collapsed = made.marginal.complete is not None
    starts = initial_positions(
        made.density,
        chains=settings.n_chains,
        rng=rng,
        terms=partial(unusable_terms, made.target.model),
        remedy="A linear block was integrated out: try collapse=None." if collapsed else "",
    )
    return begin(made.density, starts, rng)


def _approximate(
    model: pm.Model, settings: Settings, names: list[str], progress: bool | None
) -> xr.DataTree:
    shape = (settings.n_chains, settings.draws or 1000)
    with reporter(progress) as show:
        made = prepared(model, settings.collapse)
        posterior, density = made.target, made.density
        # In the order in which they are needed.
        prepare_gradient(density, PATHS)
        prepare_log_densities(density)
        prepare_completed_points(posterior, density)
        prepare_stored_values(posterior, names)
        show.update(0.3, settings.sampler)
        found = approximate(
            density, settings.sampler, seed=settings.seed, draws=shape[0] * shape[1]
        )
        _, vectors = completed_points(posterior, density, settings.seed, found.draws)
        values = stored_values(posterior, names, vectors, shape)
    tree = layout_of_draws(model, names, values, {"lp": found.log_density.reshape(shape)})
    tree.attrs.update(found.importance.attrs)
    return tree


def _stored(model: pm.Model, var_names: Collection[str] | None) -> list[str]:
    """Return the names to keep, in the model's order."""
    possible = stored_names(model)
    if var_names is None:
        return possible
    given: Any = var_names
    names = list(given) if isinstance(given, Collection) and not isinstance(given, str) else None
    if not names or not all(isinstance(name, str) for name in names):
        raise SpecError(f"var_names={given!r} must be a list of names, at least one of {possible}.")
    unknown = sorted(set(names) - set(possible))
    if unknown:
        raise SpecError(f"var_names: the model has no {unknown}; it has {possible}.")
    return [name for name in possible if name in set(names)]
