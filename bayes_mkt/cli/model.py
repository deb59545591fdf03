"""The table `[model]` of a configuration into a specification."""

from __future__ import annotations

import dataclasses
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
    of priors by variable.

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


def _check_part(name: str, value: Any) -> None:
    """Raise unless a part is of the kind that `MediaMix` takes."""
    if name in PARTS and not isinstance(value, PARTS[name]):
        types = " or ".join(f'type = "{kind.__name__}"' for kind in PARTS[name])
        raise SpecError(f"{WHERE} {name} must be a table with {types}.")
    if name == "lift_tests" and not (
        isinstance(value, tuple) and all(isinstance(test, bm.LiftTest) for test in value)
    ):
        raise SpecError(f'{WHERE} lift_tests must be a list of tables with type = "LiftTest".')
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
