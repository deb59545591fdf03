"""Who was in a randomised campaign, what each got, whether they bought and what they spent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.dims import ARM, CUSTOMER, FEATURE
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Problems, counted, listed, read_columns
from bayes_mkt.targeting.columns import arms_of, campaign_columns, check_values
from bayes_mkt.targeting.encoding import Encoding, feature_column, kinds_of
from bayes_mkt.targeting.ratio import check_shares, refuse_mismatch

__all__ = ["Campaign", "Split"]

Array = NDArray[Any]
OUTCOME = "outcome"
BOUGHT = "bought"


class Split(NamedTuple):
    """Two campaigns of disjoint customers, read alike: one to fit, one to judge the fit by."""

    train: Campaign
    test: Campaign


@dataclass(frozen=True, eq=False, repr=False)
class Campaign:
    """Customers of a randomised campaign: features, arm, outcomes, revenue.

    Parameters
    ----------
    data
        Variables `assignment` (customer): index of the arm; `response` (customer, outcome): 0 or
        1; `code` (customer, feature): see `encoding`; if given, `revenue` (customer) and
        `segment` (customer), an index of `segment_name`. The first arm is the control.
    encoding
        How features became codes.
    shares
        Share of customers that the design gave to each arm; None if not stated.
    currency
        Of revenue.

    Notes
    -----
    Customers must have been assigned to arms at random, each with the arm's share whatever the
    customer's features, features measured before the campaign, and one customer's arm must not
    affect another's outcome.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"mailed": [0, 1] * 50, "bought": [0, 0, 0, 1] * 25,
    ...                       "recency": [1, 2, 3, 4, 5] * 20})
    >>> Campaign.from_frame(frame, treated="mailed", outcome="bought", features=["recency"])
    Campaign(100 customers: 50 '0' (control), 50 '1'; bought; 1 feature, 5 cells)
    """

    data: xr.Dataset
    encoding: Encoding
    shares: Mapping[str, float] | None = None
    currency: str | None = None

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        treated: str,
        outcome: str | Iterable[str],
        revenue: str | None = None,
        features: Iterable[str] = (),
        linear: Iterable[str] = (),
        segment: str | None = None,
        customer: str | None = None,
        control: str | None = None,
        shares: Mapping[str, float] | None = None,
        bins: int = 10,
        currency: str | None = None,
        like: Campaign | None = None,
    ) -> Campaign:
        """Read a campaign from a frame with one row for each customer.

        Parameters
        ----------
        frame
            pandas, Polars, PyArrow, DuckDB, or another frame that Narwhals knows.
        treated
            Column of arms: 0 and 1, or labels of two or more arms.
        outcome
            Column (or columns) of 0 and 1: visited, bought, ...
        revenue
            Column of revenue in the outcome window, >= 0. If no outcome says where it is
            positive, the outcome `"bought"` is added.
        features
            Columns known before the campaign. Numbers with more than `bins` values are cut at
            their quantiles; text and numbers with few values are kept as they are. A missing
            value is a level of its own.
        linear
            Those of the features, numbers, whose effect on the log-odds is taken to be linear: one
            column each, by the means of 64 bins, in place of one for each bin. For many features
            of many customers.
        segment
            Column of the segments in present use, for `compare_targeting`.
        customer
            Column of customer names, each once; None numbers the rows.
        control
            Label of the control arm; None takes `"0"`, or `"control"`.
        shares
            Arm -> share of customers that the design assigned, such as ``{"0": 0.5, "1": 0.5}``;
            the counts are then held against them.
        bins
            Of numbers.
        currency
            Name of the currency, such as ``"EUR"``.
        like
            An earlier campaign, whose features, bins and order of arms are taken: give its
            `features` again, or none.

        Raises
        ------
        DataError
            With every problem found. Counts that are too unlikely under `shares` (p < 0.0001, a
            sample-ratio mismatch) are one: effects from such data can't be relied on.
        """
        problems = Problems()
        outcomes = (outcome,) if isinstance(outcome, str) else tuple(outcome)
        names = tuple(features) or (like.encoding.names if like is not None else ())
        straight = tuple(linear)
        for role, given in (("outcome", outcomes), ("features", names), ("linear", straight)):
            if len(set(given)) < len(given):
                problems.add(f"{role}={given!r} names a column twice.")
        if not outcomes:
            problems.add("outcome names no column. Give at least one column of 0 and 1.")
        problems.raise_if_any()
        try:
            kinds = kinds_of(frame, names)
        except (TypeError, ValueError):  # no frame, or one with equal names: `read_columns` says so
            kinds = dict.fromkeys(names, "label")
        labels = [repr(n) for n in straight if kinds.get(n) != "number"]
        if labels:
            problems.add(f"linear names {listed(labels)}: not among the features that are numbers.")
        columns = campaign_columns(treated, outcomes, revenue, segment, customer)
        columns |= {f"feature:{name}": feature_column(name, kinds[name]) for name in names}
        values = read_columns(frame, columns, problems)
        arms = arms_of(values, control, problems)
        check_values(values, outcomes, problems)
        problems.raise_if_any()
        if like is None:
            table = {name: values[f"feature:{name}"] for name in names}
            encoding = Encoding.of(table, bins, straight)
        else:
            encoding, arms = like.encoding, _same(like, names, arms)
            encoding.encode({name: values[f"feature:{name}"] for name in names}, problems)
            problems.raise_if_any()
        data = _dataset(values, arms, outcomes, encoding, revenue)
        check_shares(shares, arms)
        campaign = cls(data, encoding, shares, currency)
        refuse_mismatch(campaign)
        return campaign

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Campaign:
        """Return the campaign that `to_dataset` stored."""
        attrs = dict(dataset.attrs)
        shares = json.loads(attrs.get("shares", "null"))
        encoding = Encoding.from_json(attrs["encoding"])
        kept = dataset.assign_coords(
            {d: dataset[d].astype(object) for d in dataset.coords if dataset[d].dtype.kind in "OU"}
        )
        kept.attrs = {}
        return cls(kept, encoding, shares, attrs.get("currency"))

    def to_dataset(self) -> xr.Dataset:
        """Return the campaign as one dataset that netCDF can hold."""
        attrs = {"encoding": self.encoding.to_json(), "shares": json.dumps(self.shares)}
        if self.currency is not None:
            attrs["currency"] = self.currency
        return self.data.assign_attrs(attrs)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, the control first."""
        return tuple(str(a) for a in self.data[ARM].to_numpy())

    @property
    def treatments(self) -> tuple[str, ...]:
        """Names of the arms other than the control."""
        return self.arms[1:]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the outcomes."""
        return tuple(str(o) for o in self.data[OUTCOME].to_numpy())

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return int(self.data.sizes[CUSTOMER])

    @property
    def counts(self) -> Array:
        """Customers of each arm (arm,)."""
        counts = np.bincount(self.data["assignment"].to_numpy(), minlength=len(self.arms))
        return np.asarray(counts)

    @property
    def propensity(self) -> Array:
        """Share of customers assigned to each arm (arm,): as designed if stated, else counted."""
        if self.shares is not None:
            given = np.array([self.shares[arm] for arm in self.arms], dtype=float)
            return np.asarray(given / given.sum())
        return np.asarray(self.counts / self.n_customers)

    @property
    def purchase(self) -> str | None:
        """The outcome that says where revenue is positive; None without revenue."""
        if "revenue" not in self.data:
            return None
        positive = self.data["revenue"].to_numpy() > 0
        for j, name in enumerate(self.outcomes):
            if np.array_equal(self.data["response"].to_numpy()[:, j] > 0, positive):
                return name
        raise DataError("No outcome says where revenue is positive. Use Campaign.from_frame.")

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the segments in present use; empty if none were given."""
        if "segment_name" not in self.data.coords:
            return ()
        return tuple(str(s) for s in self.data["segment_name"].to_numpy())

    def values(self, outcome: str) -> Array:
        """Return an outcome, or ``"revenue"``, of each customer as float64 (n,)."""
        if outcome == "revenue" and "revenue" in self.data:
            return np.asarray(self.data["revenue"].to_numpy(), dtype=np.float64)
        if outcome not in self.outcomes:
            known = [*self.outcomes, *(["revenue"] if "revenue" in self.data else [])]
            raise SpecError(f"outcome={outcome!r}: the campaign has {listed(map(repr, known), 9)}.")
        column = self.data["response"].to_numpy()[:, self.outcomes.index(outcome)]
        return np.asarray(column, dtype=np.float64)

    def take(self, rows: Array) -> Campaign:
        """Return the campaign with these customers only (positions, or a mask)."""
        chosen = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows)
        return Campaign(
            self.data.isel({CUSTOMER: chosen}), self.encoding, self.shares, self.currency
        )

    def split(self, share: float = 0.5, *, seed: int) -> Split:
        """Return two campaigns: `train` with `share` of each arm's customers, `test` with the rest.

        Customers are drawn at random within arms.

        Raises
        ------
        SpecError
            If `share` leaves an arm without customers on either side.
        """
        if not 0 < share < 1:
            raise SpecError(f"share={share!r} must lie between 0 and 1.")
        rng = seeds.generator(seed, "split")
        assignment = self.data["assignment"].to_numpy()
        first = np.zeros(self.n_customers, dtype=bool)
        for a, arm in enumerate(self.arms):
            rows = rng.permutation(np.flatnonzero(assignment == a))
            count = round(share * len(rows))
            if not 0 < count < len(rows):
                raise SpecError(
                    f"share={share!r} leaves one side without customers of arm {arm!r}, which has "
                    f"{len(rows)}. Use a share nearer to one half."
                )
            first[rows[:count]] = True
        return Split(self.take(first), self.take(~first))

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same numbers under the same names."""
        if not isinstance(other, Campaign):
            return NotImplemented
        same = (self.encoding, self.shares, self.currency) == (
            other.encoding,
            other.shares,
            other.currency,
        )
        return same and bool(self.data.equals(other.data))

    def __hash__(self) -> int:
        """Return a hash that equal campaigns share."""
        return hash((self.arms, self.outcomes, self.encoding, tuple(self.counts.tolist())))

    def __repr__(self) -> str:
        """Return sizes in one line."""
        counts = [f"{n:,} {arm!r}" for n, arm in zip(self.counts, self.arms, strict=True)]
        counts[0] += " (control)"
        cells = len(np.unique(self.encoding.cell(self.data["code"].to_numpy())))
        what = ", ".join([*self.outcomes, *(["revenue"] if "revenue" in self.data else [])])
        return (
            f"Campaign({counted(self.n_customers, 'customer')}: {', '.join(counts)}; {what}; "
            f"{counted(len(self.encoding.features), 'feature')}, {counted(cells, 'cell')})"
        )


def _same(like: Campaign, names: tuple[str, ...], arms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arms in the earlier campaign's order."""
    if names != like.encoding.names or set(arms) != set(like.arms):
        raise SpecError(
            f"like: the earlier campaign has features {list(like.encoding.names)} and arms "
            f"{list(like.arms)}; this one {list(names)} and {list(arms)}."
        )
    return like.arms


