"""What isn't media: controls, and those among them whose contribution has a prior."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from bayes_mkt.dims import CONTROL, DATE, REGION
from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.scaling import Scaling, revenue

if TYPE_CHECKING:
    from bayes_mkt.media_mix.model import MediaMix
    from bayes_mkt.media_mix.panel import MediaPanel

Tensor = Any
LEVELS = ("mean", "min", "max")
FEW = 12  # regions whose deviations are integrated out
LEAST = 0.05  # of what a treatment moves in all directions, the least that it may add up to


def control_coords(spec: MediaMix, panel: MediaPanel) -> dict[str, list[str]]:
    """Return the coordinates of controls."""
    found = {"control": list(panel.controls)} if panel.controls else {}
    if spec.treatments:
        treated = _treated(spec, panel)
        found["treatment"] = treated
        if others := [c for c in panel.controls if c not in treated]:
            found["other_control"] = others
    return found


def add_controls(
    spec: MediaMix, panel: MediaPanel, training: MediaPanel, scaling: Scaling
) -> Tensor:
    """Return the part of the mean that controls explain (region, date), added to the model."""
    if not panel.controls:
        return pt.zeros(())
    scaled = scaling.scale_controls(panel.data["controls"].to_numpy())
    controls = pm.Data("controls", scaled, dims=("region", "date", "control"))
    if not spec.treatments:
        effect = _effects(spec, "control", "region_control_effect", len(panel.regions) > 1)
    else:
        effect = _with_treatments(spec, training, scaling)
    return pt.matmul(controls, effect[:, :, None])[:, :, 0]


def _effects(spec: MediaMix, dim: str, name: str, several: bool) -> Tensor:
    """Return the effects of controls that have a prior themselves, (region or 1, control)."""
    effect = spec.prior("control_effect").variable("control_effect", dims=dim)
    if not several:
        return effect[None, :]
    sd = spec.prior("control_sd").variable("control_sd", dims=dim)
    return pm.Normal(name, effect, sd, dims=("region", dim))


def _with_treatments(spec: MediaMix, panel: MediaPanel, scaling: Scaling) -> Tensor:
    """Return the effects of all controls (region, control), some by their contribution.

    With U_g what an effect of one adds to the revenue of region g, T all revenue and d_g ~ N(0,
    treatment_sd) the region's deviation, the effect is (share T - sum_h U_h d_h) / sum_h U_h +
    d_g: summed over regions the treatment earns its share, whatever they deviate.
    """
    several = len(panel.regions) > 1
    treated = _treated(spec, panel)
    share = spec.prior("treatment_share").variable("treatment_share", dims="treatment")
    value = pm.Data("treatment_value", treatment_value(spec, panel, scaling))
    earned = share * pm.Data("treatment_total", revenue(panel).sum())
    if several:
        sd = spec.prior("treatment_sd").variable("treatment_sd", dims="treatment")
        deviation = _deviation(len(panel.regions), sd)
        common = (earned - (deviation * value).sum(axis=0)) / value.sum(axis=0)
        own = common + deviation
    else:
        own = (earned / value.sum(axis=0))[None, :]
    others = [c for c in panel.controls if c not in treated]
    if others:
        rest = _effects(spec, "other_control", "region_other_control_effect", several)
        own = pt.concatenate([own, rest], axis=1)
    order = np.argsort([panel.controls.index(c) for c in [*treated, *others]])
    return pm.Deterministic("region_control_effect", own[:, order], dims=("region", "control"))


def _deviation(regions: int, sd: Tensor) -> Tensor:
    """Return how far each region's effect is from the common one (region, treatment).

    Deviations are integrated out with the rest of the linear block, which their sum ties together:
    of few regions that mixes best. Those of many would make one dense block of it, so that they are
    standardised there, and sampled.
    """
    dims = ("region", "treatment")
    if regions <= FEW:
        return pm.Normal("treatment_deviation", 0.0, sd, dims=dims)
    offset = pm.Normal("treatment_offset", 0.0, 1.0, dims=dims)
    return pm.Deterministic("treatment_deviation", sd * offset, dims=dims)


def treatment_value(spec: MediaMix, panel: MediaPanel, scaling: Scaling) -> np.ndarray:
    """Return U, what an effect of one adds to revenue, by region and treatment.

    Raises
    ------
    SpecError
        If the panel has no such control, or its values lie about the level that they are compared
        with, so that they add up to nothing.
    """
    treated = _treated(spec, panel)
    values = panel.data["controls"].where(panel.observed)
    change = (values - levels(values, spec.treatments)) / scaling.control_sd
    own = change.sel({CONTROL: treated}).fillna(0.0).to_numpy()
    value = np.einsum("gtn,gt->gn", own, scaling.worth(panel))
    moved = np.einsum("gtn,gt->n", np.abs(own), scaling.worth(panel))
    for name, total, all_ways in zip(treated, value.sum(axis=0), moved, strict=True):
        if abs(total) < LEAST * all_ways:
            raise SpecError(
                f"treatments: {name!r} lies about {spec.treatments[name]!r}, so that what it adds "
                'to sales cancels. Compare it with "min", "max" or a level that it rarely crosses.'
            )
    return np.asarray(value)


def _treated(spec: MediaMix, panel: MediaPanel) -> list[str]:
    """Return the treatments in the order in which they are stated."""
    for name in spec.treatments:
        if name not in panel.controls:
            known = ", ".join(map(repr, panel.controls)) or "none"
            raise SpecError(f"treatments: no control {name!r} in the panel; it has {known}.")
    return list(spec.treatments)


def levels(values: xr.DataArray, reference: str | Mapping[str, float | str]) -> xr.DataArray:
    """Return the level (control,) with which each control is compared.

    Parameters
    ----------
    values
        (region, date, control), NaN where sales are not observed.
    reference
        "mean", "min" or "max" of each; or control -> one of these or a value, the mean for others.
    """
    if isinstance(reference, str):
        return _level(values, reference)
    found = values.mean((REGION, DATE))
    for name, value in reference.items():
        if name not in values[CONTROL].values:
            known = [str(c) for c in values[CONTROL].values]
            raise SpecError(f"reference: no control {name!r} in the panel; it has {known}.")
        own = values.sel({CONTROL: name})
        found.loc[{CONTROL: name}] = _level(own, value) if isinstance(value, str) else float(value)
    return found


def _level(values: xr.DataArray, word: str) -> xr.DataArray:
    """Return the mean, the least or the greatest of controls over the panel."""
    if word not in LEVELS:
        raise SpecError(f"reference={word!r}: choose 'mean', 'min', 'max', or values.")
    level: xr.DataArray = getattr(values, word)((REGION, DATE))
    return level
