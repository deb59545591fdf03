"""A transaction log of any engine: checked where it lives, reduced where it lives.

Every reduction is a lazy Narwhals expression that runs on the frame's own engine (pandas,
Polars, PyArrow, DuckDB, Spark); only what `collect` is called on comes back.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, get_args

import narwhals as nw
import numpy as np
import pandas as pd

from bayes_mkt.days import Bound, day_number, to_date
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Column, Problems, open_columns
from bayes_mkt.logchecks import check_log, prepared, readable

__all__ = [
    "AMOUNT",
    "CUSTOMER",
    "DAY",
    "FIRST_DAY",
    "MARKET",
    "Returns",
    "Transactions",
    "collect",
    "spark_session",
]

CUSTOMER: Final = "customer"
DAY: Final = "day"
AMOUNT: Final = "amount"
MARKET: Final = "market"
FIRST_DAY: Final = "first_day"
JAVA: Final = 17
OWN_NAMES: Final = (CUSTOMER, DAY, AMOUNT, MARKET, FIRST_DAY, "lines")

Returns = Literal["error", "drop", "net"]


@dataclass(frozen=True, eq=False, repr=False)
class Transactions:
    """A checked transaction log, still on its own engine.

    Parameters
    ----------
    log
        One row for each line of the log that counts, lazy: `customer` (its own type, or text),
        `day` (whole days since 1970-01-01), `amount` (float64) and `market` (text) if they were
        named, and the further columns under their own names.
    first, last
        First and last day in the log.
    n_rows
        Number of rows.
    returns
        What was done about negative amounts; see `from_frame`.
    keep
        Names of the further columns.
    has_amount, has_market
        Whether these columns were named.

    Examples
    --------
    >>> frame = pd.DataFrame({"who": ["a", "b", "a", "a"], "paid": [5.0, 7.0, 2.0, 4.0],
    ...     "on": ["2024-01-03", "2024-01-05", "2024-01-03", "2024-02-01"]})
    >>> log = Transactions.from_frame(frame, customer="who", date="on", amount="paid")
    >>> log
    Transactions(4 rows, 2024-01-03 to 2024-02-01)
    >>> collect(log.purchase_days(), order=("customer", "day"))
      customer    day  amount  lines
    0        a  19725     7.0      2
    1        a  19754     4.0      1
    2        b  19727     7.0      1
    """

    log: nw.LazyFrame[Any]
    first: dt.date
    last: dt.date
    n_rows: int
    returns: Returns = "error"
    keep: tuple[str, ...] = ()
    has_amount: bool = False
    has_market: bool = False

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        customer: str,
        date: str,
        amount: str | None = None,
        market: str | None = None,
        keep: Iterable[str] = (),
        returns: Returns = "error",
    ) -> Transactions:
        """Check a log with one row for each purchase, or each line of one.

        Parameters
        ----------
        frame
            pandas, Polars (eager or lazy), PyArrow, a DuckDB relation, a Spark DataFrame, or
            another frame that Narwhals knows. It is read twice: once for the checks, once for
            each reduction; rows never leave the engine.
        customer
            Column of whole numbers or text.
        date
            Column of dates, datetimes or ISO text. The day is the one on the clock of the
            column's own time zone (in DuckDB and Spark, of the session's); the time is left off.
        amount
            Column of money; None if there is none.
        market
            Column of labels; None if there is none.
        keep
            Further columns, kept unchecked under their own names.
        returns
            What negative amounts are: ``"error"`` refuses them; ``"drop"`` leaves those rows out,
            so that the purchase which was returned still counts; ``"net"`` sums them with the
            customer's other rows of the day, and days whose sum isn't above 0 are no purchases.

        Raises
        ------
        DataError
            With every problem found: missing or blank values, dates that aren't any, mixed time
            zones, dates in the future, negative, infinite or non-numeric amounts, no rows.
        SpecError
            If `returns` is unknown, or needs amounts and there are none.
        """
        _check_returns(returns, amount)
        problems = Problems()
        columns = log_columns(customer, date, amount, market, tuple(keep), problems)
        opened, columns = open_columns(frame, columns, problems)
        problems.raise_if_any()
        if opened is None:  # every reason for this is a problem, raised above
            raise DataError("The log is no frame.")
        selected = opened.select(*dict.fromkeys(column.name for column in columns.values()))
        selected = readable(selected, columns, problems)
        problems.raise_if_any()
        found = check_log(selected, columns, problems, negative=returns == "error")
        problems.raise_if_any()
        log = prepared(selected, columns)
        if returns == "drop":
            log = log.filter(nw.col(AMOUNT) >= 0)
        first, last = to_date(found.first), to_date(found.last)
        return cls(
            log,
            first,
            last,
            found.rows,
            returns,
            tuple(keep),
            amount is not None,
            market is not None,
        )

    def __repr__(self) -> str:
        """Return rows and dates in one line."""
        return f"Transactions({self.n_rows:,} rows, {self.first} to {self.last})"

    def between(self, start: Bound | None = None, end: Bound | None = None) -> nw.LazyFrame[Any]:
        """Return the rows of the log from `start` to `end`, both included, lazy."""
        log = self.log
        if start is not None:
            log = log.filter(nw.col(DAY) >= day_number(start, "start"))
        if end is not None:
            log = log.filter(nw.col(DAY) <= day_number(end, "end"))
        return log

    def purchase_days(
        self, start: Bound | None = None, end: Bound | None = None
    ) -> nw.LazyFrame[Any]:
        """Return one row for each customer and day of purchase, lazy.

        Rows of the same day are one purchase.

        Parameters
        ----------
        start, end
            Days from and to which purchases count, both included; None leaves that side open.

        Returns
        -------
        LazyFrame
            `customer`, `day`, `amount` (summed) if there is one, `lines` (rows of that day).
        """
        sums = [nw.col(AMOUNT).sum()] if self.has_amount else []
        days = self.between(start, end).group_by(CUSTOMER, DAY).agg(*sums, lines=nw.len())
        return days.filter(nw.col(AMOUNT) > 0) if self.returns == "net" else days

    def first_days(self, end: Bound | None = None) -> nw.LazyFrame[Any]:
        """Return each customer's first day of purchase up to `end`: `customer`, `first_day`."""
        days = self.purchase_days(end=end)
        return days.group_by(CUSTOMER).agg(nw.col(DAY).min().alias(FIRST_DAY))

    def first_values(self, columns: Iterable[str], end: Bound | None = None) -> nw.LazyFrame[Any]:
        """Return what columns held on each customer's first day of purchase, lazy.

        That of several values of a day which sorts first is taken. Later values aren't looked at:
        what is known of a customer at the start can't leak what they did afterwards.

        Parameters
        ----------
        columns
            ``"market"`` or names in `keep`.
        end
            As for `first_days`.

        Returns
        -------
        LazyFrame
            `customer`, `first_day` and the columns; one row for each customer.
        """
        wanted = tuple(columns)
        known = (*((MARKET,) if self.has_market else ()), *self.keep)
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise SpecError(f"The log was read without {unknown}; name them in keep= or market=.")
        first = self.first_days(end)
        rows = self.log.join(first, on=CUSTOMER, how="inner").filter(
            nw.col(DAY) == nw.col(FIRST_DAY)
        )
        return rows.group_by(CUSTOMER).agg(
            nw.col(FIRST_DAY).min(), *(nw.col(name).min() for name in wanted)
        )


