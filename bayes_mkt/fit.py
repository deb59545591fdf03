"""Fitting a specification to data, and the frozen result."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypedDict, Unpack, runtime_checkable

import arviz_stats
import pandas as pd
import xarray as xr

from bayes_mkt.errors import ConvergenceWarning, SamplingError, SpecError
from bayes_mkt.inference.diagnostics import Diagnostics, assured, diagnose
from bayes_mkt.inference.layout import stored_names
from bayes_mkt.inference.netcdf import read, write
from bayes_mkt.inference.prepared import latest
from bayes_mkt.inference.sampling import Settings, draw
from bayes_mkt.inference.target import Target, target
from bayes_mkt.specs import from_table, public_class, to_table

if TYPE_CHECKING:
    import pymc as pm

FORMAT = 1
FILES = ("fit.json", "draws.nc", "data.nc")


class Data(Protocol):
    """Data of a family: it can be written as a Dataset and read back equal."""

    def to_dataset(self) -> xr.Dataset:
        """Return the data as a Dataset."""

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Self:
        """Return the data that `to_dataset` wrote."""


class Spec(Protocol):
    """A frozen specification of a family: it builds the PyMC model of data.

    Deterministics in `on_demand` are evaluated when asked for, not stored with every draw.
    """

    @property
    def on_demand(self) -> frozenset[str]:
        """Return the names of deterministics that are not stored."""

    def build(self, data: Any) -> pm.Model:
        """Return the PyMC model."""


@runtime_checkable
class Corrected(Protocol):
    """A specification whose model may stand for a costlier one: its draws are put right."""

    def sampling_wanted(self, data: Any, ess: float) -> dict[str, Any]:
        """Return settings of `sample` whose draws are worth `ess` once put right."""

    def corrected(self, data: Any, draws: xr.DataTree, seed: int, ess: float) -> xr.DataTree:
        """Return draws of the costlier model worth `ess`, from those of the one that was built."""


class Options(TypedDict, total=False):
    """Sampling options of `fit`, as in `sample`."""

    chains: int | None
    draws: int | None
    target_ess: float
    max_draws: int
    warmup: int | None
    sampler: str
    target_accept: float
    collapse: str | Sequence[str] | None
    checkpoint: str | Path | None


def sample(
    model: pm.Model,
    *,
    seed: int,
    var_names: Collection[str] | None = None,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> xr.DataTree:
    """Draw from the posterior of any PyMC model.

    Parameters
    ----------
    model
        Any PyMC model with continuous free variables.
    seed
        Integer; equal seeds give bit-equal draws on the same machine and versions.
    var_names
        Free variables and deterministics to keep; None keeps all.
    progress
        Whether to show a bar; None shows one in a notebook or a terminal.
    chains
        Number of chains, run batched and spread over JAX's devices: 8 by default for `"hmc"`,
        where many cost little more than few, else 4. Of an approximation only a shape.
    draws
        Draws of each chain. None (default) draws until every stored parameter has a bulk and a
        tail ESS of `target_ess` and an R-hat of at most 1.01.
    target_ess
        Effective draws wanted of all chains together, 400 by default; used when `draws` is None.
    max_draws
        Draws of each chain at which the run stops in any case (10,000); the verdict says so.
    warmup
        Steps of adaptation, not kept: by default 300, more until chains have settled; PyMC's 1,000.
    sampler
        `"hmc"` (default): Hamiltonian Monte Carlo on JAX with trajectories of random length, one
        for all chains of a step; `"nuts"`: the No-U-Turn sampler on JAX; `"pymc"`: PyMC's own
        NUTS, as a referee (1,000 draws if `draws` is None). For a first look, not in place of
        sampling: `"laplace"`, the normal distribution at the mode, and `"pathfinder"`, those
        along several climbs towards it; both resampled by importance (1,000 draws a chain if
        `draws` is None), with the k-hat of the weights as verdict. It fails above 0.7, and the
        draws are then those of the approximation, not resampled.
    target_accept
        Mean acceptance probability that the step size aims at (0.9).
    collapse
        `"auto"` (default) integrates out, exactly, the Normal variables that enter the mean of a
        Normal likelihood linearly, and draws them back exactly; a list of names integrates out
        these or raises, saying why; None samples every variable.
    checkpoint
        A directory where the run is written down after each chunk of draws: after a crash, a kill
        or Ctrl-C the same call goes on, and gives bit for bit the draws of a run never broken off;
        a finished run is returned at once. None (default) keeps nothing. For `"hmc"`, `"nuts"`.

    Returns
    -------
    DataTree
        Groups `posterior` (dims ``chain, draw, ...``), `sample_stats`, `observed_data`,
        `constant_data`; attrs hold seed, settings, versions, seconds (`warmup_seconds` of them
        until draws are kept), gradients, names of the free variables and of those that are
        `sampled`, whose `log_density` is among the statistics, and `seen_ess`, `seen_rhat` of a
        part of many draws if that ended the run. Variables too large for memory are lazy.

    Raises
    ------
    SpecError
        For options out of range, a model with discrete free variables, or a checkpoint of another
        run.
    SamplingError
        If no starting point with a finite density is found; names the terms of the model that are
        to blame.
    KeyboardInterrupt
        At Ctrl-C before there are draws. Later it ends the run with the draws that there are, and
        attrs say ``interrupted: 1``: the verdict fails unless all other checks pass; it notes it.

    Warns
    -----
    ConvergenceWarning
        If the verdict on the draws fails (`diagnose` makes it); it names parameter, figure, remedy.

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     mu = pm.Normal("mu")
    ...     y = pm.Normal("y", mu, 1.0, observed=[1.0, 2.0, 3.0])
    >>> draws = sample(model, seed=1)
    >>> bool(abs(draws.posterior["mu"].mean() - 1.5) < 0.1)
    True
    """
    tree = draw(model, Settings(seed=seed, **options), var_names=var_names, progress=progress)
    if not assured(tree):
        _warn(diagnose(tree))
    return tree


def fit(
    spec: Spec,
    data: Data,
    *,
    seed: int,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Fit:
    """Fit a specification to data.

    Parameters
    ----------
    spec
        A specification such as `MediaMix()`.
    data
        The family's data, such as a `MediaPanel`.
    seed
        Integer; equal seeds give bit-equal draws.
    progress
        Whether to show a bar; None shows one in a notebook or a terminal.
    **options
        As in `sample`. Ctrl-C ends the run with the draws that there are, as there.

    Returns
    -------
    Fit
        Posterior draws with their verdict.

    Raises
    ------
    SpecError
        If the specification doesn't fit the data.
    SamplingError
        If sampling can't start.

    Warns
    -----
    ConvergenceWarning
        If the verdict on the draws fails.
    """
    settings = asked = Settings(seed=seed, **options)
    if isinstance(spec, Corrected) and settings.draws is None:
        settings = replace(settings, **spec.sampling_wanted(data, settings.target_ess))
    model = spec.build(data)
    names = stored_names(model, without=spec.on_demand)
    tree = draw(model, settings, var_names=names, progress=progress)
    if isinstance(spec, Corrected):
        tree = spec.corrected(data, tree, seed, asked.target_ess)
    result = Fit(spec, data, tree, diagnose(tree))
    if (made := latest(model)) is not None:
        vars(result)["target"] = made  # what the cached property would make again
    _warn(result.diagnostics)
    return result


@dataclass(frozen=True)
class Fit:
    """A fitted specification: draws, their verdict, and what they were fitted to.

    Attributes
    ----------
    spec, data
        As given to `fit`.
    draws
        DataTree in ArviZ layout: `posterior`, `sample_stats`, `observed_data`, `constant_data`.
    diagnostics
        The verdict on the draws, with its figures.
    """

    spec: Any
    data: Any
    draws: xr.DataTree
    diagnostics: Diagnostics

    def __repr__(self) -> str:
        sizes = self.posterior.sizes
        size = f"{sizes['chain']} chains x {sizes['draw']} draws"
        return f"Fit({type(self.spec).__name__} on {self.data!r}: {size}, {self.diagnostics.state})"

    @property
    def posterior(self) -> xr.Dataset:
        """Return the posterior draws, dims ``chain, draw, ...``."""
        return self.draws["posterior"].to_dataset()

    @property
    def seed(self) -> int:
        """Return the seed of the run."""
        return int(self.draws.attrs["seed"])

    @cached_property
    def target(self) -> Target:
        """Return the model as JAX functions, to evaluate its quantities under other data."""
        return target(self.spec.build(self.data))

    def summary(
        self, var_names: Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Return mean, SD, equal-tailed interval, ESS, R-hat and MCSE of each parameter.

        Parameters
        ----------
        var_names
            Variables of the posterior; None means all.
        interval
            Probability inside the interval.
        """
        table: pd.DataFrame = arviz_stats.summary(
            self.draws, var_names=var_names, ci_prob=interval, ci_kind="eti", round_to="none"
        )
        return table

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the fit to a new directory: `fit.json`, `draws.nc`, `data.nc`.

        The directory appears whole or not at all. Nothing is pickled. Draws that are too large for
        memory are copied by parts.

        Parameters
        ----------
        path
            The directory.
        overwrite
            Whether a fit that is there already may be replaced.

        Raises
        ------
        SpecError
            If `path` exists and `overwrite` is false, or it isn't a saved fit.
        """
        path = Path(path)
        if path.exists() and not (overwrite and (path / "fit.json").is_file()):
            remedy = "Choose another path, or overwrite=True for a saved fit."
            raise SpecError(f"{path} exists already. {remedy}")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            write(self.draws, fresh / "draws.nc")
            self.data.to_dataset().to_netcdf(fresh / "data.nc", engine="h5netcdf")
            spec, kind = to_table(self.spec), type(self.data).__name__
            about = {"format": FORMAT, "data": kind, "spec": spec}
            (fresh / "fit.json").write_text(json.dumps(about, indent=2) + "\n")
            fresh.chmod(0o755)
            _put(fresh, path)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        return path

    @classmethod
    def load(cls, path: str | Path) -> Fit:
        """Return the fit that `save` wrote; it answers every question with equal numbers.

        Draws that are too large for memory stay in their file, and are read when looked at.

        Raises
        ------
        SpecError
            If `path` holds no fit, or one of a format this version can't read.
        """
        path = Path(path)
        if absent := [name for name in FILES if not (path / name).is_file()]:
            raise SpecError(f"{path} holds no saved fit (no {', '.join(absent)}).")
        about = _about(path / "fit.json")
        draws = read(path / "draws.nc")
        with xr.open_dataset(path / "data.nc", engine="h5netcdf") as dataset:
            data = public_class(about["data"], str(path)).from_dataset(dataset.load())
        return cls(from_table(about["spec"], str(path)), data, draws, diagnose(draws))


def _about(file: Path) -> dict[str, Any]:
    """Return what `fit.json` says, if it is one that this version can read."""
    try:
        about = json.loads(file.read_text())
    except ValueError as error:
        raise SpecError(f"{file} is not valid JSON: {error}.") from error
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        told = f"{file.parent} was saved in format {found!r}"
        raise SpecError(f"{told}; this version reads {FORMAT}.")
    return dict(about)


def _put(fresh: Path, path: Path) -> None:
    """Move a directory to `path`; what is there is replaced, and comes back if that fails."""
    if not path.exists():
        fresh.rename(path)
        return
    old = fresh.with_name(fresh.name + "-old")
    path.rename(old)
    try:
        fresh.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def usable(result: Fit, allow_unconverged: bool) -> dict[str, str]:
    """Return attrs to mark what is computed from a fit, after its verdict is read.

    Sampled draws that converged need no mark. Weighted draws (Laplace, Pathfinder, reweighting)
    whose k-hat is small enough are used, and marked `"approximation"` with their verdict; those
    whose k-hat is too large are refused like draws that did not converge.

    Raises
    ------
    SamplingError
        If the verdict fails and `allow_unconverged` is false.
    """
    if result.diagnostics.ok:
        weighted = result.diagnostics.importance is not None
        return {"approximation": result.diagnostics.verdict} if weighted else {}
    if not allow_unconverged:
        raise SamplingError(
            f"{result.diagnostics.verdict}\nNo answer is computed from such draws. Follow the "
            "remedy, or pass allow_unconverged=True to see figures that are marked as unconverged."
        )
    return {"unconverged": result.diagnostics.verdict}


def _warn(diagnostics: Diagnostics) -> None:
    if not diagnostics.ok:
        warnings.warn(diagnostics.verdict, ConvergenceWarning, stacklevel=3)
