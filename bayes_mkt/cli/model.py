"""The table `[model]` of a configuration into a specification."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, get_args

import bayes_mkt as bm
from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.adstock import Adstock
from bayes_mkt.media_mix.likelihood import Likelihood
from bayes_mkt.media_mix.saturation import Saturation
from bayes_mkt.specs import check_keys, from_table

__all__ = ["media_mix_spec"]

WHERE: Final = "[model]"
PRESETS: Final = ("meridian",)
PARTS: Final = {
    "adstock": get_args(Adstock),
    "saturation": get_args(Saturation),
    "seasonality": (bm.Fourier,),
    "events": (bm.Events,),
    "smooth_trend": (bm.HSGP,),
    "time_varying": (bm.HSGP,),
    "likelihood": get_args(Likelihood),
}


def media_mix_spec(table: Mapping[str, Any]) -> bm.MediaMix:
    """Return the media-mix model that a table describes.

    Its keys are the arguments of `MediaMix`, and `preset`, the model from which they depart:
    ``"meridian"``. A part such as `adstock` is a table with its `type`; `priors` is a table
    of priors by variable; `lift_tests` a list of tables, ``[[model.lift_tests]]``.

    Raises
    ------
    SpecError
        For an unknown key, preset, type or prior, or a value of the wrong kind.

    Examples
    --------
    >>> media_mix_spec({"preset": "meridian", "knots": 4}) == bm.MediaMix.meridian(knots=4)
    True
    >>> media_mix_spec({"adstock": {"type": "GeometricAdstock", "max_lag": 4}}).adstock
    GeometricAdstock(max_lag=4)
    """
    names = [f.name for f in dataclasses.fields(bm.MediaMix)]
    check_keys(table, ["preset", *names], WHERE)
    table = _with_lift_tests(table)
    given = {
        name: from_table(value, f"{WHERE} {name}")
        for name, value in table.items()
        if name != "preset"
    }
    for name, value in given.items():
        _check_part(name, value)
    preset = table.get("preset")
    if preset is None:
        return bm.MediaMix(**given)
    if preset not in PRESETS:
        raise SpecError(f"{WHERE} preset = {preset!r}: choose from {', '.join(PRESETS)}.")
    return bm.MediaMix.meridian(**given)


def _with_lift_tests(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the table with the type of lift tests, which needs not be said."""
    tests = table.get("lift_tests")
    if not isinstance(tests, list):
        return table
    named = [{"type": "LiftTest", **t} if isinstance(t, Mapping) else t for t in tests]
    return {**table, "lift_tests": [_dated(t) for t in named]}


def _dated(test: Any) -> Any:
    """Return a lift test whose dates are text, as TOML may hold them otherwise."""
    if not isinstance(test, Mapping):
        return test
    return {k: v.isoformat() if isinstance(v, dt.date) else v for k, v in test.items()}


def _check_part(name: str, value: Any) -> None:
    """Raise unless a part is of the kind that `MediaMix` takes."""
    if name in PARTS and not isinstance(value, PARTS[name]):
        types = " or ".join(f'type = "{kind.__name__}"' for kind in PARTS[name])
        raise SpecError(f"{WHERE} {name} must be a table with {types}.")
    if name == "lift_tests" and not (
        isinstance(value, tuple) and all(isinstance(test, bm.LiftTest) for test in value)
    ):
        raise SpecError(f"{WHERE} lift_tests must be a list of tables: [[model.lift_tests]].")
    if name == "priors":
        wrong = (
            [key for key, prior in value.items() if not isinstance(prior, bm.Prior)]
            if isinstance(value, Mapping)
            else [name]
        )
        if wrong:
            raise SpecError(
                f"{WHERE} priors: {wrong[0]!r} must be a table such as "
                '{ dist = "HalfNormal", sigma = 1.0 }.'
            )
