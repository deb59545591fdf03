"""One seed, many named and independent streams.

A stage asks for its stream by name, so that adding a stage leaves the draws of every
other stage as they were.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    import jax
    import numpy as np


def check_seed(seed: int) -> int:
    """Return `seed` if it is an integer in [0, 2**32), else raise `SpecError`."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise SpecError(f"seed={seed!r} is not an integer. Give one such as seed=1.")
    value = seed.__index__()
    if not 0 <= value < 2**32:
        raise SpecError(f"seed={value} lies outside 0 <= seed < 2**32.")
    return value


def key(seed: int, stream: str) -> jax.Array:
    """Return the JAX key of the named stream: ``fold_in(key(seed), crc32(stream))``."""
    import jax

    return jax.random.fold_in(jax.random.key(check_seed(seed)), zlib.crc32(stream.encode()))


def generator(seed: int, stream: str, *parts: int) -> np.random.Generator:
    """Return the NumPy generator of the named stream, or of a numbered part of it.

    Examples
    --------
    >>> a, b = generator(1, "noise"), generator(1, "noise")
    >>> bool(a.normal() == b.normal())
    True
    """
    import numpy as np

    entropy = [check_seed(seed), zlib.crc32(stream.encode())]
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=parts))


def integer(seed: int, stream: str) -> int:
    """Return a 32-bit integer seed of the named stream, for libraries that want one."""
    return int(generator(seed, stream).integers(0, 2**31 - 1))
