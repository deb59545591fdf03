"""The likelihood of very many spells as that of regressions: of each market, and of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_mkt.customers.baseline import SPREADS
from bayes_mkt.customers.centre import Coefficients, centre
from bayes_mkt.customers.derivatives import Terms
from bayes_mkt.customers.spell_rows import Derivatives, SpellRows
from bayes_mkt.customers.spells import Spells, crude_rate
from bayes_mkt.dims import FEATURE, MARKET, SAMPLE

if TYPE_CHECKING:
    import xarray as xr

    from bayes_mkt.customers.hazard import HazardModel

__all__ = ["Expansion", "expansion", "sampled", "spell_rows"]

Array = NDArray[Any]
LEAST: Final = 0.1  # curvature that counts: less than a fortieth of any prior's of a market's own


@dataclass(frozen=True, eq=False)
class Expansion:
    """The log-likelihood about a centre, as that of observations of linear regressions.

    A market's parameters are theta_m = c + M u_m, c those of all markets and u_m its own. With g
    and H_m gradient and negative Hessian about the centre, the sum over markets of
    g'd - d'H_m d / 2, d = theta_m less its centre, is up to a constant that of

        y_m ~ N(R_m u_m + K_m c, I),    R_m'R_m = M'H_m M,    R_m'K_m = M'H_m,
        y ~ N(R c, I),                  R'R = sum_m H_m - K_m'K_m.

    So written, curvatures of c that are negative in one market meet those of the others: of single
    markets they often are, where few customers tell a low hazard from a large share who never
    come. As it is that of regressions, what is Normal can be integrated out.

    Attributes
    ----------
    own_root, own_slope, own_values
        R_m (market, coefficient, coefficient), K_m (market, coefficient, parameter) and y_m
        (market, coefficient); parameters in the order of `Terms`.
    root, values
        R (parameter, parameter) and y (parameter,).
    deviations
        M (parameter, coefficient), alike for all markets.
    """

    own_root: Array
    own_slope: Array
    own_values: Array
    root: Array
    values: Array
    deviations: Array

    @classmethod
    def of(cls, center: Coefficients, found: Derivatives, deviations: Array) -> Expansion:
        """Return the expansion about `center`, markets deviating by the columns of `deviations`.

        Where a market's own coefficients, or those common to all, bend it by no more than `LEAST`,
        or the wrong way, it tells nothing of them.
        """
        across = deviations.T @ found.curvature
        own_root, own_back = _roots(across @ deviations)
        slope = own_back @ across
        own_score = (own_back @ (found.gradient @ deviations)[:, :, None])[:, :, 0]
        left = found.curvature.sum(axis=0) - np.einsum("mkp,mkq->pq", slope, slope)
        root, back = _roots(left[None])
        # What is left of the gradient once the regressions of markets have their part.
        rest = found.gradient.sum(axis=0) - np.einsum("mkp,mk->p", slope, own_score)
        own_mean = (own_root @ center.own[:, :, None])[:, :, 0] + slope @ center.common
        return cls(
            own_root=own_root,
            own_slope=slope,
            own_values=own_mean + own_score,
            root=root[0],
            values=root[0] @ center.common + back[0] @ rest,
            deviations=deviations,
        )

    def observe(self, common: Any, own: Sequence[Any]) -> None:
        """Add the likelihood to the model in context, up to a constant.

        The sampler integrates out what is Normal and stands in the largest Normal likelihood alone.
        Of many markets that is what each has of its own, a small block each; with few, what
        is common would outweigh it, and all stand in one likelihood: a larger block, which takes
        about twice as long at 30 markets.

        Parameters
        ----------
        common
            A variable (parameter,).
        own
            Variables (market, coefficient), side by side in the order of `Coefficients`.
        """
        shared = pt.dot(pm.Data("root", self.root), common)
        if not own:
            pm.Normal("spells", shared, 1.0, observed=self.values)
            return
        each = pt.concatenate(own, axis=1)[:, None]
        by_market = (pm.Data("own_root", self.own_root) * each).sum(axis=2)
        by_market += pt.dot(pm.Data("own_slope", self.own_slope), common)
        if self.own_values.size > self.values.size:
            pm.Normal("spells", shared, 1.0, observed=self.values)
            pm.Normal("spells_by_market", by_market, 1.0, observed=self.own_values)
            return
        values = np.concatenate([self.values, self.own_values.ravel()])
        pm.Normal("spells", pt.concatenate([shared, by_market.ravel()]), 1.0, observed=values)

    def log_ratio(self, draws: Coefficients, rows: SpellRows) -> Array:
        """Return log of the exact likelihood over this one (draw,), up to a constant.

        Parameters
        ----------
        draws
            Parameters and coefficients (draw, ...).
        rows
            What was expanded.
        """
        own = np.einsum("mkj,dmj->dmk", self.own_root, draws.own, optimize=True)
        own += np.einsum("mkp,dp->dmk", self.own_slope, draws.common, optimize=True)
        far = ((self.own_values - own) ** 2).sum(axis=(1, 2))
        far += ((self.values - draws.common @ self.root.T) ** 2).sum(axis=1)
        theta = draws.common[:, None, :] + draws.own @ self.deviations.T
        theta = np.broadcast_to(theta, (len(theta), rows.markets, theta.shape[2]))
        return np.asarray(rows.log_likelihood(theta).sum(axis=1) + 0.5 * far)


def _roots(curvature: Array) -> tuple[Array, Array]:
    """Return R with R'R each matrix, and the transpose of R^-1; zero along axes of no curvature."""
    size, axes = np.linalg.eigh(curvature)
    told = (size > LEAST)[:, :, None]
    width = np.sqrt(np.where(told, size[:, :, None], 1.0))
    back = np.where(told, axes.transpose(0, 2, 1), 0.0)
    return width * back, back / width


