"""Draws beyond what memory should hold lie on disk, bit-equal, and are read by parts."""

from __future__ import annotations

import copy
import errno
import gc
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference import collect, judged, netcdf, store
from tests.inference import runs

short_run = pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
SHORT: dict[str, Any] = {"seed": 3, "draws": 270, "progress": False}


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder where temporary ones are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Path:
    """Let draws go to disk after the second chunk."""
    monkeypatch.setattr(store, "LIMIT", 400_000)
    monkeypatch.setattr(store, "SMALL", 50_000)
    return temporary


@pytest.fixture(scope="module")
def in_memory() -> xr.DataTree:
    return bm.sample(runs.model(), **SHORT)


def lazy(array: xr.DataArray) -> bool:
    return not isinstance(array.variable._data, np.ndarray)


@short_run
def test_draws_on_disk_are_those_of_memory(in_memory: xr.DataTree, little_memory: Path) -> None:
    draws = bm.sample(runs.model(), **SHORT)
    assert not lazy(in_memory.posterior["mean"])
    assert lazy(draws.posterior["mean"])
    # What is small is read at once.
    assert not lazy(draws.posterior["scale"])
    for group in ("posterior", "sample_stats"):
        xr.testing.assert_identical(in_memory[group].to_dataset(), draws[group].to_dataset())
    # Looking at an array does not keep it in memory.
    assert lazy(draws.posterior["mean"])
    xr.testing.assert_identical(bm.diagnose(draws).table, bm.diagnose(in_memory).table)


@short_run
def test_the_run_stops_at_the_same_draw(
    monkeypatch: pytest.MonkeyPatch, little_memory: Path
) -> None:
    options: dict[str, Any] = {"seed": 3, "target_ess": 3000, "progress": False}
    on_disk = bm.sample(runs.model(), **options)
    monkeypatch.setattr(store, "LIMIT", 2**30)
    xr.testing.assert_identical(
        bm.sample(runs.model(), **options).posterior.to_dataset(), on_disk.posterior.to_dataset()
    )


@short_run
def test_temporary_files_live_as_long_as_what_refers_to_them(little_memory: Path) -> None:
    draws = bm.sample(runs.model(), **SHORT)
    (folder,) = little_memory.iterdir()
    some = draws.posterior["mean"].isel(draw=[3, 5])
    twin = copy.deepcopy(draws)
    before = some.to_numpy()
    del draws
    gc.collect()
    np.testing.assert_array_equal(some.copy().to_numpy(), before)
    np.testing.assert_array_equal(twin.posterior["mean"].isel(draw=[3, 5]), before)
    del some, twin
    gc.collect()
    assert not folder.exists()


def test_a_full_disk_is_said_and_nothing_is_left(
    little_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = iter(range(4))
    write = store.Files.write

    def until_full(self: store.Files, name: str, first: int, values: np.ndarray) -> None:
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, name, first, values)

    monkeypatch.setattr(store.Files, "write", until_full)
    with pytest.raises(bm.SamplingError, match=r"entries in each draw.*var_names"):
        bm.sample(runs.model(), **SHORT)
    gc.collect()
    assert not list(little_memory.glob("bayes_mkt-*"))


@short_run
def test_draws_do_not_depend_on_the_size_of_batches(
    monkeypatch: pytest.MonkeyPatch, in_memory: xr.DataTree
) -> None:
    monkeypatch.setattr(collect, "BATCH", 8 * 52 * 8 * 5)
    draws = bm.sample(runs.model(), **SHORT)
    xr.testing.assert_allclose(
        in_memory.posterior.to_dataset(), draws.posterior.to_dataset(), rtol=1e-12, atol=1e-12
    )


