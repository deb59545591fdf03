"""Many campaigns, many customers: who gets which, under caps, exclusions and budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from bayes_mkt.days import day_number
from bayes_mkt.dims import CAMPAIGN, CUSTOMER, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit
from bayes_mkt.targeting.gains import PlannedCampaign, campaign_gains
from bayes_mkt.targeting.periods import days_of, windows_of

__all__ = ["plan_campaigns"]

Array = NDArray[Any]
MARKS = ("approximation", "unconverged", "seed")


def plan_campaigns(
    gain: xr.DataArray | Fit,
    campaigns: Sequence[PlannedCampaign],
    *,
    max_contacts: int,
    per: str = "7D",
    budget: float | None = None,
    opt_out_risk: float | xr.DataArray = 0.0,
    opt_out_loss: float | xr.DataArray = 0.0,
    eligible: xr.DataArray | None = None,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return which customers get which campaigns, the value of that, and what the cap costs.

    With g_ic the expected gain of sending campaign c to customer i, z_ic in [0, 1],

        maximise sum_ic z_ic (g_ic - cost_c - opt_out_risk_i opt_out_loss_i)
        subject to, for each customer, sum of z over campaigns within any `per` <= max_contacts,
        z_ic + z_id <= 1 where c excludes d, sum_i cost_c z_ic <= budget_c, and in total <= budget.

    HiGHS solves the linear program. Shares of customers that it leaves (few: without exclusions
    each budget that binds leaves at most one or two) are settled by keeping the whole contacts and
    adding, from the largest down, what still fits.

    Parameters
    ----------
    gain
        Margin that a contact adds, in currency, dims ``customer, campaign`` and, for intervals,
        ``chain, draw``; of a randomised campaign, `uplift` times margin. Or a fitted `Propensity`:
        gains are those of `campaign_gains`.
    campaigns
        In any order; their names are labels of `gain`.
    max_contacts
        Contacts of a customer within `per`.
    per
        A number of days, such as ``"7D"``.
    budget
        Of all campaigns together; None for no bound.
    opt_out_risk
        Probability that a contact makes the customer opt out; one for all, or by customer.
    opt_out_loss
        What is lost if they do, such as their lifetime value; one for all, or by customer.
    eligible
        Whether a customer may get a campaign, (customer, campaign); None allows all.
    allow_unconverged
        For a fit: whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `send` (customer, campaign), 0 or 1; `value` (``chain, draw``, where `gain` has draws), the
        total net gain of the plan; `contacts` and `spent` (campaign); `cap_price`, what raising
        `max_contacts` by one would add, and `budget_price` (campaign) and `total_budget_price`,
        what one more unit of budget would. attrs `bound`, the program's optimum, which no plan can
        exceed, and `planned`, the plan's expected value.

    Raises
    ------
    SpecError
        If names don't match, a number is out of range, or the program has no solution.

    Notes
    -----
    Gains of several campaigns add up: that a customer who bought because of one will not because
    of the next is for exclusions and the cap to say. Intervals are those of the plan as it is; a
    plan picked for its high expected gains is worth a little less than it seems wherever gains are
    noisy and not shrunk.

    References
    ----------
    Huangfu, Hall (2018), Parallelizing the dual revised simplex method.
    """
    if isinstance(gain, Fit):
        gain = campaign_gains(gain, campaigns, allow_unconverged=allow_unconverged)
    problem = _problem(gain, campaigns, opt_out_risk, opt_out_loss, eligible)
    if max_contacts < 1:
        raise SpecError(f"max_contacts={max_contacts!r} must be at least 1.")
    if budget is not None and budget < 0:
        raise SpecError(f"budget={budget!r} must be >= 0.")
    spans = windows_of(problem.days, days_of(per))
    rows = _constraints(problem, spans, max_contacts, budget)
    solved = _solve(problem, rows)
    send = _whole(problem, rows, solved.x)
    raised = _solve(problem, _constraints(problem, spans, max_contacts + 1, budget))
    prices = -solved.ineqlin.marginals if len(rows.bound) else np.zeros(0)
    return _answer(gain, problem, rows, send, prices, -solved.fun, solved.fun - raised.fun)


