"""The systems that are compared, and how a process of each is started."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).parents[1] / "peers"
OURS = "bayes_mkt"
MERIDIAN_MODELS = ("geo_media", "geo_all_channels")
CUDA = "jax[cuda13]==0.12.0.1"


@dataclass(frozen=True)
class System:
    """One sampler.

    Attributes
    ----------
    title
        How tables call it.
    settings
        With what it is run.
    script
        The worker, in `benchmarks/peers`.
    models
        The posteriors that it can sample; None for all.
    """

    title: str
    settings: str
    script: str
    models: tuple[str, ...] | None = None

    @property
    def ours(self) -> bool:
        """Return whether this is bayes_mkt itself, in the environment of this process."""
        return self.script == "run_bayes_mkt.py"

    def samples(self, model: str) -> bool:
        """Return whether the system can sample the posterior called `model`."""
        return self.models is None or model in self.models

    def command(self, platform: str = "cpu") -> list[str]:
        """Return the words that start a worker, less the path of its task.

        Raises
        ------
        FileNotFoundError
            If uv, which makes the environments of peers, is not found.
        """
        script = str(PEERS / self.script)
        if self.ours:
            return [sys.executable, script]
        beside = Path(sys.executable).parent / "uv"
        uv = str(beside) if beside.is_file() else shutil.which("uv")
        if uv is None:
            raise FileNotFoundError("uv, which makes the environments of peers, is not installed")
        extra = ["--with", CUDA] if platform == "gpu" else []
        return [uv, "run", "--quiet", "--python", sys.executable, *extra, "--script", script]


SYSTEMS = {
    OURS: System("bayes_mkt", "`bm.sample(model, target_ess=1000)`", "run_bayes_mkt.py"),
    "pymc": System("PyMC", "NUTS, 4 x (1000 + 1000)", "run_pymc.py"),
    "nutpie": System("nutpie", "4 x (400 + 1000)", "run_pymc.py"),
    "nutpie_low_rank": System(
        "nutpie, low rank", "low-rank metric, 4 x (800 + 1000)", "run_pymc.py"
    ),
    "numpyro": System("NumPyro", "NUTS, 4 x (1000 + 1000), a host device a chain", "run_pymc.py"),
    "blackjax": System(
        "BlackJAX",
        "NUTS with window adaptation, 4 x (1000 + 1000), a host device a chain",
        "run_pymc.py",
    ),
    "meridian": System(
        "Meridian", "4 x (500 + 500 + 500), JAX", "run_meridian.py", MERIDIAN_MODELS
    ),
}
QUICK_SYSTEMS = (OURS, "nutpie", "pymc")


def system(name: str) -> System:
    """Return the system called `name`; ``bayes_mkt:nuts`` is bayes_mkt with that sampler.

    Raises
    ------
    SystemExit
        For a name that is not known.
    """
    base, _, kernel = name.partition(":")
    if base not in SYSTEMS or (kernel and base != OURS):
        raise SystemExit(f"--systems {name}: choose from {', '.join(SYSTEMS)}, {OURS}:SAMPLER.")
    if not kernel:
        return SYSTEMS[base]
    settings = f'`bm.sample(model, target_ess=1000, sampler="{kernel}")`'
    return System(f"bayes_mkt, {kernel}", settings, SYSTEMS[base].script)
