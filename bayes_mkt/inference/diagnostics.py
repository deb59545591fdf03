"""Whether draws can be trusted: R-hat, ESS, divergences, E-BFMI, and a verdict with a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayes_mkt.errors import SamplingError
from bayes_mkt.inference.ess import figures, mean_ess
from bayes_mkt.inference.judged import scalars
from bayes_mkt.inference.psis import Importance, importance_of
from bayes_mkt.inference.tails import tail_shapes

MAX_RHAT = 1.01
MIN_ESS = 400
SURE_ESS = 500  # of a part of the draws: all of them have `MIN_ESS` then
MAX_DIVERGING = 0.001
MIN_BFMI = 0.3
MAX_TAIL = 0.5

_MORE_DRAWS = "Run longer: raise target_ess or draws."
_TO_THE_END = "Run it to its end; with checkpoint= the same call goes on from here."
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
        construction have NaN. Weighted draws have no R-hat, and those of an approximation have
        the ESS of their weights.
    divergences
        Number of diverging transitions after warmup.
    min_bfmi
        Smallest energy fraction of missing information over chains.
    draws
        Draws of all chains together.
    findings
        What was noticed, failures first. Tails by whose Pareto k-hat a parameter may have no
        variance are noted, and don't fail: then its `sd` and `mcse_mean` are no estimates.
    importance
        For draws that were weighted, not sampled: by which method, and their k-hat; else None.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), Rank-normalization, folding, and
    localization. Betancourt (2016), Diagnosing suboptimal cotangent disintegrations. Vehtari,
    Simpson, Gelman, Yao, Gabry (2024), Pareto smoothed importance sampling.
    """

    table: xr.Dataset
    divergences: int
    min_bfmi: float
    draws: int
    findings: tuple[Finding, ...]
    importance: Importance | None = None

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
        ess = f"smallest ESS {self.min_ess_bulk:.0f} (bulk) and {self.min_ess_tail:.0f} (tail)"
        figures = f"{ess}, {self.divergences} divergences in {self.draws} draws"
        if self.importance is None:
            word = "Converged" if self.ok else "Not converged"
            figures = f"largest R-hat {self.max_rhat:.3f}, {figures}"
        elif self.importance.reweighted:
            word = "Reweighted" if self.ok else "Not usable, reweighted"
            figures = f"{self.importance}, {ess}"
        else:
            word = "Approximate, not sampled" if self.ok else "Not usable, and not sampled"
            figures = str(self.importance)
        if self.ok:
            notes = "".join(f" Note: {finding}" for finding in self.findings)
            return f"{word}: {figures}.{notes}"
        reasons = "\n".join(f"  - {finding}" for finding in self.findings if finding.failed)
        return f"{word}: {figures}.\n{reasons}"

    @property
    def state(self) -> str:
        """Return the verdict in a few words."""
        if self.importance is None:
            return "converged" if self.ok else "NOT converged"
        failed = "" if self.ok else "NOT usable: "
        return f"{failed}{self.importance.origin}, k-hat {self.importance.khat:.2f}"

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
    free = draws.attrs.get("free_variables")
    every = [str(name) for name in posterior]
    names, values = scalars(posterior, every if free is None else np.atleast_1d(free))
    table, stuck = _table(names, values)
    importance = importance_of(draws.attrs)
    if importance is not None and not importance.reweighted:
        return _approximate(names, values, table, importance)
    if importance is not None:
        # Chains agreed before they were weighted; resampled by one set of weights, they share it.
        table["rhat"] = xr.full_like(table["rhat"], np.nan)
    chains, length = values.shape[:2]
    diverging, bfmi = _transitions(stats)
    findings = [
        *_value_findings(names, values, stuck),
        *_mixing_findings(table, chains, length),
        *_energy_findings(draws.attrs, diverging, chains * length, bfmi),
        *_weight_findings(importance),
        *_tail_findings(table, values),
    ]
    findings += _run_findings(draws.attrs, findings, chains * length)
    findings.sort(key=lambda finding: not finding.failed)
    return Diagnostics(table, diverging, bfmi, chains * length, tuple(findings), importance)


