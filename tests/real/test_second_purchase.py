"""Real logs: the share of second purchases that is published, and churn of telephone customers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm


@pytest.mark.parametrize(("end", "share"), [("1997-09-30", 0.401), ("1998-06-30", 0.489)])
def test_cdnow_buyers_who_came_back(shared_data: Path, end: str, share: float) -> None:
    log = pd.read_parquet(shared_data / "cdnow" / "cdnow_master.parquet")
    data = bm.FirstPurchases.from_transactions(log, customer="customer_id", date="date", end=end)
    assert data.spells == 23_570
    assert data.events() / data.spells == pytest.approx(share, abs=5e-4)
    assert data.data.sizes["row"] < 1000  # of 23,570 customers


def test_telephone_customers_are_ranked_and_calibrated(shared_data: Path) -> None:
    """Half of the customers fitted, the other half forecast; contracts are the markets.

    Who has a long contract is followed longer: Kaplan-Meier is compared within contracts.
    """
    frame = pd.read_csv(shared_data / "survival" / "modeldata_wa_churn.csv")
    half = np.random.default_rng(1).random(len(frame)) < 0.5
    columns = {
        "duration": "tenure",
        "event": "churn",
        "market": "contract",
        "features": ["internet_service", "partner", "paperless_billing"],
        "intervals": 12,
    }
    train = bm.Subscriptions.from_frame(frame[half], **columns)
    test = bm.Subscriptions.from_frame(frame[~half], **columns, like=train)
    fit = bm.fit(bm.Churn(effects="normal", markets="level"), train, seed=1, progress=False)
    scores = bm.survival_scores(fit, test, [6, 12, 24, 48])
    brier = scores["integrated_brier"]
    assert float(brier.sel(forecast="model")) < float(brier.sel(forecast="kaplan-meier"))
    assert float(scores["concordance"].sel(forecast="model")) > 0.8
    assert float(scores["auc"].sel(forecast="model").min()) > 0.8
    found = bm.survival_calibration(fit, test, [6, 12, 24, 48])
    apart = found["forecast"].mean(("chain", "draw")) - found["observed"]
    assert float(abs(apart).max()) < 0.06