@dataclass(frozen=True)
class _Problem:
    """The pairs of customer and campaign that are worth a contact, and what each brings."""

    names: tuple[str, ...]
    days: Array
    cost: Array
    budget: list[float | None]
    excludes: list[tuple[int, int]]
    loss: Array
    net: Array
    customer: Array
    campaign: Array

    @property
    def value(self) -> Array:
        """Net gain of each pair (pair,)."""
        return np.asarray(self.net[self.customer, self.campaign])


@dataclass(frozen=True)
class _Rows:
    """Inequalities matrix @ z <= bound, and which rows are budgets."""

    matrix: sparse.csr_array
    bound: Array
    budget_of: dict[int, int]
    total: int | None


def _problem(
    gain: xr.DataArray,
    campaigns: Sequence[PlannedCampaign],
    risk: float | xr.DataArray,
    loss: float | xr.DataArray,
    eligible: xr.DataArray | None,
) -> _Problem:
    names = tuple(c.name for c in campaigns)
    given = [str(c) for c in gain[CAMPAIGN].to_numpy()] if CAMPAIGN in gain.coords else []
    if len(set(names)) < len(names) or set(names) != set(given) or CUSTOMER not in gain.dims:
        raise SpecError(
            f"gain must have dims customer, campaign, and the campaigns {list(names)}, each once; "
            f"it has {list(gain.dims)} and {given}."
        )
    mean = gain.mean([d for d in SAMPLE if d in gain.dims]).sel({CAMPAIGN: list(names)})
    each = mean.transpose(CUSTOMER, CAMPAIGN).to_numpy().astype(float)
    if not np.isfinite(each).all():
        raise SpecError("gain has values that aren't finite. Give 0 where there is none.")
    lost = np.zeros(len(each)) + _by_customer(risk, gain) * _by_customer(loss, gain)
    if (lost < 0).any():
        raise SpecError("opt_out_risk and opt_out_loss must be >= 0.")
    cost = np.array([c.cost for c in campaigns])
    net = each - cost - lost[:, None]
    allowed = net > 0
    if eligible is not None:
        allowed &= eligible.sel({CAMPAIGN: list(names)}).transpose(CUSTOMER, CAMPAIGN).to_numpy()
    unknown = sorted({e for c in campaigns for e in c.excludes} - set(names))
    if unknown:
        raise SpecError(f"excludes names {unknown}; the campaigns are {list(names)}.")
    pairs = {tuple(sorted((names.index(c.name), names.index(e)))) for c in campaigns
             for e in c.excludes if e != c.name}  # fmt: skip
    customer, campaign = np.nonzero(allowed)
    days = np.array([day_number(c.date, "date") for c in campaigns])
    budgets = [c.budget for c in campaigns]
    excludes = [(a, b) for a, b in sorted(pairs)]
    return _Problem(names, days, cost, budgets, excludes, lost, net, customer, campaign)


def _by_customer(value: float | xr.DataArray, gain: xr.DataArray) -> Array:
    if not isinstance(value, xr.DataArray):
        return np.asarray(float(value))
    if value.dims != (CUSTOMER,) or value.sizes[CUSTOMER] != gain.sizes[CUSTOMER]:
        raise SpecError("opt_out_risk and opt_out_loss must be numbers, or one for each customer.")
    return np.asarray(value.to_numpy(), dtype=float)


