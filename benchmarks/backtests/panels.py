"""The panels of the backtests and the model of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_mkt as bm
from benchmarks.environment import real_data

Case = tuple[bm.MediaPanel, bm.MediaMix]
# Weeks of the panel before which there are none, by their number in the file.
JUICE_WEEK = pd.Timestamp("1989-09-14")
JOURNEY_WEEK = pd.Timestamp("2016-12-28")
CUT = 3.0  # elasticity of a price cut
JUICE_STORES, JOURNEY_STORES = 30, 20


def orange_juice(data: Path | None) -> Case:
    """Return one brand in some stores, with feature and deal as channels without spend."""
    juice = _juice(data)
    return _juice_panel(juice, ["price"]), _stores()


def orange_juice_cuts(data: Path | None) -> Case:
    """Return the same, with what a price cut sells, featured or not, and no trend.

    Written after the forecasts of the first model had been seen: sales of a feature depend on the
    price beside it, and six knots follow weeks that all stores share.
    """
    juice = _juice(data)
    cut = np.exp(-CUT * (juice["price"] - juice["price"].mean()))
    juice = juice.assign(cut=cut, cut_feature=cut * juice["feat"])
    return _juice_panel(juice, ["price", "cut", "cut_feature"]), replace(_stores(), knots=1)


def orange_juice_sizes(data: Path | None) -> Case:
    """Return the same as shares of a store's usual sales: large and small stores answer alike.

    Written after the forecasts of the other forms had been seen. A store's size is its mean sales
    in its first year, as if so many people came; a feature reaches all of them.
    """
    juice = _juice(data)
    cut = np.exp(-CUT * (juice["price"] - juice["price"].mean()))
    early = juice[juice["date"] < juice["date"].min() + pd.Timedelta(days=364)]
    size = juice["store"].map(early.groupby("store")["sales"].mean())
    juice = juice.assign(cut=cut, cut_feature=cut * juice["feat"], size=size)
    juice = juice.assign(feat=juice["feat"] * size, deal=juice["deal"] * size)
    panel = _juice_panel(juice, ["price", "cut", "cut_feature"], population="size")
    return panel, replace(_stores(), knots=1)


def orange_juice_dates(data: Path | None) -> Case:
    """Return the first form with effects of dates: good and bad weeks are those of all stores."""
    panel, spec = orange_juice(data)
    return panel, replace(spec, date_effects=True)


def _juice(data: Path | None) -> pd.DataFrame:
    """Return the rows of one brand in some stores."""
    juice = pd.read_parquet(real_data(data, "bayesm_retail/orangeJuice_yx.parquet"))
    juice = juice.query("brand == 1")
    juice = juice[juice["store"].isin(np.sort(juice["store"].unique())[:JUICE_STORES])]
    week = JUICE_WEEK + pd.to_timedelta(7 * (juice["week"] - 1), unit="D")
    return juice.assign(date=week, sales=np.exp(juice["logmove"]), price=np.log(juice["price1"]))


def _juice_panel(
    juice: pd.DataFrame, controls: list[str], population: str | None = None
) -> bm.MediaPanel:
    return bm.MediaPanel.from_frame(
        juice,
        sales="sales",
        date="date",
        region="store",
        exposure={"feature": "feat", "deal": "deal"},
        controls=controls,
        population=population,
    )


def complete_journey(data: Path | None) -> Case:
    """Return soft drinks in the largest stores, by the share on display and in the mailer."""
    source = real_data(data, "complete_journey")
    products = pd.read_parquet(
        source / "products.parquet", columns=["product_id", "product_category"]
    )
    wanted = products.loc[products["product_category"] == "SOFT DRINKS", "product_id"]
    sold = pd.read_parquet(
        source / "transactions.parquet", columns=["product_id", "store_id", "week", "sales_value"]
    )
    sold = sold[sold["product_id"].isin(wanted)]
    stores = sold.groupby("store_id")["sales_value"].sum().nlargest(JOURNEY_STORES).index
    weekly = (
        sold[sold["store_id"].isin(stores)]
        .groupby(["store_id", "week"])["sales_value"]
        .sum()
        .unstack(fill_value=0.0)
    )
    shown = pd.read_parquet(
        source / "promotions.parquet", filters=[("store_id", "in", list(stores))]
    )
    shown = shown[shown["product_id"].isin(wanted)]
    shown = shown.assign(
        display=(shown["display_location"].astype(str) != "0").astype(float),
        mailer=(shown["mailer_location"].astype(str) != "0").astype(float),
    )
    counts = shown.groupby(["store_id", "week"])[["display", "mailer"]].sum()
    rows = weekly.stack().rename("sales").reset_index()
    rows = rows.join(counts, on=["store_id", "week"]).fillna({"display": 0.0, "mailer": 0.0})
    rows = rows[rows["week"].between(2, 52)]  # the first and the last week are parts
    rows = rows.assign(
        store=rows["store_id"].astype(str),
        date=JOURNEY_WEEK + pd.to_timedelta(7 * (rows["week"].astype(int) - 1), unit="D"),
    )
    panel = bm.MediaPanel.from_frame(
        rows,
        sales="sales",
        date="date",
        region="store",
        exposure={"display": "display", "mailer": "mailer"},
    )
    # A year of data holds no season.
    return panel, replace(_stores(), knots=3, seasonality=None)


def meridian(data: Path | None) -> Case:
    """Return Meridian's simulated panel, with all that its own model is given."""
    frame = pd.read_csv(real_data(data, "meridian_simulated/geo_media.csv"))
    channels = range(4)
    panel = bm.MediaPanel.from_frame(
        frame,
        sales="conversions",
        date="time",
        region="geo",
        population="population",
        revenue_per_sale="revenue_per_conversion",
        spend={f"channel_{i}": f"Channel{i}_spend" for i in channels},
        exposure={f"channel_{i}": f"Channel{i}_impression" for i in channels},
        controls=["competitor_activity_score_control", "sentiment_score_control"],
    )
    return panel, bm.MediaMix(knots=4, seasonality=bm.Fourier(2))


def _stores() -> bm.MediaMix:
    """Return a model of promotions in stores: little carry-over, no saturation."""
    return bm.MediaMix(
        adstock=bm.GeometricAdstock(max_lag=2),
        saturation=bm.NoSaturation(),
        media_prior="coefficient",
        knots=6,
        seasonality=bm.Fourier(1),
    )


CASES: dict[str, Callable[[Path | None], Case]] = {
    "orange_juice": orange_juice,
    "orange_juice_dates": orange_juice_dates,
    "orange_juice_cuts": orange_juice_cuts,
    "orange_juice_sizes": orange_juice_sizes,
    "complete_journey": complete_journey,
    "meridian": meridian,
}
# Fits that had divergences by default, and whose verdict asks for shorter steps.
CURVED = ("complete_journey",)
# The same data as another case: what others forecast of these stands there.
AGAIN = ("orange_juice_dates", "orange_juice_sizes")
