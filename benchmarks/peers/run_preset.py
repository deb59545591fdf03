"""The worker of `MediaMix.meridian()`: runs in the environment of this checkout."""

from __future__ import annotations

import sys

from benchmarks.peers.protocol import serve

if __name__ == "__main__":
    serve("benchmarks.peers.preset", sys.argv)