def assured(draws: xr.DataTree) -> bool:
    """Return whether the verdict on draws is known to pass, from what their run saw at its end.

    A run that ends because a part of its draws was enough, by a margin in ESS and R-hat, says so:
    the figures of all of them are better but for chance, for which the margin is.

    Parameters
    ----------
    draws
        As `diagnose` takes them; attrs ``seen_ess``, ``seen_rhat``, without which nothing is known.
    """
    attrs, stats = draws.attrs, draws["sample_stats"].to_dataset()
    enough = attrs.get("seen_ess", 0.0) >= SURE_ESS
    if not enough or "interrupted" in attrs or stats.sizes["chain"] < 2:
        return False
    count = stats.sizes["chain"] * stats.sizes["draw"]
    diverging, bfmi = _transitions(stats)
    findings = _energy_findings(attrs, diverging, count, bfmi)
    return not any(finding.failed for finding in findings)


def _transitions(stats: xr.Dataset) -> tuple[int, float]:
    """Return the number of divergences, and the smallest E-BFMI; NaN where there is no energy."""
    diverging = int(stats["diverging"].sum()) if "diverging" in stats else 0
    if "energy" not in stats or stats.sizes["draw"] <= 3:
        return diverging, np.nan
    energy = stats["energy"].transpose("chain", "draw").to_numpy()
    moved = energy.var(axis=1) > 0
    return diverging, float(array_stats.bfmi(energy).min()) if moved.all() else 0.0


def _approximate(
    names: list[str], values: np.ndarray, table: xr.Dataset, importance: Importance
) -> Diagnostics:
    """Return the diagnostics of independent draws that were weighted: chains mean nothing here."""
    count = values.shape[0] * values.shape[1]
    size = min(importance.effective, float(count)) if importance.usable else np.nan
    moving = np.ptp(values, axis=(0, 1)) > 0
    ess = np.where(moving, size, np.nan)
    table = table.assign(
        rhat=("parameter", np.full(len(names), np.nan)),
        ess_bulk=("parameter", ess),
        ess_tail=("parameter", ess),
        mcse_mean=table["sd"] / np.sqrt(size),
    )
    findings = [
        *_value_findings(names, values, np.zeros(len(names), dtype=bool)),
        *_weight_findings(importance),
    ]
    if size < MIN_ESS:
        figure = f"{size:.0f}, below {MIN_ESS}"
        findings.append(Finding("effective draws", "", figure, "Raise draws, or sample."))
    return Diagnostics(table, 0, np.nan, count, tuple(findings), importance)


def _weight_findings(importance: Importance | None) -> list[Finding]:
    """Return failures of importance weights."""
    findings = []
    if importance is not None and importance.modes:
        figure = f"{importance.modes} climbs ended in a mode that the approximation leaves out"
        findings.append(Finding("modes", "", figure, "Use sampler='hmc' or 'pathfinder'."))
    if importance is not None and not importance.khat <= importance.limit:
        figure = f"{importance.khat:.2f}, above {importance.limit:.2f}"
        way = "likelihood='exact'" if importance.method == "expansion" else "sampler='hmc'"
        remedy = f"Part of the posterior is missed, which weights can't mend: use {way}."
        findings.append(Finding("k-hat", "", figure, remedy))
    return findings


