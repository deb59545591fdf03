"""What each customer bought, when, of which product; and what is known of the products."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.days import Bound, day_number, to_date
from bayes_mkt.dims import CUSTOMER, PRODUCT
from bayes_mkt.errors import SpecError
from bayes_mkt.frames import Column, Problems, counted, listed, read_columns
from bayes_mkt.targeting.encoding import MISSING, kinds_of
from bayes_mkt.targeting.events import EVENT, read_events
from bayes_mkt.transactions import AMOUNT, DAY, Returns, Transactions, collect

__all__ = ["PurchaseLog"]

Array = NDArray[Any]
LINE = "line"
LEVEL = "level"
ATTRIBUTE = "attribute"


@dataclass(frozen=True, eq=False, repr=False)
class PurchaseLog:
    """Purchases by customer, day and product, and the catalogue of products.

    Parameters
    ----------
    data
        Variables over `line`, one for each customer, day and product: `buyer` (index of
        `customer`), `day` (since 1970-01-01), `item` (index of `product`), `amount`. Over
        `product`: `group` (product, level), the names of the groups that a product is in, from
        coarse to fine; `attribute_value` (product, attribute). attrs hold the last day, `end`. With
        browsing events, over `event`, one for each customer, day, place and kind: `visitor` (index
        of `customer`), `visit_day`, `place` (index of the products, or of the sorted groups of the
        level in attrs' `event_level`), `visit_kind` (index of `kind`), `visits`, their number.
    currency
        Of amounts.

    Examples
    --------
    >>> lines = pd.DataFrame({"who": ["a", "a", "b"], "what": ["tea", "jam", "tea"],
    ...     "on": ["2024-01-03", "2024-02-01", "2024-01-05"], "paid": [5.0, 4.0, 7.0]})
    >>> PurchaseLog.from_frame(lines, customer="who", date="on", product="what", amount="paid")
    PurchaseLog(3 lines: 2 customers, 2 products, 2024-01-03 to 2024-02-01)
    """

    data: xr.Dataset
    currency: str | None = None

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        customer: str,
        date: str,
        product: str,
        amount: str,
        catalogue: object | None = None,
        levels: Iterable[str] = (),
        attributes: Iterable[str] = (),
        returns: Returns = "error",
        end: Bound | None = None,
        currency: str | None = None,
        events: object | None = None,
        event_of: str | None = None,
        event_kind: str | None = None,
    ) -> PurchaseLog:
        """Read a log with one row for each line of a purchase.

        Rows are checked, and summed by customer, day and product, on the frame's own engine.

        Parameters
        ----------
        frame
            pandas, Polars, PyArrow, DuckDB, Spark, or another frame that Narwhals knows.
        customer, date, product, amount
            Columns; amounts are money.
        catalogue
            A frame with the column `product`, once each, `levels` and `attributes`.
        levels
            Columns of the catalogue that group products, from coarse to fine, such as
            ``["department", "category"]``.
        attributes
            Columns of the catalogue that describe products: numbers, or labels with few values.
        returns
            What negative amounts are; see `Transactions.from_frame`.
        end
            Last day that the log covers; None takes that of the last line.
        currency
            Such as ``"EUR"``.
        events
            A frame of browsing events, one row for each: views, carts, searches. Customers and
            dates are in columns named as in `frame`. Those of customers who never bought, and
            those after the log's end, are left out.
        event_of
            Its column of what was looked at: `product`, or one of `levels` for pages of groups;
            None takes `product`.
        event_kind
            Its column of kinds, such as ``"view"`` and ``"cart"``; None takes all for one.

        Raises
        ------
        DataError
            With every problem found, among them products that the catalogue lacks.
        """
        log = Transactions.from_frame(
            frame, customer=customer, date=date, amount=amount, keep=(product,), returns=returns
        )
        keys = [CUSTOMER, DAY, product]
        sums = log.between(None, end).group_by(*keys).agg(nw.col(AMOUNT).sum())
        table = collect(sums.filter(nw.col(AMOUNT) > 0), order=keys)
        buyer, customers = _index(table[CUSTOMER])
        item, sold = _index(table[product])
        last = day_number(log.last if end is None else end, "end")
        if len(table) == 0 or last < int(table[DAY].max()):
            raise SpecError(f"end={end!r}: no purchase lies before it. The log begins {log.first}.")
        products, names, codes, values = _catalogue(
            catalogue, product, tuple(levels), tuple(attributes), sold
        )
        if catalogue is not None:
            item = np.searchsorted(products, sold)[item]
        data = xr.Dataset(
            {
                "buyer": (LINE, buyer.astype(np.int32)),
                "day": (LINE, table[DAY].to_numpy(np.int32)),
                "item": (LINE, item.astype(np.int32)),
                "amount": (LINE, table[AMOUNT].to_numpy(float)),
                "group": ((PRODUCT, LEVEL), codes),
                "attribute_value": ((PRODUCT, ATTRIBUTE), values),
            },
            coords={
                CUSTOMER: customers,
                PRODUCT: products,
                LEVEL: np.array(tuple(levels), dtype=object),
                ATTRIBUTE: np.array(names, dtype=object),
            },
            attrs={"end": last},
        )
        bought = cls(data, currency)
        return _with_events(bought, events, customer, date, product, event_of, event_kind)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> PurchaseLog:
        """Return the log that `to_dataset` stored."""
        attrs = dict(dataset.attrs)
        currency = attrs.pop("currency", None)
        text = {n: v.astype(object) for n, v in dataset.variables.items() if v.dtype.kind in "OUT"}
        names = {n: text.pop(n) for n in list(text) if n in dataset.coords}
        kept = dataset.assign(text).assign_coords(names)
        kept.attrs = {"end": int(attrs["end"])}
        if "event_level" in attrs:
            kept.attrs["event_level"] = str(attrs["event_level"])
        return cls(kept, currency)

    def to_dataset(self) -> xr.Dataset:
        """Return the log as one dataset that netCDF can hold."""
        return self.data.assign_attrs({} if self.currency is None else {"currency": self.currency})

    @property
    def customers(self) -> Array:
        """Names of the customers."""
        return np.asarray(self.data[CUSTOMER].to_numpy())

    @property
    def products(self) -> Array:
        """Names of the products: those of the catalogue, sold or not, or those of the log."""
        return np.asarray(self.data[PRODUCT].to_numpy())

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the catalogue's levels, from coarse to fine."""
        return tuple(str(level) for level in self.data[LEVEL].to_numpy())

    @property
    def end(self) -> int:
        """The last day that the log covers, counted from 1970-01-01."""
        return int(self.data.attrs["end"])

    def until(self, end: Bound) -> PurchaseLog:
        """Return the log as it stood at the close of a day."""
        last = day_number(end, "end")
        rows = self.data["day"].to_numpy() <= last
        if not rows.any():
            raise SpecError(f"end={end!r}: no purchase lies before it.")
        kept = self.data.isel({LINE: np.flatnonzero(rows)}).assign_attrs(end=last)
        if EVENT in kept.dims:
            kept = kept.isel({EVENT: np.flatnonzero(kept["visit_day"].to_numpy() <= last)})
        return PurchaseLog(kept, self.currency)

    def groups(self, level: str | None = None) -> dict[str, Array]:
        """Return the products of each group of a level, as positions; None takes the finest.

        Without a catalogue each product is a group.
        """
        if not self.levels and level is None:
            return {str(p): np.array([i]) for i, p in enumerate(self.products)}
        level = self.levels[-1] if level is None else level
        if level == PRODUCT:
            return {str(p): np.array([i]) for i, p in enumerate(self.products)}
        if level not in self.levels:
            known = [*self.levels, PRODUCT]
            raise SpecError(f"level={level!r}: the catalogue has {listed(map(repr, known), 9)}.")
        names = self.data["group"].to_numpy()[:, self.levels.index(level)]
        found, index = np.unique(names, return_inverse=True)
        order = np.argsort(index, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(index))[:-1])
        return {str(name): part for name, part in zip(found, parts, strict=True)}

    def parent_level(self, level: str | None = None) -> int | None:
        """Return the position of the catalogue's level above that of sets, or None."""
        finest = len(self.levels) - 1
        own = finest if level is None else (*self.levels, PRODUCT).index(level)
        return own - 1 if own > 0 else None

    def parent_name(self, items: Array, level: int) -> str:
        """Return the group that most of some products, by position, are in."""
        groups = self.data["group"].to_numpy()[items, level]
        found, counts = np.unique(groups, return_counts=True)
        return str(found[counts.argmax()])

    def positions(self, products: Iterable[object]) -> Array:
        """Return the positions of products by name.

        Raises
        ------
        SpecError
            If one is in neither the log nor the catalogue.
        """
        known = {str(name): i for i, name in enumerate(self.products)}
        asked = [str(p) for p in products]
        unknown = [repr(p) for p in asked if p not in known]
        if unknown or not asked:
            raise SpecError(
                f"products: {listed(unknown) or 'none named'}; not in the log or its catalogue."
            )
        return np.array(sorted({known[p] for p in asked}))

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same purchases and catalogue."""
        if not isinstance(other, PurchaseLog):
            return NotImplemented
        return self.currency == other.currency and bool(self.data.identical(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal logs share."""
        return hash((self.data.sizes[LINE], self.end, float(self.data["amount"].sum())))

    def __repr__(self) -> str:
        """Return sizes and dates in one line."""
        first, last = (to_date(day) for day in (int(self.data["day"].min()), self.end))
        who = counted(len(self.customers), "customer")
        what = counted(len(self.products), "product")
        lines = counted(self.data.sizes[LINE], "line")
        seen = int(self.data["visits"].sum()) if EVENT in self.data.dims else 0
        events = f"; {counted(seen, 'event')}" if EVENT in self.data.dims else ""
        return f"PurchaseLog({lines}: {who}, {what}, {first} to {last}{events})"


