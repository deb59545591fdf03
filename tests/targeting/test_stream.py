"""Scores written by batches are those of `uplift`, whatever the source; failures leave no file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def customers(world: bm.simulate.SimulatedCampaign) -> pd.DataFrame:
    return world.frame.drop(columns=["arm", "bought", "spent"]).head(700)


def test_scores_are_those_of_uplift(
    uplift_fit: bm.Fit, customers: pd.DataFrame, tmp_path: Path
) -> None:
    customers.to_parquet(tmp_path / "in.parquet")
    made = bm.score_customers(
        uplift_fit, tmp_path / "in.parquet", tmp_path / "out" / "scores.parquet",
        customer="customer", of="revenue", above=1.0, batch=200,
    )  # fmt: skip
    found = pd.read_parquet(made)
    assert list(found["customer"]) == list(customers["customer"])
    tau = bm.uplift(uplift_fit, customers, of="revenue", max_draws=200)
    for arm in tau["arm"].to_numpy():
        own = tau.sel(arm=arm).stack(sample=("chain", "draw"))
        assert np.allclose(found[f"mean_{arm}"], own.mean("sample"), rtol=1e-4)
        assert np.allclose(found[f"sd_{arm}"], own.std("sample"), rtol=1e-3)
        low, high = own.quantile([0.05, 0.95], "sample")
        assert np.allclose(found[f"low_{arm}"], low, atol=1e-4)
        assert np.allclose(found[f"high_{arm}"], high, atol=1e-4)
        assert np.allclose(found[f"prob_above_{arm}"], (own > 1.0).mean("sample"), atol=0.011)
    best = tau.mean(("chain", "draw"))
    named = np.where(best.max("arm") > 1.0, best["arm"].to_numpy()[best.argmax("arm")], "none")
    assert (found["best_arm"].to_numpy() == named).mean() > 0.99
    assert not [p for p in (tmp_path / "out").iterdir() if p != made]


def test_sources_agree(uplift_fit: bm.Fit, customers: pd.DataFrame, tmp_path: Path) -> None:
    parts = [customers.iloc[:300], customers.iloc[300:]]
    found = [
        pd.read_parquet(bm.score_customers(uplift_fit, source, tmp_path / f"{i}.parquet"))
        for i, source in enumerate((customers, iter(parts)))
    ]
    assert list(found[0]["customer"]) == list(range(700))
    pd.testing.assert_frame_equal(*found, rtol=1e-5)


def test_failures_leave_nothing(
    uplift_fit: bm.Fit, customers: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "scores.parquet"
    strange = customers.assign(category="unheard of")
    with pytest.raises(bm.DataError, match="unheard of"):
        bm.score_customers(uplift_fit, [customers, strange], path)
    with pytest.raises(bm.DataError, match="no customers"):
        bm.score_customers(uplift_fit, [], path)
    with pytest.raises(bm.DataError, match="no file"):
        bm.score_customers(uplift_fit, tmp_path / "absent", path)
    customers[["recency"]].to_parquet(tmp_path / "in.parquet")
    with pytest.raises(bm.DataError, match="lacks columns"):
        bm.score_customers(uplift_fit, tmp_path / "in.parquet", path)
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]
    path.write_text("kept")
    with pytest.raises(bm.SpecError, match="exists already"):
        bm.score_customers(uplift_fit, customers, path)
    assert path.read_text() == "kept"
