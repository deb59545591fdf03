"""Whether draws can be trusted: R-hat, ESS, divergences, E-BFMI, and a verdict with a remedy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayes_mkt.errors import SamplingError

MAX_RHAT = 1.01
MIN_ESS = 400
MAX_DIVERGING = 0.001
MIN_BFMI = 0.3

_TAIL = (0.05, 0.95)
_MORE_DRAWS = "Run longer: raise target_ess or draws."
_REPARAMETRISE = (
    "Chains disagree or mix slowly: run longer, tighten the prior of this parameter, or "
    "reparametrise (non-centred group effects, fewer knots); two modes need a different model."
)


@dataclass(frozen=True)
class Finding:
    """One thing that the diagnostics noticed.

    Attributes
    ----------
    check
        Name of the check, as `"rhat"` or `"divergences"`.
    parameter
        The worst parameter, with its coordinates; empty for checks of the whole run.
    figure
        The value found beside the value required.
    remedy
        What to do.
    failed
        Whether it fails the verdict, or is only worth knowing.
    """

    check: str
    parameter: str
    figure: str
    remedy: str
    failed: bool = True

    def __str__(self) -> str:
        where = f" of {self.parameter}" if self.parameter else ""
        return f"{self.check}{where}: {self.figure}. {self.remedy}"


@dataclass(frozen=True)
class Diagnostics:
    """The verdict on a set of draws, and the figures behind it.

    Attributes
    ----------
    table
        Dims ``parameter``: `rhat` (rank-normalised split R-hat), `ess_bulk`, `ess_tail` (of the
        5% and 95% quantiles), `mean`, `sd`, `mcse_mean`. Parameters that are constant by
        construction have NaN.
    divergences
        Number of diverging transitions after warmup.
    min_bfmi
        Smallest energy fraction of missing information over chains.
    draws
        Draws of all chains together.
    findings
        What was noticed, failures first.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), Rank-normalization, folding, and
    localization. Betancourt (2016), Diagnosing suboptimal cotangent disintegrations.
    """

    table: xr.Dataset
    divergences: int
    min_bfmi: float
    draws: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Return whether no check failed."""
        return not any(finding.failed for finding in self.findings)

    @property
    def max_rhat(self) -> float:
        """Return the largest R-hat."""
        return float(self.table["rhat"].max())

    @property
    def min_ess_bulk(self) -> float:
        """Return the smallest bulk effective sample size."""
        return float(self.table["ess_bulk"].min())

    @property
    def min_ess_tail(self) -> float:
        """Return the smallest tail effective sample size."""
        return float(self.table["ess_tail"].min())

    @property
    def verdict(self) -> str:
        """Return the verdict in words, with each failure's parameter, figure and remedy."""
        figures = (
            f"largest R-hat {self.max_rhat:.3f}, smallest ESS {self.min_ess_bulk:.0f} (bulk) and "
            f"{self.min_ess_tail:.0f} (tail), {self.divergences} divergences in {self.draws} draws"
        )
        if self.ok:
            notes = "".join(f" Note: {finding}" for finding in self.findings)
            return f"Converged: {figures}.{notes}"
        reasons = "\n".join(f"  - {finding}" for finding in self.findings if finding.failed)
        return f"Not converged: {figures}.\n{reasons}"

    def require_ok(self) -> None:
        """Raise `SamplingError` with the verdict unless it is ok."""
        if not self.ok:
            raise SamplingError(self.verdict)


def diagnose(draws: xr.DataTree) -> Diagnostics:
    """Return the diagnostics of draws in ArviZ layout.

    Parameters
    ----------
    draws
        Groups `posterior` (dims ``chain, draw, ...``) and `sample_stats`.
    """
    posterior, stats = draws["posterior"].to_dataset(), draws["sample_stats"].to_dataset()
    names, values = _flatten(posterior)
    table, stuck = _table(names, values)
    chains, length = values.shape[:2]
    diverging = int(stats["diverging"].sum()) if "diverging" in stats else 0
    bfmi = np.nan
    if "energy" in stats and length > 3:
        energy = stats["energy"].transpose("chain", "draw").to_numpy()
        moved = energy.var(axis=1) > 0
        bfmi = float(array_stats.bfmi(energy).min()) if moved.all() else 0.0
    findings = [
        *_value_findings(names, values, stuck),
        *_mixing_findings(table, chains, length),
        *_energy_findings(diverging, chains * length, bfmi),
    ]
    findings.sort(key=lambda finding: not finding.failed)
    return Diagnostics(table, diverging, bfmi, chains * length, tuple(findings))


