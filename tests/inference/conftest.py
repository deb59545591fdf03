"""Models whose posteriors are known, with draws that several files share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arviz_stats
import jax
import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm

SCHOOLS = ["A", "B", "C", "D", "E", "F", "G", "H"]
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


@dataclass(frozen=True)
class Compilations:
    """Counts the programs that XLA compiles inside a `with` block."""

    events: list[str]

    @contextmanager
    def none(self) -> Iterator[None]:
        """Fail if anything is compiled in the block."""
        self.events.clear()
        yield
        assert not self.events, f"compiled anew: {self.events}"


@pytest.fixture(scope="session")
def compilations() -> Iterator[Compilations]:
    events: list[str] = []

    def listen(name: str, _: float, **about: Any) -> None:
        if name.endswith("backend_compile_duration"):
            events.append(str(about.get("fun_name", name)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield Compilations(events)
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def mcse() -> Callable[[xr.DataArray], xr.DataArray]:
    """The Monte Carlo standard error of a mean over draws."""

    def of(draws: xr.DataArray) -> xr.DataArray:
        named = draws.rename("draws").to_dataset()
        ess = arviz_stats.ess(named, method="mean")["draws"]
        return draws.std(("chain", "draw"), ddof=1) / np.sqrt(ess)

    return of


def normal_model(
    y: np.ndarray | None = None,
    extra: Callable[[Any, Any], object] | None = None,
    m0: float = 1.0,
) -> pm.Model:
    """Return y ~ N(mu, sqrt(variance)) with the conjugate prior of mean and variance."""
    values = np.random.default_rng(4).normal(3.0, 2.0, 12) if y is None else y
    with pm.Model() as model:
        data = pm.Data("y_data", values)
        variance = pm.InverseGamma("variance", 3.0, 4.0)
        mu = pm.Normal("mu", m0, pm.math.sqrt(variance / 0.5))
        pm.Normal("y", mu, pm.math.sqrt(variance), observed=data)
        if extra is not None:
            extra(mu, variance)
    return model


@pytest.fixture(scope="session")
def normal() -> Callable[..., pm.Model]:
    """Builds the conjugate normal model; the same structure at each call."""
    return normal_model


@pytest.fixture(scope="session")
def schools() -> pm.Model:
    """Eight schools, non-centred, with named and unnamed dimensions."""
    with pm.Model(coords={"school": SCHOOLS}) as model:
        error = pm.Data("error", ERROR, dims="school")
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        z = pm.Normal("z", 0.0, 1.0, dims="school")
        theta = pm.Deterministic("theta", mu + tau * z, dims="school")
        pm.Deterministic("hyper", pm.math.stack([mu, tau]))
        pm.Normal("y", theta, error, observed=EFFECT, dims="school")
    return model


@pytest.fixture(scope="session")
def schools_draws(schools: pm.Model) -> xr.DataTree:
    return bm.sample(schools, seed=1, target_ess=1500, target_accept=0.9, progress=False)


@pytest.fixture(scope="session")
def schools_reference(shared_reference: Path) -> dict[str, dict[str, float]]:
    """Means and SDs of 10,000 published reference draws, by parameter."""
    file = shared_reference / "posteriordb" / "eight_schools-eight_schools_noncentered.json"
    reference: dict[str, dict[str, float]] = json.loads(file.read_text())["reference"]
    return reference
