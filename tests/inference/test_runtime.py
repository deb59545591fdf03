"""JAX is set up once, and chains are dealt out evenly over its devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_mkt.inference.runtime import chain_mesh, prepare

REPORT = """
import json, jax
from bayes_mkt.inference.runtime import chain_mesh
mesh = {n: chain_mesh(n).size for n in range(1, 9)}
print(json.dumps({
    "mesh": mesh,
    "devices": len(jax.devices()),
    "cache": str(jax.config.jax_compilation_cache_dir),
    "x64": jax.config.jax_enable_x64,
}))
"""


def in_a_new_process(**environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_floats_have_64_bits() -> None:
    prepare()
    assert jnp.asarray(np.ones(1)).dtype == jnp.float64


@pytest.mark.parametrize("chains", range(1, 10))
def test_every_device_holds_equally_many_chains(chains: int) -> None:
    mesh = chain_mesh(chains)
    assert chains % mesh.size == 0
    larger = range(mesh.size + 1, len(jax.devices()) + 1)
    assert not any(chains % n == 0 for n in larger)


def test_three_devices_and_a_cache_of_the_users_own(tmp_path: Path) -> None:
    report = in_a_new_process(
        XLA_FLAGS="--xla_force_host_platform_device_count=3",
        JAX_COMPILATION_CACHE_DIR=str(tmp_path),
    )
    assert report["devices"] == 3
    sizes = {"1": 1, "2": 2, "3": 3, "4": 2, "5": 1, "6": 3, "7": 1, "8": 2}
    assert report["mesh"] == sizes
    assert report["cache"] == str(tmp_path)
    assert report["x64"] is True
