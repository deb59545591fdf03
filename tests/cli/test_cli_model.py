"""The table [model] of a configuration."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

import bayes_mkt as bm
from bayes_mkt.cli.model import media_mix_spec


def test_an_empty_table_is_the_default_model() -> None:
    assert media_mix_spec({}) == bm.MediaMix()


def test_a_preset_may_be_changed() -> None:
    changed = media_mix_spec({"preset": "meridian", "knots": 5, "pooling": "full"})
    assert changed == bm.MediaMix.meridian(knots=5, pooling="full")


def test_parts_and_priors_are_read() -> None:
    table = tomllib.loads(
        """
        knots = 3
        adstock = { type = "GeometricAdstock", max_lag = 4 }
        saturation = { type = "NoSaturation" }
        [seasonality]
        type = "Fourier"
        order = 3
        [priors.roi]
        dist = "LogNormal"
        mu = 0.0
        sigma = [0.5, 0.7]
        """
    )
    assert media_mix_spec(table) == bm.MediaMix(
        knots=3,
        adstock=bm.GeometricAdstock(max_lag=4),
        saturation=bm.NoSaturation(),
        seasonality=bm.Fourier(3),
        priors={"roi": bm.Prior("LogNormal", mu=0.0, sigma=[0.5, 0.7])},
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"knot": 1}, "[model]: unknown key 'knot'; did you mean 'knots'?"),
        ({"preset": "robyn"}, "[model] preset = 'robyn': choose from meridian."),
        ({"pooling": "some"}, "pooling='some'"),
        ({"adstock": {"max_lag": 4}}, '[model] adstock must be a table with type = "Geometric'),
        ({"adstock": "geometric"}, "[model] adstock must be a table"),
        ({"adstock": {"type": "Fourier"}}, "[model] adstock must be a table with type"),
        ({"adstock": {"type": "Geometric"}}, "[model] adstock: type 'Geometric' is no public"),
        (
            {"adstock": {"type": "GeometricAdstock", "lag": 4}},
            "[model] adstock: unknown key 'lag'",
        ),
        ({"priors": {"roi": 1.0}}, "[model] priors: 'roi' must be a table such as"),
        ({"priors": 3}, "[model] priors: 'priors' must be a table"),
        ({"priors": {"roi": {"dist": "Normle", "mu": 0}}}, "Prior 'Normle' is unknown"),
        ({"priors": {"rio": {"dist": "Exponential", "lam": 1.0}}}, "no such variable"),
    ],
)
def test_a_mistake_is_named(table: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=re.escape(message)):
        media_mix_spec(table)
