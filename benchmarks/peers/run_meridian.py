# /// script
# requires-python = ">=3.12,<3.14"
# dependencies = [
#     "google-meridian==2.1.0",
#     "jax==0.12.0.1",
#     "jaxlib==0.12.0.1",
#     "tensorflow==2.21.0",
#     "tfp-nightly==0.26.0.dev20260130",
#     "numpy==2.3.5",
# ]
# ///
"""The worker of Meridian; the lines above are its environment."""

from __future__ import annotations

import sys

from benchmarks.peers.protocol import serve

if __name__ == "__main__":
    serve("benchmarks.peers.meridian_own", sys.argv)