def _dataset(
    values: Mapping[str, Array],
    arms: tuple[str, ...],
    outcomes: tuple[str, ...],
    encoding: Encoding,
    revenue: str | None,
) -> xr.Dataset:
    """Lay the columns out over customers."""
    n = len(values["treated"])
    features = {name: values[f"feature:{name}"] for name in encoding.names}
    codes = encoding.encode(features, Problems()) if features else np.zeros((n, 0), np.int16)
    position = {arm: i for i, arm in enumerate(arms)}
    assignment = np.array([position[str(arm)] for arm in values["treated"]], dtype=np.int16)
    response = [values[f"outcome:{name}"] for name in outcomes]
    named = list(outcomes)
    variables: dict[str, Any] = {}
    if revenue is not None:
        positive = (values["revenue"] > 0).astype(float)
        if not any(np.array_equal(positive, r) for r in response):
            response.append(positive)
            named.append(BOUGHT if BOUGHT not in named else f"{revenue} > 0")
        variables["revenue"] = (CUSTOMER, values["revenue"], {"units": "currency"})
    coords: dict[str, Any] = {
        CUSTOMER: values.get("customer", np.arange(n)),
        ARM: np.array(arms, dtype=object),
        OUTCOME: np.array(named, dtype=object),
        FEATURE: np.array(encoding.names, dtype=object),
    }
    if "segment" in values:
        names, index = np.unique(values["segment"], return_inverse=True)
        coords["segment_name"] = names
        variables["segment"] = (CUSTOMER, index.astype(np.int32), {"units": "1"})
    variables |= {
        "assignment": (CUSTOMER, assignment, {"units": "1"}),
        "response": ((CUSTOMER, OUTCOME), np.stack(response, 1).astype(np.int8), {"units": "1"}),
        "code": ((CUSTOMER, FEATURE), codes, {"units": "1"}),
    }
    return xr.Dataset(variables, coords=coords)
