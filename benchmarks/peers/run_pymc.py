# /// script
# requires-python = ">=3.12,<3.15"
# dependencies = [
#     "pymc==6.4.0",
#     "pytensor==3.3.7",
#     "nutpie==0.16.11",
#     "numpyro==0.22.0",
#     "blackjax==1.7.1",
#     "jax==0.12.0.1",
#     "jaxlib==0.12.0.1",
#     "numba==0.68.0",
#     "numpy==2.5.5",
#     "scipy==1.18.1",
#     "pandas==3.1.1",
#     "xarray==2026.9.0",
# ]
# ///
"""The worker of the samplers that take a PyMC model; the lines above are their environment."""

from __future__ import annotations

import sys

from benchmarks.peers.protocol import serve

if __name__ == "__main__":
    serve("benchmarks.peers.pymc_family", sys.argv)