def smallest_ess(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest of bulk and tail ESS and the largest R-hat of draws.

    Parameters
    ----------
    values
        (chain, draw, parameter); columns that never move in any chain at one common value are
        constants and don't count, a column that is stuck in one chain makes the ESS zero.
    """
    moving, stuck, finite = _motion(values)
    if not moving.any() or not finite.all() or stuck.any() or values.shape[1] < 4:
        return 0.0, np.inf
    found = figures(values if moving.all() else values[:, :, moving])
    rhat = np.nan_to_num(found.rhat, nan=1.0, posinf=np.inf)  # NaN of two values, evenly drawn
    return float(min(found.bulk.min(), found.tail.min())), float(rhat.max())


def _motion(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which parameters move, which of these are stuck in a chain, and which are finite.

    Parameters
    ----------
    values
        (chain, draw, parameter).
    """
    least, largest = values.min(axis=1), values.max(axis=1)
    finite = (np.isfinite(least) & np.isfinite(largest)).all(axis=0)
    moving = largest.max(axis=0) > least.min(axis=0)  # not where one is NaN
    return moving, moving & finite & (least == largest).any(axis=0), finite


def _table(names: list[str], values: np.ndarray) -> tuple[xr.Dataset, np.ndarray]:
    """Return the table of figures, and which parameters have a chain that never moves."""
    moving, stuck, finite = _motion(values)
    usable = moving & ~stuck & finite & (values.shape[1] >= 4)
    used = values if usable.all() else values[:, :, usable]
    found = figures(used) if usable.any() else None
    deviation = values.std(axis=(0, 1), ddof=1)
    columns = {
        "mean": values.mean(axis=(0, 1)),
        "sd": deviation,
        "mcse_mean": _fill(usable, deviation[usable] / np.sqrt(mean_ess(used)), np.nan),
        "ess_bulk": _fill(usable, found.bulk if found else [], np.nan),
        "ess_tail": _fill(usable, found.tail if found else [], np.nan),
        "rhat": _fill(usable, found.rhat if found else [], np.nan),
    }
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
    names = table["parameter"].to_numpy()
    rhat = np.nan_to_num(table["rhat"].to_numpy(), nan=0.0, posinf=np.inf)
    if (rhat > MAX_RHAT).any():
        worst, count = int(np.argmax(rhat)), int((rhat > MAX_RHAT).sum())
        figure = f"{rhat[worst]:.3f}, above {MAX_RHAT} ({count} parameters)"
        findings.append(Finding("rhat", str(names[worst]), figure, _REPARAMETRISE))
    for check in ("ess_bulk", "ess_tail"):
        ess = np.nan_to_num(table[check].to_numpy(), nan=np.inf)
        if (ess < MIN_ESS).any():
            worst, count = int(np.argmin(ess)), int((ess < MIN_ESS).sum())
            figure = f"{ess[worst]:.0f}, below {MIN_ESS} ({count} parameters)"
            findings.append(Finding(check, str(names[worst]), figure, _MORE_DRAWS))
    return findings


def _tail_findings(table: xr.Dataset, values: np.ndarray) -> list[Finding]:
    """Return that a parameter has no variance to report, which no check of mixing shows."""
    mean, sd = (table[name].to_numpy() for name in ("mean", "sd"))
    shapes = np.nan_to_num(tail_shapes(values, mean, sd), nan=0.0, posinf=0.0)
    heavy = shapes > MAX_TAIL
    if not heavy.any():
        return []
    worst = int(np.argmax(shapes))
    figure = f"Pareto k-hat {shapes[worst]:.2f}, above {MAX_TAIL} ({int(heavy.sum())} parameters)"
    remedy = (
        "Its variance may be infinite, and its SD no estimate: report the median and quantiles, "
        "or give it a prior with lighter tails."
    )
    name = str(table["parameter"].to_numpy()[worst])
    return [Finding("tails", name, figure, remedy, failed=False)]


def _run_findings(attrs: Mapping[Any, Any], findings: list[Finding], draws: int) -> list[Finding]:
    """Return that a run was interrupted: a failure unless its draws pass every other check."""
    if not attrs.get("interrupted"):
        return []
    failed = any(finding.failed for finding in findings)
    figure = f"stopped by hand after {draws} draws, before its end"
    return [Finding("interrupted", "", figure, _TO_THE_END, failed)]


def _energy_findings(
    attrs: Mapping[Any, Any], diverging: int, draws: int, bfmi: float
) -> list[Finding]:
    """Return failures of the Hamiltonian diagnostics."""
    findings = []
    if diverging:
        asked = float(attrs.get("target_accept", 0.9))
        higher = next((f"raise target_accept to {a}, " for a in (0.95, 0.99) if a > asked), "")
        remedy = (
            f"The posterior has regions of strong curvature: {higher}use non-centred group "
            "effects, or tighten the priors of scales."
        )
        figure = f"{diverging} of {draws} transitions, {diverging / draws:.2%}"
        failed = diverging / draws > MAX_DIVERGING
        findings.append(Finding("divergences", "", figure, remedy, failed))
    if bfmi < MIN_BFMI:
        remedy = "Heavy tails or funnels: reparametrise scales, or use lighter-tailed priors."
        findings.append(Finding("energy (E-BFMI)", "", f"{bfmi:.2f}, below {MIN_BFMI}", remedy))
    return findings
