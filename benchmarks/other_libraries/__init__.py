"""Other libraries beside ours, each script in a pinned environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def run(script: str, arrays: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """Hand arrays to a script of this folder, and return those that it leaves.

    Parameters
    ----------
    script
        Name of the file, without its ending.
    arrays
        What it reads from `in.npz`.
    **options
        What it reads from `options.json`.

    Raises
    ------
    SystemExit
        If the environment can't be made, or the script fails.
    """
    uv = Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory(prefix="library-") as name:
        folder = Path(name)
        np.savez(folder / "in.npz", **arrays)
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        command = [str(uv), "run", "--no-project", str(HERE / f"{script}.py"), str(folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise SystemExit(f"{script}: {last[0]}")
        with np.load(folder / "out.npz", allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
