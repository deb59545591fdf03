"""Contracts that are renewed or not, by cohort: shifted beta-geometric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import narwhals as nw
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from bayes_mkt.customers.gammas import log_rising
from bayes_mkt.customers.pooling import MARKET_SD, correlated
from bayes_mkt.dims import SAMPLE
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.frames import Column, Problems, counted, open_columns
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade
from bayes_mkt.transactions import collect

__all__ = ["ContractCohorts", "ShiftedBetaGeometric", "contract_survival", "renewal_rate"]

Array = NDArray[Any]
COHORT: Final = "cohort"
PERIOD: Final = "period"

_PRIORS: Final = {
    "churn": Prior("Beta", alpha=1.0, beta=2.0),
    "churn_concentration": Prior("LogNormal", mu=1.0, sigma=1.5),
    "churn_cohort_sd": MARKET_SD,
}


@dataclass(frozen=True, eq=False, repr=False)
class ContractCohorts:
    """How many contracts of each cohort ended when, and how many go on.

    Parameters
    ----------
    data
        By dimension `row`: `cohort_index`, `periods` (until the end of which the contract ended or,
        if it goes on, was renewed), `ended` (0 or 1), `weight` (contracts); coordinate `cohort`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"plan": ["a", "a", "b"], "years": [1, 3, 2], "left": [1, 0, 1]})
    >>> ContractCohorts.from_frame(frame, cohort="plan", periods="years", ended="left")
    ContractCohorts(3 contracts in 2 cohorts)
    """

    data: xr.Dataset

    @classmethod
    def from_frame(
        cls, frame: object, *, periods: str, ended: str, cohort: str | None = None
    ) -> ContractCohorts:
        """Count contracts, one row each, on the frame's own engine.

        Parameters
        ----------
        frame
            As for `Transactions.from_frame`.
        periods
            Column of whole numbers >= 1: the period at whose end the contract wasn't renewed, or
            for one that goes on, how often it was renewed. Contracts that have not come up for
            renewal yet tell nothing: leave them out.
        ended
            Column of truth values: whether the contract ended.
        cohort
            Column of labels; None for one cohort.

        Raises
        ------
        DataError
            With every problem found.
        """
        problems = Problems()
        columns = {
            "periods": Column(periods, "periods"),
            "ended": Column(ended, "ended"),
            **({COHORT: Column(cohort, "cohort", "label")} if cohort is not None else {}),
        }
        opened, columns = open_columns(frame, columns, problems)
        problems.raise_if_any()
        names = {key: column.name for key, column in columns.items()}
        if opened is None:  # every reason for this is a problem, raised above
            raise DataError("The contracts are no frame.")
        lazy = opened.lazy()
        schema = lazy.collect_schema()
        if schema[periods].is_numeric() is False:
            problems.add(f"periods is of type {schema[periods]}: column {periods!r}. Give numbers.")
        if not (schema[ended] == nw.Boolean or schema[ended].is_integer()):
            problems.add(f"ended is of type {schema[ended]}: column {ended!r}. Give truth values.")
        problems.raise_if_any()
        chosen = lazy.select(**{key: nw.col(name) for key, name in names.items()})
        chosen = chosen.with_columns(
            nw.col("periods").cast(nw.Float64), nw.col("ended").cast(nw.Float64)
        )
        table = collect(chosen.group_by(*names).agg(weight=nw.len()), order=[*reversed(names)])
        return cls(_checked(table, problems))

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> ContractCohorts:
        """Return what `to_dataset` stored."""
        return cls(dataset)

    def to_dataset(self) -> xr.Dataset:
        """Return the counts as one dataset that netCDF and Zarr can hold."""
        return self.data.copy()

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Names of the cohorts."""
        return tuple(str(name) for name in self.data[COHORT].to_numpy())

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same counts."""
        if not isinstance(other, ContractCohorts):
            return NotImplemented
        return bool(self.data.identical(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal counts share."""
        return hash((self.cohorts, int(self.data["weight"].sum())))

    def __repr__(self) -> str:
        """Return how many there are."""
        total = int(self.data["weight"].sum())
        cohorts = counted(len(self.cohorts), "cohort")
        return f"ContractCohorts({counted(total, 'contract')} in {cohorts})"


