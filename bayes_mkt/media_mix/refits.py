"""A fitted media mix, fitted again to a changed panel."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_mkt.dims import CONTROL, DATE, REGION
from bayes_mkt.errors import ConvergenceWarning
from bayes_mkt.fit import Fit, Options, fit
from bayes_mkt.inference.diagnostics import MIN_ESS
from bayes_mkt.media_mix.experiments import known_tests
from bayes_mkt.media_mix.model import MediaMix
from bayes_mkt.media_mix.panel import MediaPanel

# The remedy for divergences: shorter steps.
CAREFUL = 0.95


def fitted_again(base: Fit, panel: MediaPanel, seed: int, options: Options) -> Fit:
    """Return the specification of a fit on another panel, with the lift tests that it can hold.

    Where the verdict fails, its remedy is followed once: shorter steps and more draws.
    """
    spec: MediaMix = base.spec
    spec = replace(spec, lift_tests=known_tests(spec.lift_tests, panel, base.data))
    if "target_accept" in options:
        return fit(spec, panel, seed=seed, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = fit(spec, panel, seed=seed, **options)
    if found.diagnostics.ok:
        return found
    careful: Options = {**options, "target_accept": CAREFUL}
    if careful.get("draws") is None:
        careful["target_ess"] = max(options.get("target_ess", MIN_ESS), MIN_ESS)
    return fit(spec, panel, seed=seed, **careful)


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
