"""New weeks arrive: the draws of an earlier fit reweighted, or chains that start from them."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import xarray as xr

from bayes_mkt.errors import ConvergenceWarning, SpecError
from bayes_mkt.fit import Corrected, Data, Fit, Options
from bayes_mkt.inference.diagnostics import Diagnostics, diagnose
from bayes_mkt.inference.evaluate import prepare_stored_values
from bayes_mkt.inference.garbage import uncollected
from bayes_mkt.inference.layout import stored_names
from bayes_mkt.inference.prepared import prepared
from bayes_mkt.inference.reweight import reweighted, start_from
from bayes_mkt.inference.sampling import KERNELS, Settings, described, draw
from bayes_mkt.inference.target import Target

if TYPE_CHECKING:
    import pymc as pm

    from bayes_mkt.inference.psis import Importance

WARMUP = 50
CARRIED = ("draws", "target_ess", "max_draws", "target_accept")


def refit(
    fit: Fit,
    data: Data,
    *,
    seed: int,
    reweight: bool = True,
    progress: bool | None = None,
    **options: Unpack[Options],
) -> Fit:
    r"""Fit a specification to data that extend those of an earlier fit, in a fraction of the time.

    The draws of the earlier fit are weighted by

        w_i = p(y_new, theta_i | new model) / p(y_old, theta_i | old model)

    and resampled, where theta is what the linear-Gaussian block leaves over; the block is drawn
    anew from its exact conditional distribution. Scales that are computed from the data (medians
    of exposure, mean and SD of sales) differ between the two models; each density is taken in its
    own model at the same parameter values, so the result is the posterior of the new one. If
    k-hat of the weights is above its limit, or the resampled draws have too small an ESS, chains
    of the same sampler start at draws of the earlier fit, with their scale, and a short warmup.

    Parameters
    ----------
    fit
        The earlier fit, also a loaded one.
    data
        The family's data with the same regions, channels and the like: more weeks, as a rule, and
        perhaps revised ones.
    seed
        Integer; equal seeds give bit-equal draws.
    reweight
        Whether reweighting is tried; False always runs chains.
    progress
        Whether to show a bar; None shows one in a notebook or a terminal.
    **options
        As in `sample`; those not given are as in the earlier fit, except `warmup`: 50.

    Returns
    -------
    Fit
        Its `draws.attrs` say how it came about: `refit` is `"reweighting"` or `"warm start"`,
        `refit_khat` the k-hat found. The verdict on reweighted draws includes their k-hat.

    Raises
    ------
    SpecError
        If the data are of another type, or have other regions, channels or the like; for options
        out of range.

    Warns
    -----
    ConvergenceWarning
        If the verdict on the draws fails.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling. Journal of
    Machine Learning Research 25.
    """
    settings = _settings(fit, seed, options)
    if type(data) is not type(fit.data):
        raise SpecError(
            f"refit: the fit's data are a {type(fit.data).__name__}, the new data a "
            f"{type(data).__name__}."
        )
    begun = time.perf_counter()
    model = fit.spec.build(data)
    importance, tree, found = _reweighted(fit, data, model, settings, reweight)
    way = "warm start" if tree is None else "reweighting"
    if tree is None or found is None:
        start = start_from(fit.draws, seed)
        names = stored_names(model, without=fit.spec.on_demand)
        tree = draw(model, settings, var_names=names, progress=progress, start=start)
        tree = _corrected(fit, data, tree, settings)
        found = diagnose(tree)
    seconds = round(time.perf_counter() - begun, 3)
    tree.attrs.update(_origin(fit, way, importance), seconds=seconds)
    result = Fit(fit.spec, data, tree, found)
    vars(result)["target"] = prepared(model, settings.collapse).target
    if not result.diagnostics.ok:
        warnings.warn(result.diagnostics.verdict, ConvergenceWarning, stacklevel=2)
    return result


def _reweighted(
    fit: Fit, data: Data, model: pm.Model, settings: Settings, wanted: bool
) -> tuple[Importance | None, xr.DataTree | None, Diagnostics | None]:
    """Return how even the weights are, and draws by them with their verdict where these will do.

    Raises `SpecError` unless the earlier draws are of the new model's variables.
    """
    wanted = wanted and fit.diagnostics.ok and _sampled(fit)
    with uncollected():
        made = prepared(model, settings.collapse)
        names = stored_names(model, without=fit.spec.on_demand)
        if wanted:
            made.begin()
            prepare_stored_values(made.target, names)
        _check_parameters(fit.target, made.target)
    if not wanted:
        return None, None, None
    importance, tree = reweighted(fit.draws, fit.target, made.target, settings, names)
    if tree is None:
        return importance, None, None
    tree = _corrected(fit, data, tree, settings)
    found = diagnose(tree)
    if not _enough(found, settings):
        return importance, None, None
    return importance, described(tree, settings, 0.0), found


def _corrected(fit: Fit, data: Any, tree: xr.DataTree, settings: Settings) -> xr.DataTree:
    """Return draws of an approximate likelihood weighted for the exact one, as `fit` does."""
    if not isinstance(fit.spec, Corrected):
        return tree
    return fit.spec.corrected(data, tree, settings.seed, settings.target_ess)


def _settings(fit: Fit, seed: int, options: Options) -> Settings:
    """Return the options of the earlier fit, with those that are given in their place."""
    attrs = fit.draws.attrs
    given: dict[str, Any] = {"warmup": WARMUP}
    if attrs.get("sampler") in KERNELS:
        given |= {"sampler": str(attrs["sampler"]), "chains": int(attrs["chains"])}
    # What was stored as a number comes back from a file as NumPy's.
    given |= {name: np.asarray(attrs[name]).item() for name in CARRIED if name in attrs}
    if "sampler" in attrs:
        what = attrs.get("collapse")
        given["collapse"] = what if what in ("auto", None) else list(np.atleast_1d(what))
    settings = Settings(seed=seed, **(given | dict(options)))
    if settings.sampler not in KERNELS:
        raise SpecError(
            f"sampler={settings.sampler!r}: refit goes on with {' or '.join(map(repr, KERNELS))}; "
            "use bm.fit for others."
        )
    return settings


def _sampled(fit: Fit) -> bool:
    """Return whether the draws are of the earlier model by sampling, if reweighted since.

    Those of an expanded likelihood are of another one: weighted again, the earlier data's weights
    would count twice.
    """
    importance = fit.diagnostics.importance
    return importance is None or (importance.reweighted and importance.method != "expansion")


def _enough(found: Diagnostics, settings: Settings) -> bool:
    """Return whether reweighted draws pass the verdict, and have the ESS that was asked for."""
    ess = min(found.min_ess_bulk, found.min_ess_tail)
    return found.ok and (settings.draws is not None or ess >= settings.target_ess)


def _origin(fit: Fit, way: str, importance: Importance | None) -> dict[str, Any]:
    """Return what the draws' attrs say of how they came about."""
    found = {"refit": way, "refit_of_seed": fit.seed}
    return found if importance is None else found | {"refit_khat": importance.khat}


