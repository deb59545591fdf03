"""Was the assignment what it was meant to be? Sample ratio, and balance of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from bayes_mkt.errors import DataError, SpecError

if TYPE_CHECKING:
    from bayes_mkt.targeting.campaign import Campaign

MISMATCH = 1e-4


def check_assignment(campaign: Campaign) -> pd.DataFrame:
    """Return the tests that a randomised assignment should pass.

    The sample ratio: chi-squared test of the arms' counts against the stated `shares`. Balance:
    for each feature, chi-squared test of independence of its levels and the arms. Of k tests,
    one with p < 0.05 / k is a reason to look at how customers were assigned.

    Parameters
    ----------
    campaign
        The campaign.

    Returns
    -------
    DataFrame
        One row for each test: `test`, `statistic`, `df`, `p_value`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"arm": [0] * 500 + [1] * 520, "y": [0, 1] * 510})
    >>> from bayes_mkt import Campaign
    >>> camp = Campaign.from_frame(frame, treated="arm", outcome="y", shares={"0": 1, "1": 1})
    >>> round(check_assignment(camp)["p_value"].item(), 3)
    0.531
    """
    rows: list[tuple[str, float, float, float]] = []
    if campaign.shares is not None:
        expected = campaign.propensity * campaign.n_customers
        found = stats.chisquare(campaign.counts, expected)
        rows.append(("sample ratio", found.statistic, len(campaign.arms) - 1, found.pvalue))
    assignment = campaign.data["assignment"].to_numpy()
    codes = campaign.data["code"].to_numpy()
    for j, feature in enumerate(campaign.encoding.features):
        table = np.zeros((len(feature.levels), len(campaign.arms)))
        np.add.at(table, (codes[:, j], assignment), 1)
        table = table[table.sum(axis=1) > 0]
        if len(table) > 1:
            even = stats.chi2_contingency(table, correction=False)
            rows.append((f"balance of {feature.name}", even.statistic, even.dof, even.pvalue))
    return pd.DataFrame(rows, columns=["test", "statistic", "df", "p_value"])


def check_shares(shares: Mapping[str, float] | None, arms: tuple[str, ...]) -> None:
    """Raise `SpecError` unless shares name the arms, and are positive."""
    if shares is None:
        return
    if set(shares) != set(arms):
        raise SpecError(f"shares names {sorted(shares)}, but the arms are {sorted(arms)}.")
    if not all(share > 0 for share in shares.values()):
        raise SpecError(f"shares={dict(shares)!r} must all be > 0.")


def refuse_mismatch(campaign: Campaign) -> None:
    """Raise `DataError` if the arms' counts can't have come from the stated shares."""
    if campaign.shares is None:
        return
    expected = campaign.propensity * campaign.n_customers
    p = float(stats.chisquare(campaign.counts, expected).pvalue)
    if p < MISMATCH:
        pairs = zip(campaign.arms, campaign.counts, expected, strict=True)
        found = ", ".join(f"{arm!r} {n:,} for {e:,.0f}" for arm, n, e in pairs)
        raise DataError(
            f"treated has a sample-ratio mismatch (p = {p:.2g}): {found} expected. Customers were "
            "lost or assigned otherwise than stated: find out how before reading any effect, or "
            "state the shares that were really used."
        )
