"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; a test that needs it is skipped where it is absent."""
    return _shared("data", "BAYES_MKT_DATA")


@pytest.fixture(scope="session")
def shared_reference() -> Path:
    """The folder of published figures; a test that needs it is skipped where it is absent."""
    return _shared("reference", "BAYES_MKT_REFERENCE")


def _shared(name: str, variable: str) -> Path:
    beside = Path(__file__).resolve().parents[1].parent / "shared" / name
    folder = Path(os.environ.get(variable) or beside)
    if not folder.is_dir():
        pytest.skip(f"the {name} are not in {folder}: set {variable} to their folder")
    return folder


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session on this machine; a test that needs it is skipped without PySpark and Java."""
    sql = pytest.importorskip("pyspark.sql", reason="PySpark is not installed: the extra 'spark'")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or later, and there is no java on the path")
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "UTC",
    }
    builder = sql.SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    with warnings.catch_warnings():
        # JAX warns of forks, whose threads could deadlock; the child here goes on as Java at once.
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def simulated() -> bm.simulate.SimulatedPanel:
    """A small market whose truth is known."""
    return bm.simulate.media_mix(regions=6, weeks=60, channels=2, controls=1, seed=19, max_lag=4)


@pytest.fixture(scope="session")
def fitted(simulated: bm.simulate.SimulatedPanel) -> bm.Fit:
    """The one model that many tests share, sampled to convergence."""
    panel = bm.MediaPanel.from_frame(simulated.frame, **simulated.columns)
    spec = bm.MediaMix(
        adstock=bm.GeometricAdstock(max_lag=4), knots=2, seasonality=bm.Fourier(order=2)
    )
    return bm.fit(spec, panel, seed=1, progress=False)


def _prior_fit(
    spec: bm.MediaMix, panel: bm.MediaPanel, *, seed: int = 1, chains: int = 2, draws: int = 4
) -> bm.Fit:
    model = spec.build(panel)
    kept = [v.name for v in model.unobserved_RVs if v.name not in spec.on_demand]
    with model:
        drawn = pm.sample_prior_predictive(
            draws=chains * draws,
            var_names=kept,
            random_seed=seed,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )["prior"].to_dataset()
    rows = drawn.isel(chain=0, drop=True)
    parts = [rows.isel(draw=slice(i * draws, (i + 1) * draws)) for i in range(chains)]
    posterior = xr.concat([p.assign_coords(draw=range(draws)) for p in parts], dim="chain")
    posterior = posterior.assign_coords(chain=range(chains)).transpose("chain", "draw", ...)
    stats = xr.Dataset({"diverging": xr.zeros_like(posterior["effect"][:, :, 0, 0], dtype=bool)})
    tree = xr.DataTree.from_dict({"/posterior": posterior, "/sample_stats": stats})
    tree.attrs = {"seed": seed}
    return bm.Fit(spec, panel, tree, bm.diagnose(tree))


@pytest.fixture(scope="session")
def prior_fit() -> Callable[..., bm.Fit]:
    """A quick stand-in for `fit` where any draws do: independent draws of the prior.

    A thousand or more pass the verdict.
    """
    return _prior_fit