def _check_parameters(before: Target, after: Target) -> None:
    """Raise unless both models have the same free variables along the same labels."""
    models = before.model, after.model
    remedy = "Draws can't be carried over: use bm.fit."
    names = [[rv.name for rv in model.free_RVs] for model in models]
    if names[0] != names[1]:
        change = _unlike(*names)
        raise SpecError(f"refit: the new model has other variables: {change}. {remedy}")
    for name in names[0]:
        for dim in models[0].named_vars_to_dims.get(name, ()):
            labels = [[str(v) for v in model.coords.get(dim) or ()] for model in models]
            if labels[0] != labels[1]:
                change = _unlike(*labels)
                raise SpecError(
                    f"refit: {dim} of the new data isn't that of the fit: {change}. {remedy}"
                )
    old, new = before.layout, after.layout
    for name, shape, other in zip(old.names, old.shapes, new.shapes, strict=True):
        if shape != other:
            raise SpecError(f"refit: {name} changes its shape, {shape} to {other}. {remedy}")


def _unlike(old: list[str], new: list[str]) -> str:
    """Return how labels differ, in words."""
    lost, gained = ([x for x in a if x not in set(b)] for a, b in ((old, new), (new, old)))
    parts = [f"{lost[:5]} missing"] if lost else []
    parts += [f"{gained[:5]} added"] if gained else []
    return " and ".join(parts) or "the same in another order"
