"""From draws of hyperparameters to answers by customer, market or segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.ages import Ages, shared_ages
from bayes_mkt.customers.futures import Outlook
from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.lifetime import Lifetime
from bayes_mkt.customers.purchases import PurchaseModel
from bayes_mkt.customers.reduction import SPEND
from bayes_mkt.customers.spend import GammaGamma
from bayes_mkt.customers.states import purchase_rows
from bayes_mkt.dims import CUSTOMER, MARKET, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit
from bayes_mkt.frames import listed

__all__ = [
    "By",
    "Group",
    "Part",
    "Segments",
    "answer",
    "basket_mean",
    "grouping",
    "parts",
    "purchase_model",
]

Array = NDArray[Any]
By = Literal["customer", "state", "market", "segment", "total"]
Segments = Sequence[object] | Mapping[Any, object]
SEGMENT: Final = "segment"
MEMORY: Final = 2**31


@dataclass(frozen=True)
class Part:
    """Some of the draws: P(alive), what is expected of the alive, and what they spend.

    Parameters
    ----------
    where
        Which of the flattened ``chain x draw``.
    p_alive
        Probability to be alive at the end of the history (draw, state).
    outlook
        ``(profile, x, age) -> `` what is expected of who is alive, by draw.
    ages
        How states share what is computed at few ages.
    spend
        Hyperparameters of spend by state; empty if spend isn't modelled.
    """

    where: slice
    p_alive: Array
    outlook: Callable[[Array, Array, Array], Outlook]
    ages: Ages
    spend: Mapping[str, Array]

    def of_alive(self, ask: Callable[[Outlook], Array]) -> Array:
        """Return ``ask(future)`` of who is alive for every state (draw, state, ...)."""
        return self.ages.spread(ask(self.outlook(*self.ages.points)))


@dataclass(frozen=True)
class Group:
    """How states are brought together: a dimension, its labels, and customers (group, state)."""

    dims: tuple[str, ...]
    coords: Mapping[str, Any]
    index: Array | None = None
    counts: Array | None = None


def purchase_model(fit: Fit) -> PurchaseModel:
    """Return the fit's model of purchases."""
    spec = fit.spec.purchases if isinstance(fit.spec, Lifetime) else fit.spec
    if not isinstance(spec, PurchaseModel):
        raise SpecError(
            f"{type(fit.spec).__name__} models no purchases. Fit BGNBD(), MBGNBD(), ParetoNBD() "
            "or a Lifetime of one of them."
        )
    return spec


def spend_model(fit: Fit) -> GammaGamma | None:
    """Return the fit's model of spend, or None."""
    spec = fit.spec.spend if isinstance(fit.spec, Lifetime) else fit.spec
    return spec if isinstance(spec, GammaGamma) else None


def parts(fit: Fit, posterior: xr.Dataset, memory: int = 2**26) -> Iterator[Part]:
    """Yield the draws of `posterior` in parts of bounded memory, by state of the history."""
    model, history = purchase_model(fit), fit.data
    rows = purchase_rows(history)
    spend = spend_model(fit)
    cell = history.data["cell"].to_numpy()
    hyper = {n: flat(posterior, n) for n in model.parameters}
    paid = {n: flat(posterior, n) for n in spend.parameters} if spend is not None else {}
    ages = shared_ages(rows, hyper["alpha"].min(axis=0))
    for where, (result,) in fit.target.evaluate(
        posterior, ["p_alive"], hold=model.parameters, memory=memory
    ):
        yield Part(
            where,
            result["p_alive"][:, rows.index],
            partial(_outlook, model, {n: v[where] for n, v in hyper.items()}),
            ages,
            {n: v[where][:, cell] for n, v in paid.items()},
        )


def _outlook(
    model: PurchaseModel, hyper: Mapping[str, Array], profile: Array, x: Array, age: Array
) -> Outlook:
    """Return what is expected of the alive of given profiles, counts and ages, by draw."""
    return model.future({n: v[:, profile] for n, v in hyper.items()}, x, age)


def basket_mean(history: CustomerHistory, at: Mapping[str, Array]) -> Array:
    """Return the expected basket of each state, p (xz + v) / (px + q - 1), (draw, state)."""
    x, total = spent(history)
    return np.asarray(at["p"] * (total + at["v"]) / (at["p"] * x + at["q"] - 1.0))


def spent(history: CustomerHistory) -> tuple[Array, Array]:
    """Return repeat purchases and their sum, 0 and 0 where nothing was paid for them (state,)."""
    total = history.data[SPEND].to_numpy()
    x = history.data["frequency"].to_numpy().astype(float)
    return np.where(total > 0, x, 0.0), np.where(total > 0, total, 0.0)