def smallest_ess(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest of bulk and tail ESS and the largest R-hat of draws.

    Parameters
    ----------
    values
        (chain, draw, parameter); columns that never move in any chain at one common value are
        constants and don't count, a column that is stuck in one chain makes the ESS zero.
    """
    spread = np.ptp(values, axis=1)
    moving = np.ptp(values, axis=(0, 1)) > 0
    if not np.isfinite(values).all() or (spread[:, moving] == 0).any():
        return 0.0, np.inf
    used = values[:, :, moving]
    if not used.shape[2] or values.shape[1] < 4:
        return 0.0, np.inf
    bulk = _ess(used, "bulk")
    tail = _ess(used, "tail")
    return float(min(bulk.min(), tail.min())), float(_rhat(used).max())


def _ess(values: np.ndarray, method: str) -> np.ndarray:
    prob = _TAIL if method == "tail" else None
    return np.atleast_1d(
        array_stats.ess(values, chain_axis=0, draw_axis=1, method=method, prob=prob)
    )


def _rhat(values: np.ndarray) -> np.ndarray:
    return np.atleast_1d(array_stats.rhat(values, chain_axis=0, draw_axis=1))


def _flatten(posterior: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """Return a label for each scalar of the posterior, and the draws (chain, draw, parameter)."""
    names: list[str] = []
    columns = []
    for name, array in posterior.data_vars.items():
        ordered = array.transpose("chain", "draw", ...)
        dims = ordered.dims[2:]
        labels = [[_label(v) for v in ordered[d].to_numpy()] for d in dims]
        for index in np.ndindex(*ordered.shape[2:]):
            inside = ", ".join(labels[k][i] for k, i in enumerate(index))
            names.append(f"{name}[{inside}]" if inside else str(name))
        columns.append(ordered.to_numpy().reshape(*ordered.shape[:2], -1))
    return names, np.concatenate(columns, axis=2)


def _label(value: object) -> str:
    return str(value)[:10] if isinstance(value, np.datetime64) else str(value)


def _table(names: list[str], values: np.ndarray) -> tuple[xr.Dataset, np.ndarray]:
    """Return the table of figures, and which parameters have a chain that never moves."""
    moving = np.ptp(values, axis=(0, 1)) > 0
    stuck = moving & (np.ptp(values, axis=1) == 0).any(axis=0)
    usable = moving & ~stuck & np.isfinite(values).all(axis=(0, 1)) & (values.shape[1] >= 4)
    used = values[:, :, usable]
    columns = {
        "mean": values.mean(axis=(0, 1)),
        "sd": values.std(axis=(0, 1), ddof=1),
        "mcse_mean": _fill(usable, used.std(axis=(0, 1), ddof=1), np.nan),
        "ess_bulk": _fill(usable, _ess(used, "bulk") if usable.any() else [], np.nan),
        "ess_tail": _fill(usable, _ess(used, "tail") if usable.any() else [], np.nan),
        "rhat": _fill(usable, _rhat(used) if usable.any() else [], np.nan),
    }
    if usable.any():
        mean_ess = array_stats.ess(used, chain_axis=0, draw_axis=1, method="mean")
        columns["mcse_mean"] /= _fill(usable, np.sqrt(np.atleast_1d(mean_ess)), np.nan)
    table = xr.Dataset(
        {name: ("parameter", column) for name, column in columns.items()},
        coords={"parameter": names},
    )
    return table, stuck


def _fill(where: np.ndarray, values: np.ndarray | list[float], other: float) -> np.ndarray:
    out = np.full(where.shape, other)
    out[where] = values
    return out


def _value_findings(names: list[str], values: np.ndarray, stuck: np.ndarray) -> list[Finding]:
    """Return what is wrong with the values themselves."""
    findings = []
    broken = ~np.isfinite(values).all(axis=(0, 1))
    if broken.any():
        first = names[int(np.argmax(broken))]
        figure = f"{int(broken.sum())} parameters have draws that are NaN or infinite"
        remedy = "The density overflows: check scales, bounds and divisions by zero in the model."
        findings.append(Finding("finite draws", first, figure, remedy))
    if stuck.any():
        first = names[int(np.argmax(stuck))]
        figure = f"a chain never moved in {int(stuck.sum())} parameters"
        remedy = "Rescale the parameters, check the gradient for NaN, or give better `initval=`."
        findings.append(Finding("stuck chain", first, figure, remedy))
    return findings


def _mixing_findings(table: xr.Dataset, chains: int, length: int) -> list[Finding]:
    """Return failures of R-hat and of the effective sample sizes."""
    findings = []
    if chains < 2:
        figure = "one chain can't show whether chains agree"
        findings.append(Finding("chains", "", figure, "Run at least 2 chains, better 4."))
    if length < 4:
        figure = f"{length} of each chain, too few to be judged"
        findings.append(Finding("draws", "", figure, _MORE_DRAWS))
    rhat = table["rhat"].fillna(0.0)
    if float(rhat.max()) > MAX_RHAT:
        figure = (
            f"{float(rhat.max()):.3f}, above {MAX_RHAT} ({int((rhat > MAX_RHAT).sum())} parameters)"
        )
        findings.append(Finding("rhat", str(rhat.idxmax().item()), figure, _REPARAMETRISE))
    for check in ("ess_bulk", "ess_tail"):
        ess = table[check].fillna(np.inf)
        if float(ess.min()) < MIN_ESS:
            count = int((ess < MIN_ESS).sum())
            figure = f"{float(ess.min()):.0f}, below {MIN_ESS} ({count} parameters)"
            findings.append(Finding(check, str(ess.idxmin().item()), figure, _MORE_DRAWS))
    return findings


def _energy_findings(diverging: int, draws: int, bfmi: float) -> list[Finding]:
    """Return failures of the Hamiltonian diagnostics."""
    findings = []
    if diverging:
        remedy = (
            "The posterior has regions of strong curvature: raise target_accept to 0.95, use "
            "non-centred group effects, or tighten the priors of scales."
        )
        figure = f"{diverging} of {draws} transitions, {diverging / draws:.2%}"
        failed = diverging / draws > MAX_DIVERGING
        findings.append(Finding("divergences", "", figure, remedy, failed))
    if bfmi < MIN_BFMI:
        remedy = "Heavy tails or funnels: reparametrise scales, or use lighter-tailed priors."
        findings.append(Finding("energy (E-BFMI)", "", f"{bfmi:.2f}, below {MIN_BFMI}", remedy))
    return findings
