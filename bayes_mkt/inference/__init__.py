"""Log-densities in, draws and a verdict out; JAX is configured before anything computes with it."""

from __future__ import annotations

from bayes_mkt.inference.runtime import prepare

# BlackJAX computes when it is imported, which fixes the number of JAX's devices.
prepare()
