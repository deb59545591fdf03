"""Dominick's orange juice: sales of one brand by store, features and deals as channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm

BRAND, STORES, FIRST_WEEK = 4, 20, pd.Timestamp("1989-09-14")


@pytest.fixture(scope="module")
def panel(shared_data: Path) -> bm.MediaPanel:
    """Twenty stores, so that the test stays short; weeks without a row stay missing."""
    raw = pd.read_parquet(shared_data / "bayesm_retail" / "orangeJuice_yx.parquet")
    rows = raw[raw["brand"] == BRAND]
    rows = rows[rows["store"].isin(sorted(rows["store"].unique())[:STORES])]
    frame = pd.DataFrame(
        {
            "store": rows["store"].astype(int),
            "week": FIRST_WEEK + pd.to_timedelta(7 * rows["week"].astype(int), unit="D"),
            "units": np.exp(rows["logmove"]),
            "feature": rows["feat"].clip(lower=0.0),
            "deal": rows["deal"].clip(lower=0.0),
            "price": rows[f"price{BRAND}"],
        }
    )
    return bm.MediaPanel.from_frame(
        frame,
        sales="units",
        region="store",
        date="week",
        exposure={"feature": "feature", "deal": "deal"},
        controls=["price"],
    )


@pytest.fixture(scope="module")
def fit(panel: bm.MediaPanel) -> bm.Fit:
    # Features and deals act in their own week, and half a feature does half as much.
    spec = bm.MediaMix(adstock=bm.NoAdstock(), saturation=bm.NoSaturation())
    return bm.fit(spec, panel, seed=1, progress=False)


def test_the_panel_is_unbalanced_and_has_no_spend(panel: bm.MediaPanel) -> None:
    assert panel.n_regions == STORES
    assert not panel.balanced
    assert panel.paid_channels == ()


def test_incremental_sales_by_store_have_intervals(fit: bm.Fit) -> None:
    assert fit.diagnostics.ok, fit.diagnostics.verdict
    answer = bm.incremental_sales(fit, by=("region", "channel"))
    assert answer.dims == ("chain", "draw", "region", "channel")
    low, high = np.quantile(answer, [0.05, 0.95], axis=(0, 1))
    assert np.isfinite(low).all()
    assert (low < high).all()
    assert (low > 0).all()
    share = bm.incremental_sales(fit, by=()).mean() / float(fit.data.data["sales"].sum())
    assert 0.05 < float(share) < 0.8


def test_a_price_rise_lowers_sales(fit: bm.Fit) -> None:
    effect = fit.posterior["control_effect"].sel(control="price")
    assert float((effect < 0).mean()) > 0.99


def test_roi_is_refused_because_nothing_is_known_of_spend(fit: bm.Fit) -> None:
    for answer in (bm.roi, bm.marginal_roi):
        with pytest.raises(bm.SpecError, match="the panel has no spend"):
            answer(fit)