def collect(lazy: nw.LazyFrame[Any], order: Iterable[str] = ()) -> pd.DataFrame:
    """Run a reduction on its engine and return the table; equal tables from every engine.

    Parameters
    ----------
    lazy
        A reduction. Everything in it comes back: reduce before.
    order
        Columns to sort by; engines return groups in any order.

    Returns
    -------
    DataFrame
        int64 for whole numbers, float64 for others, text as pandas keeps it.
    """
    table = lazy.collect()
    frame = pd.DataFrame({name: _plain(table[name]) for name in table.columns}, copy=False)
    keys = list(order)
    return frame.sort_values(keys, kind="stable", ignore_index=True) if keys else frame


def spark_session(cores: str = "*", **settings: str) -> Any:
    """Return a Spark session on this machine, or say what it lacks.

    Parameters
    ----------
    cores
        How many, or ``"*"`` for all.
    **settings
        Of Spark, with ``_`` for ``.``: ``spark_driver_memory="4g"``. The session's time zone is UTC
        unless ``spark_sql_session_timeZone`` says otherwise.

    Returns
    -------
    SparkSession
        Whose DataFrames `CustomerHistory.from_transactions` and the other readers take.

    Raises
    ------
    SpecError
        If PySpark isn't installed, or there is no Java of version 17 or later.
    """
    if find_spec("pyspark") is None:
        raise SpecError("Spark needs PySpark: pip install 'bayes-mkt[spark]'.")
    _check_java()
    options = {"spark_ui_enabled": "false", "spark_sql_session_timeZone": "UTC", **settings}
    builder = import_module("pyspark.sql").SparkSession.builder.master(f"local[{cores}]")
    for name, value in options.items():
        builder = builder.config(name.replace("_", "."), value)
    return builder.getOrCreate()


