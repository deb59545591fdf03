"""Effects of covariates: plain Normal, or shrunk by a regularised horseshoe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_mkt.customers.coding import NUMBER
from bayes_mkt.dims import FEATURE
from bayes_mkt.errors import DataError
from bayes_mkt.frames import listed
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.customers.spells import Spells

Array = NDArray[Any]
# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

SLAB_DF, SLAB_SCALE = 4.0, 1.0
SCALE_DF = 3.0
EFFECT_PRIORS: Mapping[str, Prior] = MappingProxyType({"effect": Prior("Normal", mu=0, sigma=1)})


@dataclass(frozen=True)
class Coding:
    """How covariates are brought to the model's scale: centred, numbers in standard deviations.

    Attributes
    ----------
    names
        Of the covariates.
    mean, scale
        What is subtracted, and divided by (feature,); indicators keep the scale one.
    """

    names: tuple[str, ...]
    mean: Array
    scale: Array

    @classmethod
    def of(cls, data: Spells) -> Coding:
        """Return the coding by the mean and SD over the rows of the fitted data."""
        rows = data.data["features"].values[data.data["cell_of_row"].values]
        weight = data.data["count"].values
        mean = np.average(rows, axis=0, weights=weight) if rows.shape[1] else np.zeros(0)
        spread = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=weight))
        number = data.data["kind"].values == NUMBER
        return cls(data.features, mean, np.where(number & (spread > 0), spread, 1.0))

    def apply(self, other: Spells) -> Array:
        """Return the covariates of cells on the model's scale (cell, feature).

        Raises
        ------
        DataError
            If the data lack a covariate, or have one that the model doesn't know.
        """
        if other.features != self.names:
            odd = sorted(set(other.features) ^ set(self.names)) or list(other.features)
            raise DataError(
                f"The covariates differ from those that were fitted: {listed(map(repr, odd))}. "
                "Read the data with like=, giving it the fitted data."
            )
        values = other.data["features"].values
        return (values - self.mean) / self.scale if values.shape[1] else values


def effects(spec: Any, data: Spells) -> Tensor:
    """Return the effect of each covariate, (feature,), on the model's scale.

    The regularised horseshoe of Piironen and Vehtari (2017): effect_j ~ N(0, tau l_j) with
    l_j^2 = c^2 lambda_j^2 / (c^2 + tau^2 lambda_j^2), lambda_j ~ t+_3(0, 1), tau ~ t+_3(0, tau_0),
    tau_0 = p_0 / (p - p_0) / sqrt(events), c^2 ~ Inv-Gamma(2, 2). Scales of Student's t with three
    degrees of freedom, in place of Cauchy's one, have no tails in which a sampler gets lost.
    """
    if spec.effects == "normal":
        return spec.prior("effect").variable("effect", dims=FEATURE)
    count = len(data.features)
    relevant = spec.relevant if spec.relevant is not None else max(count / 3.0, 0.5)
    relevant = min(relevant, count - 0.5)
    width = relevant / (count - relevant) / np.sqrt(max(data.events(), 1))
    wide = pm.HalfStudentT("global_scale", nu=SCALE_DF, sigma=width)
    local = pm.HalfStudentT("local_scale", nu=SCALE_DF, sigma=1.0, dims=FEATURE)
    slab = pm.InverseGamma("slab_variance", alpha=SLAB_DF / 2.0, beta=SLAB_DF / 2.0 * SLAB_SCALE**2)
    reach = pt.sqrt(slab / (slab + wide**2 * local**2)) * wide * local
    return pm.Normal("effect", 0.0, reach, dims=FEATURE)
