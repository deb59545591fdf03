"""Specifications as plain tables, and back."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

import bayes_mkt as bm
from bayes_mkt.specs import check_keys, from_table, public_class, to_table

SPECS: dict[str, Any] = {
    "default": bm.MediaMix(),
    "meridian": bm.MediaMix.meridian(knots=12),
    "every field": bm.MediaMix(
        adstock=bm.NoAdstock(),
        saturation=bm.HillSaturation(slope=None),
        order="saturation_first",
        pooling="none",
        effects="normal",
        media_prior="coefficient",
        unpaid_prior="unpaid_share",
        treatments={"promotion": "min", "price": 9.5, "dist": "min", "type": 1.0},
        intercept="reference",
        knots=5,
        adstock_pooling="partial",
        saturation_pooling="none",
        smooth_trend=bm.HSGP(terms=7),
        seasonality=bm.Fourier(order=3, by_region=True),
        events=bm.Events({"fair": ["2024-05-01"]}, spread=1),
        time_varying=bm.HSGP(boundary=2.0),
        likelihood=bm.StudentTLikelihood(),
        lift_tests=[
            bm.LiftTest(
                channel="tv",
                regions=["a", "b"],
                start="2024-01-01",
                end="2024-02-01",
                spend_change=-10.0,
                lift=-3.0,
                se=1.0,
            )
        ],
        priors={
            "sigma": bm.Prior("HalfNormal", sigma=2.0),
            "roi": bm.Prior("LogNormal", mu=[0.1, 0.2], sigma=0.9),
        },
    ),
    "no saturation": bm.MediaMix(saturation=bm.NoSaturation()),
    "curve": bm.HillSaturation(slope=2.5),
    "season": bm.Fourier(order=4),
    "estimand": bm.Estimand(
        spend_window=("2024-01-01", "2024-03-31"), carryover=False, regions=["a", "b"]
    ),
    "prior": bm.Prior("TruncatedNormal", mu=0.8, sigma=0.8, lower=0.1, upper=10.0),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_specification_survives_json(spec: Any) -> None:
    again = from_table(json.loads(json.dumps(to_table(spec))))
    assert again == spec
    assert type(again) is type(spec)
    assert to_table(again) == to_table(spec)


def test_a_table_says_what_it_is() -> None:
    assert to_table(bm.MediaMix.meridian(knots=2)) | {"priors": None} == {
        "type": "MediaMix",
        "adstock": {"type": "GeometricAdstock", "max_lag": 8},
        "saturation": {"type": "HillSaturation", "slope": 1.0},
        "order": "adstock_first",
        "pooling": "partial",
        "effects": "lognormal",
        "adstock_pooling": "full",
        "saturation_pooling": "full",
        "media_prior": "roi",
        "unpaid_prior": "unpaid_share",
        "treatments": {},
        "intercept": "reference",
        "knots": 2,
        "smooth_trend": None,
        "seasonality": None,
        "events": None,
        "date_effects": False,
        "time_varying": None,
        "likelihood": {"type": "NormalLikelihood"},
        "lift_tests": [],
        "priors": None,
    }


def test_a_specification_can_be_written_in_toml() -> None:
    table = tomllib.loads(
        """
        type = "MediaMix"
        knots = 4
        adstock = { type = "GeometricAdstock", max_lag = 6 }
        seasonality = { type = "Fourier" }
        priors.roi = { dist = "LogNormal", mu = [0.0, 1.0], sigma = 0.5 }
        """
    )
    assert from_table(table) == bm.MediaMix(
        knots=4,
        adstock=bm.GeometricAdstock(max_lag=6),
        seasonality=bm.Fourier(),
        priors={"roi": bm.Prior("LogNormal", mu=(0.0, 1.0), sigma=0.5)},
    )


def test_plain_values_stay_as_they_are() -> None:
    for value in ("text", 1, 2.5, True, None):
        assert to_table(value) == value
        assert from_table(value) == value
    assert to_table((1, ("a", None))) == [1, ["a", None]]
    assert from_table([1, ["a", None]]) == (1, ("a", None))
    assert from_table({"a": [1]}) == {"a": (1,)}


def test_what_is_not_plain_can_not_be_saved() -> None:
    with pytest.raises(bm.SpecError, match=r"of type object can't be saved as part of a spec\."):
        to_table({"a": [object()]})
    with pytest.raises(bm.SpecError, match="of type type can't be saved"):
        to_table(bm.MediaMix)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"type": "GeometricAdstock", "maxlag": 4},
            r"spec: unknown key 'maxlag'; did you mean 'max_lag'\?",
        ),
        (
            {"type": "MediaMix", "adstock": {"type": "GeometricAdstock", "half_life": 4}},
            r"spec\.adstock: unknown key 'half_life'; it takes max_lag\.",
        ),
        (
            {"type": "MediaMix", "saturation": {"type": "Hill"}},
            r"spec\.saturation: type 'Hill' is no public class of bayes_mkt\.",
        ),
        ({"type": "fit"}, r"spec: type 'fit' is no public class of bayes_mkt\."),
        ({"type": "DataError"}, r"spec: type 'DataError' is no public class"),
        ({"type": ["GeometricAdstock"]}, r"spec: type .* is no public class"),
        ({"type": "GeometricAdstock", "max_lag": -1}, r"max_lag=-1 must be an integer >= 0"),
        ({"dist": "Gauss", "mu": 0}, r"Prior 'Gauss' is unknown; choose from Beta, "),
    ],
)
def test_tables_that_mean_nothing(table: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        from_table(table)


def test_messages_name_the_place_they_are_told() -> None:
    with pytest.raises(bm.SpecError, match=r"\[model\] adstock: unknown key 'lag'"):
        from_table({"type": "GeometricAdstock", "lag": 1}, "[model] adstock")


def test_public_classes_are_found_by_name() -> None:
    assert public_class("MediaPanel", "here") is bm.MediaPanel
    with pytest.raises(bm.SpecError, match=r"here: type 'Settings' is no public class"):
        public_class("Settings", "here")


def test_keys_are_checked_one_by_one() -> None:
    check_keys([], [], "here")
    check_keys(["a"], ["a", "b"], "here")
    with pytest.raises(bm.SpecError, match=r"here: unknown key 'z'; it takes a, b\."):
        check_keys(["a", "z"], ["a", "b"], "here")