def _with_events(
    log: PurchaseLog,
    events: object | None,
    customer: str,
    date: str,
    product: str,
    of: str | None,
    kind: str | None,
) -> PurchaseLog:
    """Return the log with its browsing events, if there are any."""
    if events is None:
        if of is not None or kind is not None:
            raise SpecError("event_of and event_kind are columns of events; none were given.")
        return log
    known = (product, *log.levels)
    if of is not None and of not in known:
        raise SpecError(f"event_of={of!r}: choose {listed(map(repr, known), 9)}.")
    column = of or product
    level = PRODUCT if column == product else column
    data = read_events(events, log, customer=customer, date=date, of=column, kind=kind, level=level)
    return PurchaseLog(data, log.currency)


def _index(column: pd.Series[Any]) -> tuple[Array, Array]:
    """Return the position of each value among the sorted distinct ones, and those as text."""
    found, index = np.unique(column.to_numpy(), return_inverse=True)
    return index, np.array([str(v) for v in found], dtype=object)


def _catalogue(
    catalogue: object | None,
    product: str,
    levels: tuple[str, ...],
    attributes: tuple[str, ...],
    sold: Array,
) -> tuple[Array, list[str], Array, Array]:
    """Return products, names of attributes, groups (product, level), values (product, attribute).

    The products are those of the catalogue, sorted; without one, those sold.
    """
    if catalogue is None:
        if levels or attributes:
            raise SpecError("levels and attributes are columns of a catalogue; none was given.")
        return sold, [], np.zeros((len(sold), 0), dtype=object), np.zeros((len(sold), 0))
    problems = Problems()
    kinds = kinds_of(catalogue, attributes)
    columns = {"product": Column(product, "product", "label", locates=True)}
    for name in levels:
        columns[f"level:{name}"] = Column(name, "level", "label", part=repr(name), missing="keep")
    for name in attributes:
        columns[f"attribute:{name}"] = Column(
            name, "attribute", kinds[name], part=repr(name), missing="keep"
        )
    values = read_columns(catalogue, columns, problems)
    problems.raise_if_any()
    names = values["product"]
    if len(set(names)) < len(names):
        problems.add("product stands in more than one row of the catalogue. Give one row for each.")
    known = set(names)
    lacking = [repr(p) for p in sold if p not in known]
    if lacking:
        problems.add(
            f"The catalogue lacks {counted(len(lacking), 'product')} of the log: "
            f"{listed(lacking)}. Add them, with empty levels and attributes where nothing is known."
        )
    problems.raise_if_any()
    rows = np.argsort(names)
    groups = [np.where(values[f"level:{n}"] == "", MISSING, values[f"level:{n}"]) for n in levels]
    codes = np.stack(groups, 1)[rows] if groups else np.zeros((len(rows), 0), dtype=object)
    columns_of: dict[str, Array] = {}
    for name in attributes:
        columns_of |= _numeric(name, values[f"attribute:{name}"][rows])
    stacked = np.stack(list(columns_of.values()), 1) if columns_of else np.zeros((len(rows), 0))
    return names[rows], list(columns_of), codes, stacked


def _numeric(name: str, values: Array) -> dict[str, Array]:
    """Return an attribute as columns of numbers; missing numbers take the mean."""
    if values.dtype.kind == "f":
        mean = np.nanmean(values) if np.isfinite(values).any() else 0.0
        return {name: np.where(np.isnan(values), mean, values)}
    labels = np.unique(values)
    return {f"{name}={label or MISSING}": (values == label).astype(float) for label in labels[1:]}