@dataclass(frozen=True)
class ShiftedBetaGeometric:
    r"""Shifted beta-geometric: each renewal is refused with a probability of the customer's own.

    With churn probabilities Beta(a, b) over the customers of a cohort, a contract ends at the end
    of period t with probability B(a+1, b+t-1) / B(a, b), and outlives it with probability
    S(t) = B(a, b+t) / B(a, b). A cohort has theta = (logit churn, ln churn_concentration), with
    a = churn kappa, b = (1 - churn) kappa; cohorts are pooled as markets are in `BGNBD`.

    Parameters
    ----------
    priors
        Replacements, by variable: `churn` Beta(1, 2), the mean probability to refuse the first
        renewal; `churn_concentration` LN(1, 1.5); `churn_cohort_sd` N+(0.5).

    References
    ----------
    Fader, Hardie (2007), How to project customer retention, Journal of Interactive Marketing 21.
    """

    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    parameters: ClassVar[tuple[str, ...]] = ("a", "b")
    on_demand: ClassVar[frozenset[str]] = frozenset({"contract_log_likelihood"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "priors", checked_priors(self.priors, _PRIORS, ("churn",)))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def build(self, cohorts: ContractCohorts) -> pm.Model:
        """Return the PyMC model of `cohorts`, to read, extend or sample."""
        names = ["churn", "churn_concentration"]
        coords = {
            COHORT: list(cohorts.cohorts),
            "churn_parameter": names,
            "churn_parameter_bis": names,
        }
        data = cohorts.data
        with pm.Model(coords=coords) as model:
            churn, kappa = (self._prior(name).variable(name) for name in names)
            population = {"churn": pt.log(churn) - pt.log1p(-churn), names[1]: pt.log(kappa)}
            if len(cohorts.cohorts) > 1:
                spread = self._prior("churn_cohort_sd")
                theta = correlated("churn", population, spread, COHORT)
            else:
                theta = {k: pt.broadcast_to(v, (1,)) for k, v in population.items()}
            share, total = pm.math.sigmoid(theta["churn"]), pt.exp(theta[names[1]])
            a = pm.Deterministic("a", share * total, dims=COHORT)
            b = pm.Deterministic("b", (1 - share) * total, dims=COHORT)
            index = pm.Data("cohort_index", data["cohort_index"].to_numpy())
            t = pm.Data("periods", data["periods"].to_numpy())
            ended = pm.Data("ended", data["ended"].to_numpy())
            # Ended: B(a+1, b+t-1); goes on: B(a, b+t).
            at, bt = a[index], b[index]
            each = ended * pt.log(at) + log_rising(bt, t - ended) - log_rising(at + bt, t)
            log_likelihood = pt.dot(pm.Data("weight", data["weight"].to_numpy()), each)
            pm.Deterministic("contract_log_likelihood", log_likelihood)
            pm.Potential("contracts", log_likelihood)
        return model

    def _prior(self, name: str) -> Prior:
        return self.priors.get(name, _PRIORS[name])


def contract_survival(
    fit: Fit, periods: Sequence[int], *, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return the share of contracts that outlive each period, S(t) = B(a, b+t) / B(a, b).

    Parameters
    ----------
    fit
        A fitted `ShiftedBetaGeometric`.
    periods
        Whole numbers >= 0, counted from the start of the contract.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, cohort, period``.
    """
    marks = usable(fit, allow_unconverged)
    a, b, t = _asked(fit, periods, 0)
    ratio: xr.DataArray = xr.apply_ufunc(special.betaln, a, b + t) - xr.apply_ufunc(
        special.betaln, a, b
    )
    out: xr.DataArray = xr.apply_ufunc(np.exp, ratio)
    return out.rename("contract_survival").assign_attrs(units="1", long_name="Survival", **marks)


def renewal_rate(
    fit: Fit, periods: Sequence[int], *, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return the share of contracts that are renewed at a period's end, of those that reach it.

    r_t = (b + t - 1) / (a + b + t - 1); it rises with t: who leaves easily leaves first.

    Parameters
    ----------
    fit, allow_unconverged
        As for `contract_survival`.
    periods
        Whole numbers >= 1.

    Returns
    -------
    DataArray
        Dims ``chain, draw, cohort, period``.
    """
    marks = usable(fit, allow_unconverged)
    a, b, t = _asked(fit, periods, 1)
    out = (b + t - 1) / (a + b + t - 1)
    return out.rename("renewal_rate").assign_attrs(units="1", long_name="Renewal rate", **marks)


def _asked(
    fit: Fit, periods: Sequence[int], least: int
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Return a, b and the periods as arrays that broadcast."""
    if not isinstance(fit.spec, ShiftedBetaGeometric):
        raise SpecError(f"{type(fit.spec).__name__} models no contracts: ShiftedBetaGeometric().")
    t = np.asarray(periods)
    if t.ndim != 1 or t.dtype.kind != "i" or not t.size or t.min() < least:
        raise SpecError(f"periods={periods!r} must be whole numbers >= {least}.")
    values = xr.DataArray(t, dims=PERIOD, coords={PERIOD: t})
    a, b = (fit.posterior[name].transpose(*SAMPLE, COHORT) for name in ("a", "b"))
    return a, b, values


def _checked(table: Any, problems: Problems) -> xr.Dataset:
    """Return the counts as a dataset, or raise with what is wrong with them."""
    if not len(table):
        problems.add("The frame has no rows. Give one row for each contract.")
    for name in table.columns.drop("weight"):
        if table[name].isna().any():
            missing = int(table["weight"][table[name].isna()].sum())
            problems.add(f"{name} is missing for {counted(missing, 'contract')}. Drop these rows.")
    t = table["periods"].dropna()
    if ((t < 1) | (t % 1 != 0)).any():
        wrong = t[(t < 1) | (t % 1 != 0)].iloc[0]
        problems.add(
            f"periods has values such as {wrong:g}; they must be whole numbers >= 1. Leave out "
            "contracts that have not come up for renewal yet."
        )
    if not table["ended"].dropna().isin([0.0, 1.0]).all():
        problems.add("ended has values other than 0 and 1. Give truth values.")
    problems.raise_if_any()
    labels = table[COHORT].astype(str) if COHORT in table else table["ended"].map(lambda _: "all")
    names, index = np.unique(labels.to_numpy(dtype=str), return_inverse=True)
    return xr.Dataset(
        {
            "cohort_index": ("row", index.astype(np.int64)),
            "periods": ("row", table["periods"].to_numpy()),
            "ended": ("row", table["ended"].to_numpy()),
            "weight": ("row", table["weight"].to_numpy(dtype=float)),
        },
        coords={COHORT: names},
    )