def grouping(history: CustomerHistory, by: By, segments: Segments | None = None) -> Group:
    """Return how states are brought together.

    Parameters
    ----------
    by
        ``"customer"``, ``"state"``, ``"market"``, ``"segment"`` or ``"total"``.
    segments
        A label for each customer, in the order of the history's, or by name; for ``by="segment"``.
    """
    data = history.data
    weight = data["weight"].to_numpy().astype(float)
    if (by == SEGMENT) != (segments is not None):
        raise SpecError("by='segment' and segments= (a label for each customer) go together.")
    if by == "state":
        return Group(("state",), {}, index=np.arange(weight.size))
    if by in (CUSTOMER, SEGMENT) and "customer_state" not in data:
        raise SpecError(
            f"by={by!r} needs the customers' names, which this history left on its engine. Read it "
            "with keep_customers=True, or ask by='state' or by='market'."
        )
    if by == CUSTOMER:
        index = data["customer_state"].to_numpy()
        return Group((CUSTOMER,), {CUSTOMER: data[CUSTOMER]}, index=index)
    if by == MARKET:
        counts = np.zeros((len(history.markets), weight.size))
        counts[history.state_market(), np.arange(weight.size)] = weight
        return Group((MARKET,), {MARKET: list(history.markets)}, counts=counts)
    if by == "total":
        return Group((), {}, counts=weight[None, :])
    if by != SEGMENT or segments is None:
        raise SpecError(f"by={by!r}: choose from customer, state, market, segment, total.")
    code, labels = segment_codes(history, segments)
    counts = np.zeros((len(labels), weight.size))
    np.add.at(counts, (code, data["customer_state"].to_numpy()), 1.0)
    return Group((SEGMENT,), {SEGMENT: labels}, counts=counts)


def segment_codes(history: CustomerHistory, segments: Segments) -> tuple[Array, list[str]]:
    """Return each customer's segment as a position among the sorted labels."""
    if isinstance(segments, Mapping):
        names = history.data[CUSTOMER].to_numpy().tolist()
        lacking = [name for name in names if name not in segments]
        if lacking:
            raise SpecError(
                f"segments names {len(names) - len(lacking):,} of {len(names):,} customers; "
                f"{listed(map(repr, lacking))} are not among them. Give each customer a label."
            )
        segments = [segments[name] for name in names]
    given = [str(label) for label in segments]
    if len(given) != history.data.sizes.get(CUSTOMER, -1):
        raise SpecError(
            f"segments has {len(given):,} labels for {history.n_customers:,} customers. Give one "
            "for each, in the order of history.data['customer']."
        )
    code, labels = pd.factorize(np.asarray(given), sort=True)
    return np.asarray(code), [str(label) for label in labels]


def answer(
    fit: Fit,
    group: Group,
    function: Callable[[Part], Array],
    *,
    mean: bool,
    tail: Mapping[str, Sequence[str]] | None = None,
    draws: int | None = None,
) -> xr.DataArray:
    """Return a quantity of each draw and state, brought together.

    Parameters
    ----------
    function
        ``part -> (draw, state, ...)``.
    mean
        Whether a group's value is the mean over its customers, or their sum.
    tail
        Dimensions after the state's, with their labels.
    draws
        About how many draws to use, evenly spaced; None uses all.
    """
    posterior = fit.posterior if draws is None else thinned(fit.posterior, draws)
    sizes = tuple(posterior.sizes[d] for d in SAMPLE)
    total = sizes[0] * sizes[1]
    ends = [len(labels) for labels in (tail or {}).values()]
    length = group.index.size if group.index is not None else len(group.counts)  # type: ignore[arg-type]
    size = total * length * int(np.prod(ends)) * 8
    if size > MEMORY:
        raise SpecError(
            f"The answer has {size / 2**30:.0f} GiB: {total:,} draws of {length:,} rows. Ask "
            "by='market', by='segment' or by='state', or thin the draws of the fit."
        )
    out = np.empty((total, length, *ends))
    for part in parts(fit, posterior):
        values = function(part)
        if group.index is not None:
            out[part.where] = values[:, group.index]
        elif group.counts is not None:
            weights = group.counts
            if mean:
                weights = weights / weights.sum(axis=1, keepdims=True)
            out[part.where] = np.moveaxis(np.tensordot(values, weights, (1, 1)), -1, 1)
    shape = (*sizes, *([length] if group.dims else []), *ends)
    ending = {name: list(labels) for name, labels in (tail or {}).items()}
    coords = {**{d: posterior[d] for d in SAMPLE}, **group.coords, **ending}
    return xr.DataArray(
        out.reshape(shape), dims=(*SAMPLE, *group.dims, *(tail or {})), coords=coords
    )


def flat(posterior: xr.Dataset, name: str) -> Array:
    """Return draws of a variable as (chain x draw, profile)."""
    values = posterior[name].transpose(*SAMPLE, ...).to_numpy()
    return np.asarray(values.reshape(-1, *values.shape[2:]))


def thinned(posterior: xr.Dataset, draws: int) -> xr.Dataset:
    """Return about `draws` draws, evenly spaced in each chain."""
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise SpecError(f"draws={draws!r} must be an integer >= 1.")
    chains, length = posterior.sizes["chain"], posterior.sizes["draw"]
    wanted = min(max(draws // chains, 1), length)
    chosen = np.linspace(0, length - 1, wanted).round().astype(int)
    return posterior.isel(draw=chosen)
