"""What one campaign taught, as the prior of the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.errors import SpecError
from bayes_mkt.fit import usable

if TYPE_CHECKING:
    import xarray as xr

    from bayes_mkt.fit import Fit
    from bayes_mkt.targeting.campaign import Campaign

__all__ = ["LearnedEffects", "coefficients"]

Array = NDArray[Any]


@dataclass(frozen=True)
class LearnedEffects:
    """Mean and covariance of the coefficients of a fitted `Uplift`, on the log-odds.

    The coefficients stand in the order intercept, arm effects, baseline by column, uplift by column
    and arm.

    Parameters
    ----------
    arms, columns
        Names of the treatments and of the design's columns.
    mean
        One for each coefficient.
    covariance
        Rows of the covariance matrix.

    Examples
    --------
    >>> LearnedEffects(("mail",), (), (-2.0, 0.3), ((0.1, 0.0), (0.0, 0.2))).coefficients
    2
    """

    arms: tuple[str, ...]
    columns: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        sizes = {len(self.mean), len(self.covariance), *map(len, self.covariance)}
        if sizes != {self.coefficients}:
            raise SpecError(
                f"mean and covariance must be of {self.coefficients} coefficients, for "
                f"{len(self.arms)} arms and {len(self.columns)} columns; got {sorted(sizes)}."
            )

    @classmethod
    def of(cls, fit: Fit, *, allow_unconverged: bool = False) -> LearnedEffects:
        """Return the normal approximation of a fit's posterior.

        Raises
        ------
        SamplingError
            If the fit's verdict failed and `allow_unconverged` is false.
        """
        usable(fit, allow_unconverged)
        flat = coefficients(fit.posterior, fit.data)
        matrix = np.atleast_2d(np.cov(flat, rowvar=False))
        return cls(
            tuple(fit.data.treatments),
            tuple(fit.data.encoding.columns),
            tuple(map(float, flat.mean(axis=0))),
            tuple(tuple(map(float, row)) for row in matrix),
        )

    @property
    def coefficients(self) -> int:
        """How many there are."""
        return 1 + len(self.arms) + len(self.columns) * (1 + len(self.arms))

    def check(self, campaign: Campaign) -> None:
        """Raise `SpecError` unless a campaign has these arms and columns."""
        if self.arms != campaign.treatments or self.columns != campaign.encoding.columns:
            raise SpecError(
                "The prior is that of a campaign with other arms or features. Read the new one by "
                "Campaign.from_frame(..., like=previous), so that its features are cut alike; "
                f"arms must be {list(self.arms)}, and are {list(campaign.treatments)}."
            )

    def factor(self, drift: float) -> Array:
        """Return the lower Cholesky factor of the covariance with drift^2 added to variances."""
        matrix = np.array(self.covariance) + (drift**2 + 1e-10) * np.eye(self.coefficients)
        return np.asarray(np.linalg.cholesky(matrix))


def coefficients(posterior: xr.Dataset, campaign: Campaign) -> Array:
    """Return draws of the coefficients (draw, coefficient), from either form of the model."""
    arms = len(campaign.treatments)

    def flat(name: str, dims: Sequence[str]) -> Array:
        values = posterior[name].transpose("chain", "draw", *dims).to_numpy()
        return np.asarray(values.reshape(values.shape[0] * values.shape[1], *values.shape[2:]))

    if "coefficient" in posterior:
        return flat("coefficient", ["coefficient_name"])
    parts = [flat("intercept", [])[:, None], flat("arm_effect", ["arm"])]
    if campaign.encoding.columns:
        slope, baseline = flat("uplift_slope", ["arm"]), flat("baseline", ["column"])
        lift = flat("uplift", ["column"])[:, :, None] + baseline[:, :, None] * slope[:, None, :]
        if arms > 1:
            lift = lift + flat("arm_uplift", ["column", "arm"])
        parts += [baseline, lift.reshape(len(lift), -1)]
    return np.concatenate(parts, axis=1)
