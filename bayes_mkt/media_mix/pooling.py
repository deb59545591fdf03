"""How far regions are drawn to each other: pooling factors."""

from __future__ import annotations

import numpy as np
import xarray as xr

from bayes_mkt.dims import SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable


def pooling_factors(fit: Fit, *, allow_unconverged: bool = False) -> xr.Dataset:
    """Return the pooling factor of each region's deviation, by region and channel.

    With e_gm = sd_m z_gm the deviation of region g from the others on the scale on which it is
    pooled,

        factor_gm = Var(e_gm | data) / E(sd_m^2 | data),    at most 1:

    0 where a region's own data decide, 1 where they say nothing and it is what the others are.

    Parameters
    ----------
    fit
        A fitted `MediaMix` with something partially pooled.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Dims ``region, channel``: `effect`, and each curve parameter that is partially pooled (NaN
        for channels that don't have it).

    Raises
    ------
    SpecError
        If nothing is partially pooled.

    References
    ----------
    Gelman & Pardoe (2006), Bayesian measures of explained variance and pooling in multilevel
    models, eq. 9, here for each entry.
    """
    marks = usable(fit, allow_unconverged)
    posterior = fit.posterior
    names = [str(n).removesuffix("_offset") for n in posterior if str(n).endswith("_offset")]
    names = [name for name in names if "treatment" not in posterior[f"{name}_sd"].dims]
    if not names:
        raise SpecError("pooling_factors: nothing is partially pooled in this model.")
    out = {}
    for name in names:
        sd = posterior[f"{name}_sd"]
        deviation = sd * posterior[f"{name}_offset"]
        factor = (deviation.var(SAMPLE) / (sd**2).mean(SAMPLE)).clip(max=1.0)
        title = f"Pooling factor of {name.replace('_', ' ')}"
        (dim,) = (d for d in factor.dims if d != "region")
        by_channel = factor.rename({dim: "channel"}).reindex(channel=list(fit.data.channels))
        out[name] = by_channel.transpose("region", "channel").assign_attrs(
            units="1", long_name=title
        )
    return xr.Dataset(out, attrs=marks).astype(np.float64)