def expansion(spec: HazardModel, data: Spells) -> Expansion:
    """Return the expansion of the likelihood about its posterior's centre, nearly.

    Newton's steps, under normal priors whose spreads are estimated on the way by EM; on some of the
    rows first.

    Raises
    ------
    SamplingError
        If the steps don't come to an end.
    """
    return _expansion(data, spec.never, _varied(spec, data))


def _varied(spec: HazardModel, data: Spells) -> tuple[str, ...]:
    """Return in what the curves of markets differ."""
    if spec.markets == "none" or len(data.markets) == 1:
        return ()
    return ("level", "shape") if spec.markets == "shape" and len(data.cuts) > 1 else ("level",)


@lru_cache(maxsize=2)
def spell_rows(data: Spells, never: str) -> SpellRows:
    """Return the rows of data, for a model of those who never have the event."""
    return SpellRows.of(data, never=never != "none", never_features=never == "regression")


def sampled(posterior: xr.Dataset, curve: Array, terms: Terms, deviations: Array) -> Coefficients:
    """Return draws of what the expansion takes, (chain x draw, ...).

    Parameters
    ----------
    posterior
        The draws.
    curve
        Of the first market, their log hazards (chain x draw, interval).
    terms
        The parameters of a market.
    deviations
        Of the expansion.
    """

    def flat(name: str, *dims: Any) -> Array:
        values = posterior[name].transpose(*SAMPLE, *dims).to_numpy()
        return np.asarray(values.reshape(len(curve), *values.shape[2:]))

    own = np.zeros((len(curve), 1, 0))
    if deviations.shape[1]:
        named = [flat(name, MARKET, ...) for name in SPREADS if name in posterior]
        own = np.concatenate([v.reshape(*v.shape[:2], -1) for v in named], axis=2)
    parts = [curve - own[:, 0] @ deviations[terms.curve].T]
    parts += [flat("effect", FEATURE)] if terms.features else []
    parts += [flat("never_level")[:, None]] if terms.never else []
    parts += [flat("never_effect", FEATURE)] if terms.never_features else []
    return Coefficients(np.concatenate(parts, axis=1), own)


@lru_cache(maxsize=2)
def _expansion(data: Spells, never: str, varied: tuple[str, ...]) -> Expansion:
    lengths = np.diff(np.concatenate([[0.0], data.cuts]))
    scale = np.log(crude_rate(data) * lengths)
    return Expansion.of(*centre(spell_rows(data, never), scale, varied))
