"""Which columns of a frame a campaign reads, and what must hold for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.frames import Column, Problems, counted, listed

__all__ = ["arms_of", "campaign_columns", "check_values"]

Array = NDArray[Any]


def campaign_columns(
    treated: str,
    outcomes: tuple[str, ...],
    revenue: str | None,
    segment: str | None,
    customer: str | None,
) -> dict[str, Column]:
    """Return what is read of the frame, apart from features."""
    columns = {"treated": Column(treated, "treated", "label")}
    if customer is not None:
        columns["customer"] = Column(customer, "customer", "label", locates=True)
    for name in outcomes:
        columns[f"outcome:{name}"] = Column(name, "outcome", part=repr(name))
    if revenue is not None:
        columns["revenue"] = Column(revenue, "revenue", minimum=0, remedy="net refunds first")
    if segment is not None:
        columns["segment"] = Column(
            segment, "segment", "label", shares=frozenset({f"feature:{segment}"})
        )
    return columns


def arms_of(
    values: Mapping[str, Array], control: str | None, problems: Problems
) -> tuple[str, ...]:
    """Return the names of the arms, the control first."""
    if "treated" not in values:
        return ()
    found = [str(arm) for arm in np.unique(values["treated"])]
    if len(found) < 2:
        problems.add(
            f"treated has only the arm {found[0]!r}. Effects need customers of a control arm too."
        )
        return ()
    folded = {arm.casefold(): arm for arm in found}
    first = control if control is not None else folded.get("0", folded.get("control"))
    if first not in found:
        problems.add(
            f"treated has the arms {listed(map(repr, found), 9)}, and "
            + ("none is called '0' or 'control'" if control is None else f"no {control!r}")
            + ". Name the control arm by control=."
        )
        return ()
    return (first, *(arm for arm in found if arm != first))


def check_values(
    values: Mapping[str, Array], outcomes: tuple[str, ...], problems: Problems
) -> None:
    """Note outcomes other than 0 and 1, and customers who stand in several rows."""
    for name in outcomes:
        column = values.get(f"outcome:{name}")
        if column is None:
            continue
        wrong = np.flatnonzero((column != 0) & (column != 1))
        if len(wrong):
            shown = listed(f"{column[row]:g} in row {row}" for row in wrong[:3])
            problems.add(
                f"outcome {name!r} has {counted(len(wrong), 'value')} other than 0 and 1: {shown}. "
                "Give amounts as revenue=."
            )
    if "customer" in values:
        found, counts = np.unique(values["customer"], return_counts=True)
        if (counts > 1).any():
            twice = found[counts > 1]
            problems.add(
                f"customer has {counted(len(twice), 'name')} in more than one row: "
                f"{listed(map(repr, twice))}. Give one row for each customer."
            )
