"""What a measurement ran on, and how its result is written."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
PACKAGES = ("bayes-mkt", "pymc", "pytensor", "jax", "blackjax", "numpy", "scipy", "xarray")


def described(command: str) -> dict[str, Any]:
    """Return date, command, versions and machine, as every result begins."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": command,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "machine": machine(),
    }


def data_folder(given: Path | None) -> Path:
    """Return `given`, else the folder that BAYES_MKT_DATA names, else `shared/data` beside us."""
    return given or Path(os.environ.get("BAYES_MKT_DATA") or BESIDE)


def real_data(given: Path | None, name: str) -> Path:
    """Return where the data set `name`, a file or folder, lies in `data_folder`.

    Raises
    ------
    SystemExit
        If it isn't there.
    """
    folder = data_folder(given)
    if not (folder / name).exists():
        raise SystemExit(f"{folder / name} is absent: name its folder by --data or BAYES_MKT_DATA")
    return folder / name


def machine() -> dict[str, Any]:
    """Return system, processor, cores and memory; no name of the host."""
    import jax

    from bayes_mkt.inference.runtime import prepare

    prepare()  # before JAX starts, which asking for its devices makes it do
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if _has_sysconf() else None
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": None if memory is None else round(memory / 2**30, 1),
        "jax_backend": jax.default_backend(),
        "jax_devices": jax.device_count(),
    }


def _has_sysconf() -> bool:
    return hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    if known.is_file():
        for line in known.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def rounded(value: Any, digits: int = 5) -> Any:
    """Return `value` with every float in it rounded to significant digits."""
    if isinstance(value, Mapping):
        return {key: rounded(part, digits) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part, digits) for part in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def write(name: str, result: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write a result to ``folder/name.json``: whole, or not at all.

    A list of rows takes one line for each row, so that two results can be compared by eye.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = _text(rounded(dict(result)))
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".json")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _text(result: Mapping[str, Any]) -> str:
    parts = []
    for key, value in result.items():
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
            parts.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            body = json.dumps(value, indent=2).replace("\n", "\n  ")
            parts.append(f"  {json.dumps(key)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
