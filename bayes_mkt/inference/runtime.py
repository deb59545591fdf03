"""JAX as this package uses it: 64-bit, one host device a core, a persistent compilation cache."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import jax
import numpy as np
import platformdirs
from jax.sharding import Mesh

CHAIN_AXIS = "chain"


def _host_devices() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def prepare() -> None:
    """Configure JAX once, before its first computation; what the user has set already is kept.

    Notes
    -----
    64-bit floats are switched on for the process, as PyTensor's own JAX backend does.
    Compiled programs are kept under the user's cache folder, so that a second run of the
    same model in a new process skips the compilation; `JAX_COMPILATION_CACHE_DIR` moves
    the folder.
    """
    jax.config.update("jax_enable_x64", True)
    if jax.config.jax_compilation_cache_dir is None:
        folder = Path(platformdirs.user_cache_dir("bayes_mkt")) / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    if "XLA_FLAGS" not in os.environ and jax.config.jax_num_cpu_devices in (-1, None):
        try:
            jax.config.update("jax_num_cpu_devices", _host_devices())
        except RuntimeError:
            # The backend is already running: its devices are used as they are.
            return


def gathered(array: jax.Array, count: int, axis: int) -> np.ndarray:
    """Return the first `count` entries, along the first axis, of an array spread along `axis`.

    Each device's part is looked at where it lies, and only what is asked for is copied.
    """
    parts = sorted(array.addressable_shards, key=lambda part: part.index[axis].start or 0)
    return np.concatenate([np.asarray(part.data)[:count] for part in parts], axis=axis)


def chain_mesh(chains: int) -> Mesh:
    """Return the device mesh over which `chains` chains are spread.

    The largest number of devices that divides the number of chains is used, so that every
    device holds equally many.
    """
    prepare()
    devices = jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if chains % n == 0)
    return Mesh(np.asarray(devices[:count]), (CHAIN_AXIS,))
