"""A fitted media mix, fitted again to a changed panel."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_mkt.dims import CONTROL, DATE, REGION
from bayes_mkt.errors import ConvergenceWarning, SpecError
from bayes_mkt.fit import Fit, Options, fit
from bayes_mkt.inference.diagnostics import MIN_ESS
from bayes_mkt.inference.sampling import APPROXIMATIONS
from bayes_mkt.media_mix.experiments import known_tests
from bayes_mkt.media_mix.model import MediaMix
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.priors import Prior

# The remedy for divergences: shorter steps.
CAREFUL = 0.95


def fitted_again(base: Fit, panel: MediaPanel, seed: int, options: Options) -> Fit:
    """Return the specification of a fit on another panel, with the lift tests that it can hold.

    Where the verdict fails, its remedy is followed once, shorter steps and more draws, if the
    options leave that open.
    """
    spec: MediaMix = base.spec
    spec = replace(
        spec,
        lift_tests=known_tests(spec.lift_tests, panel, base.data),
        priors=_widened(spec, len(panel.controls) - len(base.data.controls)),
    )
    stated = options.get("draws") is not None or "target_accept" in options
    if stated or options.get("sampler") in APPROXIMATIONS:
        return fit(spec, panel, seed=seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = fit(spec, panel, seed=seed, **options)
    if found.diagnostics.ok:
        return found
    least = max(options.get("target_ess", MIN_ESS), MIN_ESS)
    careful: Options = {**options, "target_accept": CAREFUL, "target_ess": least}
    return fit(spec, panel, seed=seed, **careful)


def _widened(spec: MediaMix, added: int) -> dict[str, Prior]:
    """Return the priors, those stated control by control with the default's for the added ones."""
    found = dict(spec.priors)
    for name in {"control_effect", "control_sd"} & set(found):
        own, usual = found[name], dict(spec.default_priors[name].parameters)
        if added <= 0 or not any(isinstance(v, tuple) for _, v in own.parameters):
            continue
        if own.dist != spec.default_priors[name].dist:
            raise SpecError(
                f"priors[{name!r}]: refutations add controls, for which {own} has no entry. State "
                f"it control by control as a {spec.default_priors[name].dist}, or once for all."
            )
        longer: dict[str, Any] = {
            k: (*v, *[usual[k]] * added) if isinstance(v, tuple) else v for k, v in own.parameters
        }
        found[name] = Prior(own.dist, **longer)
    return found


def with_controls(panel: MediaPanel, named: dict[str, np.ndarray]) -> MediaPanel:
    """Return the panel with further controls, each (region, date)."""
    data = panel.data
    extra = np.stack(list(named.values()), axis=-1)
    controls = xr.concat(
        [
            data["controls"],
            xr.DataArray(
                np.where(panel.observed.to_numpy()[:, :, None], extra, np.nan),
                dims=(REGION, DATE, CONTROL),
                coords={
                    REGION: data[REGION],
                    DATE: data[DATE],
                    CONTROL: list(named),
                },
            ),
        ],
        CONTROL,
    )
    rest = data.drop_vars(["controls", CONTROL], errors="ignore")
    return MediaPanel(rest.assign(controls=controls), panel.currency)