def _check_java() -> None:
    """Raise unless there is a Java that Spark can run on."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    where = f"in JAVA_HOME, {home}" if home else "on the path"
    remedy = f"Install Java {JAVA} or later (OpenJDK, say), or point JAVA_HOME to one."
    if java is None:
        raise SpecError(f"Spark needs Java {JAVA} or later, and there is none {where}. {remedy}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(?:1[.])?([0-9]+)', said.stderr + said.stdout)
    if found is not None and int(found[1]) < JAVA:
        raise SpecError(f"Spark needs Java {JAVA} or later; {where} is Java {found[1]}. {remedy}")


def log_columns(
    customer: str,
    date: str,
    amount: str | None,
    market: str | None,
    keep: tuple[str, ...],
    problems: Problems,
) -> Mapping[str, Column]:
    """Return the columns of a log by role; further columns by ``"keep:name"``."""
    shared = frozenset({CUSTOMER, DAY, AMOUNT, MARKET, *(f"keep:{name}" for name in keep)})
    columns = {
        CUSTOMER: Column(customer, "customer", "label", shares=shared),
        DAY: Column(date, "date", "datetime", shares=shared),
    }
    if amount is not None:
        columns[AMOUNT] = Column(amount, "amount", shares=shared)
    if market is not None:
        columns[MARKET] = Column(market, "market", "label", shares=shared)
    for name in keep:
        if name in OWN_NAMES:
            problems.add(
                f"column {name!r} can't be kept under that name, which the log uses itself. "
                f"Rename it before loading (reserved: {', '.join(OWN_NAMES)})."
            )
        else:
            columns[f"keep:{name}"] = Column(name, "column", "label", shares=shared)
    return columns


def _check_returns(returns: str, amount: str | None) -> None:
    """Raise unless the policy is known and has amounts to work on."""
    if returns not in get_args(Returns):
        raise SpecError(f"returns={returns!r} must be one of {', '.join(get_args(Returns))}.")
    if returns != "error" and amount is None:
        raise SpecError(f"returns={returns!r} needs amount=, the column in which returns show.")


def _plain(series: nw.Series[Any]) -> np.ndarray:
    """Return a column in one of three types, whatever the engine calls them."""
    dtype = series.dtype
    if dtype.is_integer():
        return np.asarray(series.cast(nw.Int64).to_numpy(), dtype=np.int64)
    if dtype.is_numeric():
        return np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
    return np.asarray(series.to_numpy(), dtype=object)