def _constraints(
    problem: _Problem, spans: list[Array], max_contacts: int, budget: float | None
) -> _Rows:
    """Return the inequalities over the pairs."""
    n = len(problem.net)
    pairs = len(problem.customer)
    column = np.arange(pairs)
    blocks, bounds = [], []

    def add(row: Array, inside: Array, weight: Array, count: int, bound: float) -> None:
        # Rows that too few pairs are in to bind are left out.
        matrix = sparse.csr_array((weight[inside], (row[inside], column[inside])), (count, pairs))
        binding = np.flatnonzero(matrix.sum(axis=1) > bound)
        blocks.append(matrix[binding])
        bounds.append(np.full(len(binding), float(bound)))

    ones = np.ones(pairs)
    for span in spans:
        add(problem.customer, np.isin(problem.campaign, span), ones, n, max_contacts)
    for pair in problem.excludes:
        add(problem.customer, np.isin(problem.campaign, pair), ones, n, 1)
    caps = sum(len(b) for b in bounds)
    price = problem.cost[problem.campaign]
    budget_of, zero = {}, np.zeros(pairs, dtype=int)
    for c, limit in enumerate(problem.budget):
        if limit is not None:
            before = len(bounds)
            add(zero, problem.campaign == c, price, 1, limit)
            if len(bounds[before]):
                budget_of[c] = caps
                caps += 1
    total = None
    if budget is not None:
        add(zero, np.ones(pairs, dtype=bool), price, 1, budget)
        total = caps if len(bounds[-1]) else None
    if not bounds:
        return _Rows(sparse.csr_array((0, pairs)), np.zeros(0), {}, None)
    return _Rows(sparse.vstack(blocks, format="csr"), np.concatenate(bounds), budget_of, total)


def _solve(problem: _Problem, rows: _Rows) -> Any:
    if not len(problem.customer):
        raise SpecError("No contact has a positive net gain: there is nothing to plan.")
    limits: dict[str, Any] = {}
    if len(rows.bound):
        limits = {"A_ub": rows.matrix, "b_ub": rows.bound}
    found: Any = linprog(-problem.value, bounds=(0, 1), method="highs", **limits)
    if found.status != 0:
        raise SpecError(f"HiGHS found no plan: {found.message}")
    return found


def _whole(problem: _Problem, rows: _Rows, share: Array) -> Array:
    """Return whole contacts (pair,) near a solution that may share some out."""
    send = share > 1 - 1e-6
    used = rows.matrix @ send.astype(float)
    partial = np.flatnonzero((share > 1e-6) & ~send)
    by_column = rows.matrix.tocsc()
    for pair in partial[np.argsort(-problem.value[partial], kind="stable")]:
        where = slice(by_column.indptr[pair], by_column.indptr[pair + 1])
        touched, weight = by_column.indices[where], by_column.data[where]
        if (used[touched] + weight <= rows.bound[touched] + 1e-9).all():
            send[pair] = True
            used[touched] += weight
    return np.asarray(send)


def _answer(
    gain: xr.DataArray,
    problem: _Problem,
    rows: _Rows,
    send: Array,
    prices: Array,
    bound: float,
    cap_price: float,
) -> xr.Dataset:
    plan = np.zeros(problem.net.shape, dtype=np.int8)
    plan[problem.customer[send], problem.campaign[send]] = 1
    here = (CUSTOMER, CAMPAIGN)
    coords: dict[str, Any] = {CAMPAIGN: list(problem.names)}
    if CUSTOMER in gain.coords:
        coords[CUSTOMER] = gain[CUSTOMER].to_numpy()
    sent = xr.DataArray(plan, dims=here, coords=coords, attrs={"units": "1"})
    paid = float((plan * problem.cost).sum() + (plan.sum(axis=1) * problem.loss).sum())
    value = (gain.sel({CAMPAIGN: list(problem.names)}) * sent).sum([CUSTOMER, CAMPAIGN]) - paid
    budget_price = np.zeros(len(problem.names))
    for c, row in rows.budget_of.items():
        budget_price[c] = prices[row]
    units = gain.attrs.get("units", "currency")
    return xr.Dataset(
        {
            "send": sent,
            "value": value.assign_attrs(units=units),
            "contacts": sent.sum(CUSTOMER).assign_attrs(units="customers"),
            "spent": (CAMPAIGN, plan.sum(axis=0) * problem.cost, {"units": units}),
            "cap_price": ((), cap_price, {"units": units}),
            "budget_price": (CAMPAIGN, budget_price, {"units": "1"}),
            "total_budget_price": (
                (),
                0.0 if rows.total is None else float(prices[rows.total]),
                {"units": "1"},
            ),
        },
        attrs={"bound": bound, "planned": float(problem.value[send].sum())}
        | {name: gain.attrs[name] for name in MARKS if name in gain.attrs},
    )
