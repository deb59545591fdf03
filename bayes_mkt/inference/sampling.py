"""From a PyMC model to draws in ArviZ layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import xarray as xr

from bayes_mkt import __version__, seeds
from bayes_mkt.errors import SpecError
from bayes_mkt.inference import kernels
from bayes_mkt.inference.collapse import collapse
from bayes_mkt.inference.collect import Collector, Enough
from bayes_mkt.inference.density import Density, gradient_of, initial_positions
from bayes_mkt.inference.layout import layout_of_draws
from bayes_mkt.inference.progress import reporter
from bayes_mkt.inference.quantiles import Quantiles, transformed
from bayes_mkt.inference.run import run
from bayes_mkt.inference.target import Target, target
from bayes_mkt.inference.warmup import begin

if TYPE_CHECKING:
    import pymc as pm

KERNELS: dict[str, Callable[[], kernels.Kernel]] = {"nuts": kernels.nuts, "hmc": kernels.hmc}


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
    target_accept: float = 0.8
    collapse: str | Sequence[str] | None = "auto"

    def __post_init__(self) -> None:
        seeds.check_seed(self.seed)
        if self.sampler not in (*KERNELS, "pymc"):
            known = ", ".join(map(repr, (*KERNELS, "pymc")))
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

    @property
    def n_chains(self) -> int:
        """Return the number of chains: many where they run batched, four elsewhere."""
        return self.chains or (8 if self.sampler == "hmc" else 4)

    @property
    def n_warmup(self) -> int:
        """Return the steps of adaptation: few where chains learn together."""
        return self.warmup or (1000 if self.sampler == "pymc" else 300)


def draw(
    model: pm.Model,
    settings: Settings,
    *,
    var_names: Collection[str] | None = None,
    progress: bool | None = None,
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
    """
    names = _stored(model, var_names)
    begun = time.perf_counter()
    run_it = _referee if settings.sampler == "pymc" else _sample
    tree = run_it(model, settings, names, progress)
    packages = ("pymc", "jax", "blackjax")
    tree.attrs = {
        **{k: v for k, v in asdict(settings).items() if v is not None},
        "chains": settings.n_chains,
        "warmup": settings.n_warmup,
        "seconds": round(time.perf_counter() - begun, 3),
        "bayes_mkt_version": __version__,
        **{f"{package}_version": version(package) for package in packages},
    }
    return tree


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
    model: pm.Model, settings: Settings, names: list[str], progress: bool | None
) -> xr.DataTree:
    posterior = target(model)
    with reporter(progress) as show:
        density = _density(posterior, settings.collapse)
        collected = Collector(
            posterior, density, names, seeds.key(settings.seed, "collapsed block")
        )
        stop = Enough(settings, show)
        rng = seeds.generator(settings.seed, "initial positions")
        starts = initial_positions(density, chains=settings.n_chains, rng=rng)
        tuning, starts = begin(gradient_of(density), starts, rng)
        chunks = run(
            density.log_density,
            density.arguments,
            starts,
            tuning,
            kernel=KERNELS[settings.sampler],
            key=seeds.key(settings.seed, "chains"),
            warmup=settings.n_warmup,
            target_accept=settings.target_accept,
        )
        for chunk in chunks:
            collected.add(chunk)
            if stop(collected):
                break
    limit = settings.draws
    return layout_of_draws(model, names, collected.values(limit), collected.statistics(limit))


def _density(posterior: Target, collapse_what: str | Sequence[str] | None) -> Density:
    """Return what is sampled: the model less its linear-Gaussian block, or the whole of it."""
    density = None
    if collapse_what is not None:
        names = None if collapse_what == "auto" else list(collapse_what)
        density = collapse(posterior, names)
    density = density or posterior.density()
    return transformed(density, Quantiles.of(density.layout, posterior.medians()))


def _stored(model: pm.Model, var_names: Collection[str] | None) -> list[str]:
    """Return the names to keep, in the model's order."""
    possible = [v.name for v in (*model.free_RVs, *model.deterministics)]
    if var_names is None:
        return possible
    unknown = sorted(set(var_names) - set(possible))
    if unknown:
        raise SpecError(f"var_names: the model has no {unknown}; it has {possible}.")
    return [name for name in possible if name in set(var_names)]