@short_run
def test_large_arrays_are_judged_by_some_entries(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setattr(judged, "MOST_ENTRIES", 7)
    options: dict[str, Any] = {"seed": 3, "target_ess": 3000, "progress": False}
    whole = bm.sample(runs.model(), **options)
    for limit, batch in ((2**30, 100_000), (400_000, 2**27), (400_000, 100_000)):
        monkeypatch.setattr(store, "LIMIT", limit)
        # Read back, and judged, a few columns at a time.
        monkeypatch.setattr(store, "BATCH", batch)
        parts = bm.sample(runs.model(), **options)
        xr.testing.assert_identical(whole.posterior.to_dataset(), parts.posterior.to_dataset())
        table = bm.diagnose(parts).table
        xr.testing.assert_identical(bm.diagnose(whole).table, table)
        names = [str(name) for name in table["parameter"].to_numpy()]
        assert sum(name.startswith("mean[") for name in names) == 7


@short_run
@pytest.mark.parametrize("on_disk", [False, True])
def test_lazy_draws_are_saved_and_loaded(
    monkeypatch: pytest.MonkeyPatch, in_memory: xr.DataTree, little_memory: Path, on_disk: bool
) -> None:
    draws = bm.sample(runs.model(), **SHORT)
    monkeypatch.setattr(store, "BATCH", 100_000)
    if not on_disk:
        monkeypatch.setattr(store, "LIMIT", 2**30)
    file = little_memory / "draws.nc"
    netcdf.write(draws, file)
    read = netcdf.read(file)
    assert lazy(read.posterior["mean"]) == on_disk
    for group in in_memory.children:
        xr.testing.assert_equal(read[group].to_dataset(), in_memory[group].to_dataset())
    assert dict(read.attrs)["seed"] == 3
    with xr.open_datatree(file, engine="h5netcdf") as plain:
        xr.testing.assert_equal(plain.posterior.to_dataset(), in_memory.posterior.to_dataset())
    read.close()


@pytest.mark.parametrize("shape", [(), (7,), (3, 4), (2, 3, 50), (5, 0), (1, 1000)])
@pytest.mark.parametrize("most", [1, 6, 40, 10**6])
def test_boxes_fill_an_array_in_order(shape: tuple[int, ...], most: int) -> None:
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    parts = [numbers[where].ravel() for where in store._boxes(shape, most)]
    joined = np.concatenate([np.empty(0, int), *parts])
    np.testing.assert_array_equal(joined, np.arange(numbers.size))
    assert all(part.size <= most for part in parts)


@pytest.fixture(params=["memory", "files"])
def draws(request: pytest.FixtureRequest, temporary: Path) -> store.Draws:
    kept = store.Draws(20)
    if request.param == "files":
        kept.keep_in(store.Files(store.Folder(temporary), 20))
    return kept


def test_what_is_written_is_read(draws: store.Draws) -> None:
    rng = np.random.default_rng(1)
    arrays = {"a/x": rng.normal(size=(2, 20)), "a/y.z/[1]": rng.normal(size=(2, 20, 3, 4))}
    for first in (0, 5, 10):
        for name, values in arrays.items():
            draws.write(name, first, values[:, first : first + 5])
    for name, values in arrays.items():
        np.testing.assert_array_equal(draws.read(name, 12), values[:, :12])
    flat = np.concatenate([v[:, :12].reshape(2, 12, -1) for v in arrays.values()], axis=2)
    np.testing.assert_array_equal(np.concatenate(list(draws.columns(arrays, 12)), axis=2), flat)
    draws.finish(12)
    for found, values in zip(draws.take(list(arrays), 12), arrays.values(), strict=True):
        np.testing.assert_array_equal(found, values[:, :12])


PROGRAM = """
import json, resource, sys
import numpy as np, pymc as pm
from bayes_mkt.inference import collect, store
from bayes_mkt.inference.sampling import Settings, draw

store.LIMIT, store.BATCH, collect.BATCH = 2**25, 2**23, 2**23

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

with pm.Model() as model:
    b = pm.HalfNormal("b", 1.0, shape=10)
    pm.Deterministic("wide", b * np.ones((1500, 10)))
    pm.Normal("y", b, 1.0, observed=np.ones(10))
found = []
for draws in (50, 800):
    tree = draw(model, Settings(seed=1, draws=draws), progress=False)
    found.append((peak(), tree.posterior["wide"].nbytes / 2**20))
print(json.dumps(found))
"""


def test_peak_memory_does_not_grow_with_the_number_of_draws() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=runs.ROOT, check=True
    )
    (few, small), (many, large) = json.loads(done.stdout)
    assert large - small > 600
    # In MiB: what memory may hold, a few batches, and the garbage of an allocator.
    assert many - few < 150
