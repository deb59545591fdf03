"""Transactions -> the states that purchase models need, each with the customers who share it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.reduction import (
    MILLION,
    SPEND,
    STATE,
    daily_repeats,
    per_customer,
    with_holdout,
)
from bayes_mkt.customers.tables import history_table, holdout_table
from bayes_mkt.days import Bound, day_number, to_date
from bayes_mkt.dims import MARKET
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Problems, counted, listed
from bayes_mkt.transactions import Returns, Transactions, collect

__all__ = ["CustomerHistory", "DAYS", "Holdout", "Unit"]

Array = NDArray[Any]
Unit = Literal["D", "W", "M", "Y"]
DAYS: Final[Mapping[str, float]] = MappingProxyType(
    {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
)


@dataclass(frozen=True, eq=False, repr=False)
class CustomerHistory:
    """Who bought how often, how recently, for how long, and for how much.

    Customers with the same history are one state with a weight; nothing is lost by that.

    Parameters
    ----------
    data
        Variables, by dimension:

        - `state`: `frequency` (days of purchase after the first), `recency` (days from the first
          to the last purchase), `age` (days from the first purchase to the end), `weight`
          (customers), `cell` (position along `profile`) and, if there are amounts, `spend`
          (sum of the repeat purchases);
        - `profile`: `cell_market`, and `covariate_NAME` for each covariate: the distinct profiles;
        - `market`: the names;
        - `customer`, if customers were kept: the names, and `customer_state`, their position
          along `state`.

        Attributes: `unit`, `end` (ISO date), `currency` if stated, and `log` (JSON), which names
        the columns of the log it was read from, if it was.

    Raises
    ------
    DataError
        If a history can't be: a negative count, recency above age, repeats without recency.

    Examples
    --------
    >>> frame = pd.DataFrame({"who": ["a", "a", "b", "c"], "on": ["2024-01-01", "2024-01-09",
    ...     "2024-01-02", "2024-01-02"]})
    >>> history = CustomerHistory.from_transactions(
    ...     frame, customer="who", date="on", end="2024-01-31", unit="W")
    >>> history
    CustomerHistory(3 customers in 2 states, 1 market, to 2024-01-31 by W)
    >>> history.data["weight"].values
    array([2, 1])
    """

    data: xr.Dataset

    def __post_init__(self) -> None:
        """Check what must hold of every history."""
        data, problems = self.data, Problems()
        unit = data.attrs.get("unit")
        if unit not in DAYS:
            raise SpecError(f"unit={unit!r} must be one of {', '.join(DAYS)}.")
        frequency, recency = data["frequency"].to_numpy(), data["recency"].to_numpy()
        age = data["age"].to_numpy()
        for name, values in (("frequency", frequency), ("recency", recency), ("age", age)):
            if (values < 0).any():
                problems.add(f"{name} has negative values, such as {values.min()}.")
        if (recency > age).any():
            problems.add("recency lies above age: a purchase after the end of the history.")
        if ((frequency > 0) != (recency > 0)).any():
            problems.add("recency must be above 0 exactly where there are repeat purchases.")
        problems.raise_if_any()

    @classmethod
    def from_transactions(
        cls,
        frame: object,
        *,
        customer: str,
        date: str,
        amount: str | None = None,
        market: str | None = None,
        covariates: Iterable[str] = (),
        bins: Mapping[str, Iterable[float]] | None = None,
        end: Bound | None = None,
        unit: Unit = "D",
        returns: Returns = "error",
        currency: str | None = None,
        keep_customers: bool = True,
    ) -> CustomerHistory:
        """Reduce a transaction log to states, on the log's own engine.

        Parameters
        ----------
        frame, customer, date, amount, market, returns
            As for `Transactions.from_frame`. Purchases of the same day are one.
        covariates
            Columns of labels, or of numbers that are in `bins`, known at the first purchase. A
            customer's market and covariates are those of the first day of purchase.
        bins
            For covariates that are numbers: where one bin ends and the next begins, ascending:
            ``{"age": [25, 40]}`` makes the labels "below 25", "25 to 40" (25 in it, 40 not) and
            "from 40".
        end
            Last day of the history, seen to its end; later rows are left out. None takes the last
            day of the log.
        unit
            Unit of time of rates and horizons: day, week, month (30.4375 days) or year. Recency
            and age keep their days; only the unit that figures are stated in changes.
        currency
            Name of the currency, such as ``"EUR"``.
        keep_customers
            Whether the customers' names come back, one row for each. False brings back the states
            alone: for tens of millions of customers.

        Raises
        ------
        DataError
            With every problem found.
        SpecError
            For an unknown unit, or an end before the first purchase.
        """
        labels = _labels(covariates)
        edges = _edges(bins, labels)
        log = Transactions.from_frame(
            frame,
            customer=customer,
            date=date,
            amount=amount,
            market=market,
            keep=labels,
            returns=returns,
        )
        end = _checked_end(log, end)
        _check_numbers(log, edges)
        rows = per_customer(log, end, labels, edges)
        roles = {"customer": customer, "date": date, "amount": amount, "market": market}
        attrs = {
            "unit": unit,
            "end": str(to_date(day_number(end, "end"))),
            "log": json.dumps({**roles, "returns": returns, "bins": edges}),
        }
        return cls(history_table(rows, log, labels, keep_customers, _attrs(attrs, currency)))

    @classmethod
    def split_transactions(
        cls, frame: object, *, end: Bound, until: Bound | None = None, **options: Any
    ) -> tuple[CustomerHistory, Holdout]:
        """Return the history up to `end`, and what the same customers did after it.

        Parameters
        ----------
        frame, options
            As for `from_transactions`.
        end
            Last day of the calibration period.
        until
            Last day of the holdout; None takes the last day of the log.
        """
        history = cls.from_transactions(frame, end=end, **options)
        labels = _labels(options.get("covariates", ()))
        roles = {k: options.get(k) for k in ("customer", "date", "amount", "market")}
        policy = options.get("returns", "error")
        log = Transactions.from_frame(frame, keep=labels, returns=policy, **roles)  # type: ignore[arg-type]
        last = day_number(until, "until") if until is not None else day_number(log.last, "until")
        start = day_number(end, "end")
        if last <= start:
            raise SpecError(f"until={to_date(last)} must lie after end={to_date(start)}.")
        edges = _edges(options.get("bins"), labels)
        rows = with_holdout(per_customer(log, end, labels, edges), log, end, to_date(last))
        daily = collect(daily_repeats(log, end, to_date(last)), order=["day"])
        return history, Holdout(
            holdout_table(
                rows, log, start, int(history.data.sizes["state"]), labels, daily, last - start
            )
        )

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> CustomerHistory:
        """Return the history that `to_dataset` stored."""
        return cls(dataset)

    def to_dataset(self) -> xr.Dataset:
        """Return the history as one dataset that netCDF and Zarr can hold."""
        return self.data.copy()

    @property
    def unit(self) -> str:
        """Unit of time."""
        return str(self.data.attrs["unit"])

    @property
    def end(self) -> pd.Timestamp:
        """Last day of the history."""
        return pd.Timestamp(self.data.attrs["end"])

    @property
    def currency(self) -> str:
        """Currency of amounts; ``"money"`` if not stated."""
        return str(self.data.attrs.get("currency", "money"))

    def reread(self, frame: object) -> nw.LazyFrame[Any]:
        """Return one row for each customer of the log that this history was read from, lazy.

        Columns: `customer`, and those in which customers of one state agree; see `state_keys`.

        Raises
        ------
        SpecError
            If the history wasn't read from a log.
        """
        if "log" not in self.data.attrs:
            raise SpecError(
                "This history wasn't read from a log: it has no customers to go back to. Make it "
                "by CustomerHistory.from_transactions."
            )
        labels = self.covariates
        roles = json.loads(self.data.attrs["log"])
        edges = roles.pop("bins")
        log = Transactions.from_frame(frame, keep=labels, **roles)
        return per_customer(log, str(self.data.attrs["end"]), labels, edges)

    def state_keys(self) -> pd.DataFrame:
        """Return the columns in which customers of one state agree, a row for each state."""
        data, columns = self.data, {}
        cell = data["cell"].to_numpy()
        if "log" in data.attrs and json.loads(data.attrs["log"])["market"] is not None:
            columns[MARKET] = data["cell_market"].to_numpy()[cell]
        for name in self.covariates:
            columns[f"covariate_{name}"] = data[f"covariate_{name}"].to_numpy()[cell]
        columns |= {name: data[name].to_numpy() for name in STATE}
        if self.has_spend:
            columns[SPEND] = (data[SPEND].to_numpy() * MILLION).round().astype(np.int64)
        return pd.DataFrame(columns)

    @property
    def markets(self) -> tuple[str, ...]:
        """Names of the markets."""
        return tuple(str(name) for name in self.data[MARKET].to_numpy())

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates."""
        head = "covariate_"
        return tuple(str(n).removeprefix(head) for n in self.data if str(n).startswith(head))

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return int(self.data["weight"].sum())

    @property
    def has_spend(self) -> bool:
        """Whether there are amounts."""
        return SPEND in self.data

    def per_unit(self, days: Array) -> Array:
        """Return days in the history's unit of time."""
        return np.asarray(days, dtype=float) / DAYS[self.unit]

    def state_market(self) -> Array:
        """Return each state's market, as a position along `market` (state,)."""
        names = {name: i for i, name in enumerate(self.markets)}
        cells = np.array([names[str(n)] for n in self.data["cell_market"].to_numpy()])
        return np.asarray(cells[self.data["cell"].to_numpy()])

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same states, names and attributes."""
        if not isinstance(other, CustomerHistory):
            return NotImplemented
        return bool(self.data.identical(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal histories share."""
        return hash((self.markets, self.n_customers, self.unit, str(self.end)))

    def __repr__(self) -> str:
        """Return sizes, end and unit in one line."""
        states = counted(int(self.data.sizes["state"]), "state")
        return (
            f"CustomerHistory({counted(self.n_customers, 'customer')} in {states}, "
            f"{counted(len(self.markets), 'market')}, to {self.data.attrs['end']} by {self.unit})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Holdout:
    """What the customers of a history did in the period after it.

    Parameters
    ----------
    data
        By dimension `row`: `state` (position in the history), `holdout` (days of purchase),
        `weight` (customers) and, if there are amounts, `holdout_spend` (of all of them together);
        by dimension `day` (days after `end`; up to 0 in the calibration period): `repeats`, repeat
        purchases of that day. Attribute `length`: days of the holdout.
    """

    data: xr.Dataset

    @property
    def days(self) -> int:
        """Length of the holdout in days."""
        return int(self.data.attrs["length"])

    @property
    def purchases(self) -> int:
        """Purchases in the holdout."""
        return int((self.data["holdout"] * self.data["weight"]).sum())

    def __repr__(self) -> str:
        """Return length and purchases."""
        return f"Holdout({counted(self.days, 'day')}, {counted(self.purchases, 'purchase')})"


def _attrs(attrs: dict[str, str], currency: str | None) -> dict[str, str]:
    return attrs if currency is None else {**attrs, "currency": currency}


def _labels(covariates: Iterable[str]) -> tuple[str, ...]:
    """Return the covariates' names."""
    if isinstance(covariates, str):
        raise SpecError(
            f"covariates={covariates!r} must be a list of columns, such as [{covariates!r}]."
        )
    return tuple(covariates)


def _edges(
    bins: Mapping[str, Iterable[float]] | None, labels: Iterable[str]
) -> dict[str, list[float]]:
    """Return where bins begin, by covariate."""
    edges = {name: [float(edge) for edge in values] for name, values in (bins or {}).items()}
    unknown = sorted(set(edges) - set(labels))
    if unknown:
        raise SpecError(f"bins names {listed(map(repr, unknown))}, which covariates= doesn't.")
    for name, values in edges.items():
        if not values or not np.all(np.isfinite(values)) or np.any(np.diff(values) <= 0):
            raise SpecError(f"bins[{name!r}]={values} must be ascending numbers.")
    return edges


def _check_numbers(log: Transactions, names: Iterable[str]) -> None:
    """Raise unless the columns to bin are numbers."""
    schema = log.log.collect_schema()
    for name in names:
        if not schema[name].is_numeric():
            raise DataError(
                f"Covariate {name!r} is of type {schema[name]}: only numbers are binned. Convert "
                "it before loading, or leave it out of bins= to keep its labels."
            )


def _checked_end(log: Transactions, end: Bound | None) -> Bound:
    """Return the end of the history, or raise if it leaves nothing."""
    if end is None:
        return log.last
    if day_number(end, "end") < day_number(log.first, "first"):
        raise SpecError(f"end={end} lies before the first purchase of the log, {log.first}.")
    return end
