"""Priors as data: a distribution's name and its parameters, to print, save and put in TOML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bayes_mkt.errors import SpecError

DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Beta": ("alpha", "beta"),
        "Exponential": ("lam",),
        "Gamma": ("alpha", "beta"),
        "HalfCauchy": ("beta",),
        "HalfNormal": ("sigma",),
        "HalfStudentT": ("nu", "sigma"),
        "LogNormal": ("mu", "sigma"),
        "Normal": ("mu", "sigma"),
        "StudentT": ("nu", "mu", "sigma"),
        "TruncatedNormal": ("mu", "sigma", "lower", "upper"),
        "Uniform": ("lower", "upper"),
    }
)
_POSITIVE_PARAMETERS = frozenset({"sigma", "alpha", "beta", "lam", "nu"})
_POSITIVE_SUPPORT = frozenset(
    {"Exponential", "Gamma", "HalfCauchy", "HalfNormal", "HalfStudentT", "LogNormal"}
)


@dataclass(frozen=True, init=False)
class Prior:
    """A prior distribution, in PyMC's names and parametrisation.

    Parameters
    ----------
    dist
        One of `DISTRIBUTIONS`: Beta, Exponential, Gamma, HalfCauchy, HalfNormal,
        HalfStudentT, LogNormal, Normal, StudentT, TruncatedNormal, Uniform.
    **parameters
        Each a number, or one number for each entry of the variable (a channel, a control).

    Raises
    ------
    SpecError
        For an unknown distribution or parameter, a missing one, or one out of range.

    Examples
    --------
    >>> Prior("LogNormal", mu=0.2, sigma=0.9)
    Prior('LogNormal', mu=0.2, sigma=0.9)
    """

    dist: str
    parameters: tuple[tuple[str, float | tuple[float, ...]], ...]

    def __init__(self, dist: str, **parameters: float | Sequence[float]) -> None:
        if dist not in DISTRIBUTIONS:
            raise SpecError(f"Prior {dist!r} is unknown; choose from {', '.join(DISTRIBUTIONS)}.")
        names = DISTRIBUTIONS[dist]
        if set(parameters) != set(names):
            raise SpecError(
                f"Prior {dist} takes {', '.join(names)}; got {', '.join(parameters) or 'nothing'}."
            )
        values = {name: _number(dist, name, parameters[name]) for name in names}
        lengths = {name: len(v) for name, v in values.items() if isinstance(v, tuple)}
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise SpecError(f"Prior {dist}: parameters of different lengths: {sizes}.")
        if "lower" in values and not _below(values["lower"], values["upper"]):
            raise SpecError(
                f"Prior {dist}: lower={values['lower']} must lie below upper={values['upper']}."
            )
        object.__setattr__(self, "dist", dist)
        object.__setattr__(self, "parameters", tuple(values.items()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value}" for name, value in self.parameters)
        return f"Prior({self.dist!r}, {inside})"

    @property
    def positive(self) -> bool:
        """Return whether the distribution has its support above zero."""
        if self.dist in _POSITIVE_SUPPORT or self.dist == "Beta":
            return True
        return _least(dict(self.parameters).get("lower", -1.0)) >= 0

    @property
    def bounds(self) -> tuple[float | tuple[float, ...], float | tuple[float, ...]]:
        """Return the ends of the support.

        Examples
        --------
        >>> Prior("Uniform", lower=0.0, upper=4.0).bounds
        (0.0, 4.0)
        >>> Prior("HalfNormal", sigma=1.0).bounds
        (0.0, inf)
        """
        given = dict(self.parameters)
        if "lower" in given:
            return given["lower"], given["upper"]
        if self.dist == "Beta":
            return 0.0, 1.0
        return (0.0 if self.positive else -math.inf), math.inf

    def variance(self, *, log: bool = False) -> Any:
        """Return the variance, or that of the logarithm: a number, or one an entry.

        By its quantile function, at 4,000 evenly spaced probabilities.

        Examples
        --------
        >>> round(float(Prior("LogNormal", mu=0.2, sigma=0.9).variance(log=True)), 2)
        0.81
        """
        import numpy as np
        import pymc as pm

        arguments = {k: np.asarray(v, dtype=float)[..., None] for k, v in self.parameters}
        grid = (np.arange(4000) + 0.5) / 4000
        quantiles = pm.icdf(getattr(pm, self.dist).dist(**arguments), grid).eval()
        return (np.log(quantiles) if log else quantiles).var(axis=-1)

    def variable(self, name: str, dims: str | tuple[str, ...] | None = None) -> Any:
        """Add the random variable `name` with this prior to the PyMC model in context.

        Raises
        ------
        SpecError
            If the prior gives other than one number for each entry of the last of `dims`.
        """
        import numpy as np
        import pymc as pm

        self._check_length(name, (dims,) if isinstance(dims, str) else dims or ())
        arguments = {k: np.asarray(v, dtype=float) for k, v in self.parameters}
        return getattr(pm, self.dist)(name, dims=dims, **arguments)

    def _check_length(self, name: str, dims: tuple[str, ...]) -> None:
        """Raise unless every vector among the parameters has one number for each entry."""
        import pymc as pm

        count = len(pm.modelcontext(None).coords[dims[-1]]) if dims else 1
        for parameter, value in self.parameters:
            if isinstance(value, tuple) and (not dims or len(value) != count):
                entries = f"{count} ({dims[-1]})" if dims else "one"
                raise SpecError(
                    f"Prior of {name!r}: {parameter} has {len(value)} numbers, but {name} has "
                    f"{entries}. Give one number for each, or one for all."
                )

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"dist": ..., parameter: value, ...}``, as TOML and JSON hold it."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in self.parameters}
        return {"dist": self.dist, **values}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Prior:
        """Return the prior that `to_dict` wrote.

        Examples
        --------
        >>> Prior.from_dict({"dist": "HalfNormal", "sigma": 1.0})
        Prior('HalfNormal', sigma=1.0)
        """
        if "dist" not in table:
            raise SpecError(f"A prior needs 'dist', the name of a distribution; got {dict(table)}.")
        return cls(table["dist"], **{k: v for k, v in table.items() if k != "dist"})


def checked_priors(
    given: Mapping[str, Prior], known: Mapping[str, Prior], unit: Sequence[str] = ()
) -> Mapping[str, Prior]:
    """Return the replacements of default priors, read-only, if their names and supports fit.

    Parameters
    ----------
    given, known
        Priors by variable; those given replace those known.
    unit
        Variables in (0, 1), which take a Beta or a Uniform prior.
    """
    for name, prior in given.items():
        if name not in known:
            raise SpecError(f"priors[{name!r}]: no such variable; choose from {sorted(known)}.")
        if known[name].positive and not prior.positive:
            raise SpecError(f"priors[{name!r}]: {prior} reaches below 0, {name} can't.")
        if name in unit and prior.dist not in ("Beta", "Uniform"):
            raise SpecError(f"priors[{name!r}]: {name} lies in (0, 1); give a Beta or a Uniform.")
    return MappingProxyType(dict(given))


def _least(value: float | tuple[float, ...]) -> float:
    return min(value) if isinstance(value, tuple) else value


def _below(low: float | tuple[float, ...], high: float | tuple[float, ...]) -> bool:
    """Return whether `low` lies below `high`, entry by entry."""
    lows = low if isinstance(low, tuple) else (low,)
    highs = high if isinstance(high, tuple) else (high,)
    longest = max(len(lows), len(highs))
    pairs = zip(lows * (longest // len(lows)), highs * (longest // len(highs)), strict=True)
    return all(a < b for a, b in pairs)


def _number(dist: str, name: str, value: Any) -> float | tuple[float, ...]:
    """Return a parameter as a float or a tuple of floats, checked."""
    value = value.tolist() if hasattr(value, "tolist") else value
    items = tuple(value) if isinstance(value, Sequence) else (value,)
    if any(isinstance(v, (str, bool)) or not hasattr(v, "__float__") for v in items) or not items:
        raise SpecError(f"Prior {dist}: {name}={value!r} is not a number.")
    numbers = tuple(float(v) for v in items)
    if any(v != v for v in numbers):
        raise SpecError(f"Prior {dist}: {name}={value!r} is not a number.")
    if name in _POSITIVE_PARAMETERS and min(numbers) <= 0:
        raise SpecError(f"Prior {dist}: {name}={value!r} must be > 0.")
    return numbers if isinstance(value, Sequence) else numbers[0]
