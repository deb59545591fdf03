"""Real sales without spend: orange juice by store, with feature and deal as channels."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.cli import main

CONFIG = Path(__file__).resolve().parents[2] / "docs" / "configs" / "orange_juice.toml"
STORES = 20


@pytest.fixture(scope="module")
def data(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input that the configuration documents, for the first stores."""
    pytest.importorskip("pyarrow")
    juice = pd.read_parquet(shared_data / "bayesm_retail" / "orangeJuice_yx.parquet")
    juice = juice.query("brand == 1")
    week = pd.Timestamp("1989-09-14") + pd.to_timedelta(7 * (juice["week"] - 1), unit="D")
    juice = juice.assign(date=week, sales=np.exp(juice["logmove"]))
    few = juice["store"].isin(juice["store"].unique()[:STORES])
    path = tmp_path_factory.mktemp("juice") / "orange_juice.parquet"
    juice[few].to_parquet(path)
    return path


@pytest.fixture(scope="module")
def out(data: Path) -> Path:
    """What the command wrote."""
    folder = data.parent / "out"
    words = ["media-mix", str(data), "--config", str(CONFIG), "--out", str(folder), "--quiet"]
    assert main(words) == 0
    return folder


@pytest.fixture(scope="module")
def fit(out: Path) -> bm.Fit:
    return bm.Fit.load(out / "fit")


def test_the_panel_is_the_real_one(fit: bm.Fit) -> None:
    panel = fit.data
    assert panel.n_regions == STORES
    assert panel.n_dates == 121
    assert panel.period == "7D"
    assert panel.channels == ("feature", "deal")
    assert panel.paid_channels == ()
    assert panel.controls == ("price1",)
    assert 0 < int((~panel.observed).sum()) < 0.1 * STORES * 121


def test_incremental_sales_by_store_have_intervals(fit: bm.Fit) -> None:
    sales = bm.incremental_sales(fit, by=("region", "channel"))
    low, high = sales.quantile([0.05, 0.95], ("chain", "draw"))
    assert np.isfinite(sales).all()
    assert (low < high).all()
    feature = low.sel(channel="feature")
    assert (feature > 0).all()
    # No more than was sold while the feature ran.
    panel = fit.data.data
    ran = panel["sales"].where(panel["exposure"].sel(channel="feature", drop=True) > 0)
    assert (feature < ran.sum("date")).all()
    total = bm.incremental_sales(fit).sel(channel="feature")
    share = (total / panel["sales"].sum()).quantile([0.05, 0.95])
    assert 0.05 < float(share[0]) < float(share[1]) < 0.4


def test_a_higher_price_sells_less(fit: bm.Fit) -> None:
    assert float((fit.posterior["control_effect"] < 0).mean()) > 0.999


def test_roi_refuses_and_says_why(fit: bm.Fit) -> None:
    for function in (bm.roi, bm.marginal_roi):
        with pytest.raises(
            bm.SpecError, match="needs spend, and the panel has no spend: feature, deal came as"
        ):
            function(fit)


def test_the_command_writes_no_roi_and_the_report_says_why(out: Path) -> None:
    names = {"incremental_sales.csv", "contributions.csv", "diagnostics.csv"}
    assert {path.name for path in out.iterdir()} == names | {"report.html", "run.json", "fit"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "ROI needs spend, and the panel has no spend: feature, deal" in page
    table = pd.read_csv(out / "incremental_sales.csv", index_col="channel")
    assert table.index.tolist() == ["feature", "deal"]
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)


def test_the_fit_has_the_model_of_the_configuration(fit: bm.Fit) -> None:
    table = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["model"]
    assert fit.spec.knots == table["knots"]
    assert isinstance(fit.spec.saturation, bm.NoSaturation)
