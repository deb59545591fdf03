"""What a geo experiment brought: sales of the treated regions less what would have been."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import DATE, REGION, SAMPLE, check_by
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.media_mix.experiments import LiftTest
from bayes_mkt.media_mix.geo_model import GeoLift, Paths

__all__ = ["geo_lift", "geo_lift_test"]

CELLS = (REGION, DATE)


def geo_lift(
    fit: Fit, by: Sequence[str] | str = (), *, seed: int, allow_unconverged: bool = False
) -> xr.Dataset:
    """Return the posterior of a geo experiment's lift, noise of the counterfactual included.

        lift_gt = sales_gt - counterfactual_gt,  relative_lift = lift / counterfactual

    in the treated regions from the start of the treatment to the experiment's last date; sums are
    of joint draws. A probability of a lift is ``(lift > 0).mean()``.

    Parameters
    ----------
    fit
        A fitted `GeoLift`.
    by
        Dimensions to keep, of ``region, date``; nothing (default) for the total.
    seed
        Integer, of the noise.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Dims ``chain, draw, *by``: `lift` and `counterfactual` in units of sales, `relative_lift`;
        and `sales` as they were, dims ``*by``.

    Raises
    ------
    SpecError
        If the fit is of another model.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Causal if treatment in one region doesn't move sales in others, and if nothing else happened in
    the treated regions alone.
    """
    if not isinstance(fit.spec, GeoLift):
        raise SpecError(f"geo_lift takes a fitted GeoLift; this is a {type(fit.spec).__name__}.")
    marks = usable(fit, allow_unconverged)
    by = check_by(by, CELLS, "geo_lift")
    data, posterior = fit.data, fit.posterior
    treated, before = np.flatnonzero(data.is_treated), data.before
    actual = data.data["sales"].transpose(*CELLS).isel({REGION: treated, DATE: slice(before, None)})
    away = tuple(d for d in CELLS if d not in by)
    axes = tuple(1 + CELLS.index(d) for d in away)
    drawn = _counterfactual(fit, seed).sum(axis=axes)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], *drawn.shape[1:])
    coords = {d: posterior[d] for d in SAMPLE} | {d: actual[d] for d in by}
    otherwise = xr.DataArray(drawn.reshape(shape), dims=(*SAMPLE, *by), coords=coords)
    sales = actual.sum(away)
    units = data.data["sales"].attrs["units"]
    lift = (sales - otherwise).transpose(*SAMPLE, *by)
    out = {
        "lift": lift.assign_attrs(units=units, long_name="Lift"),
        "counterfactual": otherwise.assign_attrs(
            units=units, long_name="Sales had there been no treatment"
        ),
        "relative_lift": (lift / otherwise).assign_attrs(units="1", long_name="Relative lift"),
        "sales": sales.assign_attrs(units=units, long_name="Sales"),
    }
    return xr.Dataset(out, attrs={"seed": seed, **marks})


def _counterfactual(fit: Fit, seed: int) -> np.ndarray:
    """Return draws of untreated sales of the treated regions (chain x draw, region, date).

    Region by region: its contrast with the mean of the regions before it (the untreated, and the
    treated ones already drawn), given that contrast before the treatment,

        x | past ~ t_{nu + n}( B past, (nu + past' K_11^-1 past) / (nu + n) (K_22 - B K_12) ),

    n dates before the treatment and B = K_21 K_11^-1.
    """
    paths = Paths.of(fit.data, fit.spec.phases(fit.data))
    before, own = fit.data.before, len(fit.data.treated)
    past = paths.contrasts[-own:, :before]
    later = paths.ratio[: paths.untreated, before:].sum(axis=0)
    freedom = 2.0 + fit.posterior["nu"].transpose(*SAMPLE).to_numpy().reshape(-1)
    rng = seeds.generator(seed, "geo lift")
    out = np.empty((len(freedom), own, len(later)))
    for where, (result,) in fit.target.evaluate(fit.posterior, ["covariance"]):
        for i, matrix in zip(range(where.start, where.stop), result["covariance"], strict=True):
            weights = np.linalg.solve(matrix[:before, :before], matrix[:before, before:])
            left = matrix[before:, before:] - matrix[before:, :before] @ weights
            root = np.linalg.cholesky(left)
            far = (past * np.linalg.solve(matrix[:before, :before], past.T).T).sum(axis=1)
            widen = np.sqrt((freedom[i] + far) / rng.chisquare(freedom[i] + before, size=own))
            noise = rng.standard_normal((own, len(later))) @ root.T
            x = past @ weights + widen[:, None] * noise
            known = later.copy()
            for k in range(own):
                count = paths.untreated + k
                out[i, k] = known / count + x[k] * np.sqrt((count + 1.0) / count)
                known += out[i, k]
    return np.asarray(out * paths.scale[-own:, None])


def geo_lift_test(
    fit: Fit,
    *,
    channel: str,
    spend_change: float,
    seed: int,
    end: str | None = None,
    name: str | None = None,
    allow_unconverged: bool = False,
) -> LiftTest:
    """Return a geo experiment as a lift test of a media mix.

    The lift is the mean of the posterior of `geo_lift`, its standard error the SD.

    Parameters
    ----------
    fit
        A fitted `GeoLift`.
    channel, spend_change, name
        As in `LiftTest`: spend that ran in the treated regions less what would have run.
    seed
        Integer, as for `geo_lift`.
    end
        Last date of changed spend, where sales were counted for longer than that; None (default)
        is the experiment's last date.
    allow_unconverged
        Whether to answer from draws whose verdict failed.

    Raises
    ------
    SpecError
        If the fit is of another model.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    The media mix must be of the same sales. Where its periods are longer (weeks of daily
    experiments), `start` and `end` are the dates of its periods: use ``dataclasses.replace``.
    """
    lift = geo_lift(fit, seed=seed, allow_unconverged=allow_unconverged)["lift"]
    return LiftTest(
        channel=channel,
        regions=fit.data.treated,
        start=fit.data.start,
        end=end or fit.data.end,
        outcome_end=fit.data.end if end else None,
        spend_change=spend_change,
        lift=float(lift.mean()),
        se=float(lift.std()),
        name=name,
    )
