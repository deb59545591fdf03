"""Attempts to refute a media mix: placebos, dropped data, hidden causes, the weight of priors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd

from bayes_mkt import seeds
from bayes_mkt.dims import CHANNEL, CONTROL, DATE, REGION, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, Options, usable
from bayes_mkt.media_mix.counterfactual import incremental_sales
from bayes_mkt.media_mix.estimand import Estimand
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.media_mix.plan import periods_a_year
from bayes_mkt.media_mix.prior_weight import contraction, scaling
from bayes_mkt.media_mix.refits import fitted_again, with_controls
from bayes_mkt.media_mix.unseen import robustness

CHECKS = (
    "placebo",
    "future",
    "random_cause",
    "dropped_region",
    "hidden_cause",
    "prior",
    "prior_scaling",
)
# A check of several channels fails on clean data in this share of cases.
ALARM = 0.02
MOVED = 0.5
UNLIKE = 3.0
FRAGILE = 0.1
CONTRACTION = 0.2
SENSITIVE = 0.05
COLUMNS = ["check", "subject", "value", "low", "high", "verdict", "reading"]


@dataclass(frozen=True)
class Refutation:
    """What was tried against a fit, and how it stood.

    Attributes
    ----------
    table
        One row for each check and subject: `check`, `subject` (a channel, a region), `value`,
        `low` and `high` (the range in which the check passes or, for placebos, the interval that
        must hold zero), `verdict` (`pass`, `fail`, `fragile`, `prior-driven`, `not converged`,
        `skipped`) and `reading`, a sentence.
    """

    table: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Return whether no check failed; labels such as `prior-driven` are no failures."""
        return not bool(self.table["verdict"].isin(["fail", "not converged"]).any())

    def verdict(self, check: str) -> str:
        """Return the worst verdict of a check."""
        found = set(self.table.loc[self.table["check"] == check, "verdict"])
        order = ("fail", "not converged", "fragile", "prior-driven", "skipped", "pass")
        return next(word for word in order if word in found)


def refute(
    fit: Fit,
    *,
    seed: int,
    checks: Sequence[str] = CHECKS,
    allow_unconverged: bool = False,
    **options: Unpack[Options],
) -> Refutation:
    """Return attempts to refute a fitted media mix, each with a verdict.

    ==============  ===============================================================================
    placebo         Each channel's contribution, its dates shuffled within the quarters of the year,
                    enters as a control: its effect must hold zero.
    future          Each channel's media of the next period, and of the next quarter, enter as
                    controls, log(1 + x): what hasn't happened can't sell. An effect says that
                    spend follows sales, or that a date is wrong.
    random_cause    A control of noise is added: no channel's contribution may move by more than
                    half of its posterior SD.
    dropped_region  The region with the largest contribution is left out: those of the others must
                    not move by more than 3 SDs of such a change.
    hidden_cause    How much of what is left of spend and of sales (partial R^2, of both alike) an
                    unseen cause must explain to take a channel's whole contribution away; below
                    10 % it is `fragile`.
    prior           How much narrower the posterior of ROI (or what has the prior) is than the
                    prior, 1 - Var(log posterior) / Var(log prior); below 20 % it is `prior-driven`.
    prior_scaling   How far the same moves where its prior is raised to a power (0.8 and 1.25):
                    the power-scaling sensitivity; from 0.05 on it is `prior-driven`.
    ==============  ===============================================================================

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    seed
        Integer.
    checks
        Which to make.
    allow_unconverged
        Whether to try a fit whose verdict failed.
    **options
        Of the refits, as in `bayes_mkt.fit`, without `checkpoint`: they are several runs. One
        that fails its verdict is sampled once more, with `target_accept=0.95` and no fewer
        effective draws than a verdict asks, unless `draws`, `target_accept` or an approximation
        was asked for; then, or after that, its check is `not converged`.

    Returns
    -------
    Refutation
        The table.

    Raises
    ------
    SpecError
        For an unknown check, or a checkpoint.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Passing refutes nothing: a cause that moves spend and sales alike, every week and everywhere,
    passes all but `hidden_cause`, which says how strong it would have to be. Intervals of the
    placebos are wide enough that all channels together raise a false alarm in 2 % of cases.

    References
    ----------
    Cinelli & Hazlett (2020), Making sense of sensitivity: extending omitted variable bias, for the
    robustness value; it is that of least squares, here with the posterior's mean and SD.
    Kallioinen, Paananen, Burkner, Vehtari (2024), Detecting and diagnosing prior and likelihood
    sensitivity with power-scaling.
    """
    usable(fit, allow_unconverged)
    known_checks(checks)
    if options.get("checkpoint") is not None:
        raise SpecError("checkpoint: a refutation is several runs, which one can't hold. Leave it.")
    rows: list[dict[str, Any]] = []
    if "placebo" in checks:
        rows += _placebo(fit, seed, options)
    if "future" in checks:
        rows += _future(fit, seed, options)
    if "random_cause" in checks:
        rows += _random_cause(fit, seed, options)
    if "dropped_region" in checks:
        rows += _dropped_region(fit, seed, options)
    if "hidden_cause" in checks:
        rows += _hidden_cause(fit)
    if "prior" in checks:
        rows += _prior(fit)
    if "prior_scaling" in checks:
        rows += _prior_scaling(fit)
    return Refutation(pd.DataFrame(rows, columns=COLUMNS))


def known_checks(checks: Sequence[str]) -> None:
    """Raise `SpecError` unless there are checks, all of them known."""
    if not checks or any(name not in CHECKS for name in checks):
        raise SpecError(f"checks={list(checks)!r}: choose from {', '.join(CHECKS)}.")


def _placebo(base: Fit, seed: int, options: Options) -> list[dict[str, Any]]:
    panel = base.data
    contribution = incremental_sales(base, by=(REGION, DATE, CHANNEL), allow_unconverged=True)
    level = contribution.mean(SAMPLE).transpose(REGION, DATE, CHANNEL).to_numpy()
    if "population" in panel.data:
        level = level / panel.data["population"].to_numpy()[:, None, None]
    rng = seeds.generator(seed, "placebo")
    order = np.arange(panel.n_dates)
    quarter = panel.dates.quarter.to_numpy()
    for one in np.unique(quarter):
        inside = np.flatnonzero(quarter == one)
        order[inside] = rng.permutation(inside)
    named = {f"placebo {c}": level[:, order, m] for m, c in enumerate(panel.channels)}
    reading = "the shuffled media {word} sales."
    return _no_effect(base, "placebo", panel, named, seed, options, reading)


def _future(base: Fit, seed: int, options: Options) -> list[dict[str, Any]]:
    quarter = max(round(periods_a_year(base.data) / 4), 2)
    panel = base.data
    if panel.n_dates <= 3 * quarter:
        return [_row("future", "all", "skipped", f"the panel has only {panel.n_dates} dates.")]
    exposure = panel.data["exposure"].to_numpy()
    if "population" in panel.data:
        exposure = exposure / panel.data["population"].to_numpy()[:, None, None]
    # Logarithms, so that a few large campaigns don't decide.
    typical = [np.median(x[x > 0]) for x in np.moveaxis(exposure, 2, 0)]
    exposure = np.log1p(exposure / np.asarray(typical))
    left = panel.between(end=str(panel.dates[-quarter - 1].date()))
    count = left.n_dates
    rows = []
    for lead, word in ((1, "the next period's"), (quarter, "the next quarter's")):
        named = {
            f"{word} {c}": exposure[:, lead : lead + count, m] for m, c in enumerate(panel.channels)
        }
        reading = f"{word} media {{word}} today's sales."
        rows += _no_effect(base, "future", left, named, seed, options, reading)
    return rows


def _no_effect(
    base: Fit,
    check: str,
    panel: MediaPanel,
    named: dict[str, np.ndarray],
    seed: int,
    options: Options,
    reading: str,
) -> list[dict[str, Any]]:
    """Return rows on controls that must have no effect."""
    named = {name: values for name, values in named.items() if np.ptp(values) > 0}
    again = fitted_again(base, with_controls(panel, named), seed, options)
    rows = []
    inside = 1.0 - ALARM / max(len(named), 1)
    for name in named:
        # The mean of these regions' effects: that of all regions there might be is less certain.
        regional = "region_control_effect" in again.posterior
        own = "region_control_effect" if regional else "control_effect"
        effect = again.posterior[own].sel({CONTROL: name})
        effect = effect.mean(REGION) if REGION in effect.dims else effect
        low, high = (float(q) for q in effect.quantile([(1 - inside) / 2, (1 + inside) / 2]))
        good = low <= 0 <= high
        if not again.diagnostics.ok:
            rows.append(_row(check, name, "not converged", again.diagnostics.verdict))
            continue
        word = "say nothing of" if good else "seem to move"
        rows.append(
            _row(
                check,
                name,
                "pass" if good else "fail",
                reading.format(word=word),
                value=float(effect.mean()),
                low=low,
                high=high,
            )
        )
    return rows


def _random_cause(base: Fit, seed: int, options: Options) -> list[dict[str, Any]]:
    panel = base.data
    rng = seeds.generator(seed, "random cause")
    noise = rng.standard_normal((panel.n_regions, panel.n_dates))
    again = fitted_again(base, with_controls(panel, {"random cause": noise}), seed, options)
    before, after = (incremental_sales(f, allow_unconverged=True) for f in (base, again))
    rows = []
    for channel in panel.channels:
        old, new = (v.sel({CHANNEL: channel}) for v in (before, after))
        moved = float((new.mean() - old.mean()) / old.std())
        good = abs(moved) <= MOVED
        verdict = "pass" if good else "fail"
        if not again.diagnostics.ok:
            verdict = "not converged"
        rows.append(
            _row(
                "random_cause",
                channel,
                verdict,
                f"with noise as a control the contribution moves by {moved:+.2f} SD.",
                value=moved,
                low=-MOVED,
                high=MOVED,
            )
        )
    return rows


def _dropped_region(base: Fit, seed: int, options: Options) -> list[dict[str, Any]]:
    panel = base.data
    if panel.n_regions < 3:
        return [_row("dropped_region", "all", "skipped", "fewer than three regions.")]
    contribution = incremental_sales(base, by=REGION, allow_unconverged=True).mean(SAMPLE)
    largest = str(contribution[REGION].values[int(np.argmax(contribution.to_numpy()))])
    rest = [name for name in panel.regions if name != largest]
    left = MediaPanel(panel.data.sel({REGION: rest}), panel.currency)
    again = fitted_again(base, left, seed, options)
    before = incremental_sales(base, Estimand(regions=rest), allow_unconverged=True)
    after = incremental_sales(again, allow_unconverged=True)
    rows = []
    for channel in panel.channels:
        old, new = (v.sel({CHANNEL: channel}) for v in (before, after))
        # What more data add to the precision is the variance of the change (Hausman).
        gap = max(float(new.var() - old.var()), 0.25 * float(new.var()))
        moved = float(new.mean() - old.mean()) / np.sqrt(gap)
        verdict = "pass" if abs(moved) <= UNLIKE else "fail"
        if not again.diagnostics.ok:
            verdict = "not converged"
        rows.append(
            _row(
                "dropped_region",
                channel,
                verdict,
                f"without {largest} the contribution elsewhere moves by {moved:+.2f} SD.",
                value=moved,
                low=-UNLIKE,
                high=UNLIKE,
            )
        )
    return rows


def _hidden_cause(base: Fit) -> list[dict[str, Any]]:
    contribution = incremental_sales(base, allow_unconverged=True)
    free = sum(
        base.posterior[rv.name].isel(chain=0, draw=0).size for rv in base.target.model.free_RVs
    )
    freedom = max(int(base.data.observed.sum()) - free, 1)
    rows = []
    for channel in base.data.channels:
        own = contribution.sel({CHANNEL: channel})
        value = robustness(float(own.mean() / own.std()), freedom)
        rows.append(
            _row(
                "hidden_cause",
                channel,
                "pass" if value >= FRAGILE else "fragile",
                f"a cause that explains {value:.0%} of the rest of spend and of sales would do.",
                value=value,
                low=FRAGILE,
                high=1.0,
            )
        )
    return rows


def _prior(base: Fit) -> list[dict[str, Any]]:
    rows = []
    for name, subject, kept in contraction(base):
        good = kept >= CONTRACTION
        of = f"log {name}" if base.spec.prior(name).positive else name
        share = f"{max(kept, 0):.0%} of the prior's variance of {of}"
        reading = f"the data take {'' if good else 'only '}{share} away."
        verdict = "pass" if good else "prior-driven"
        rows.append(_row("prior", subject, verdict, reading, value=kept, low=CONTRACTION, high=1.0))
    return rows


def _prior_scaling(base: Fit) -> list[dict[str, Any]]:
    rows = []
    for name, subject, value in scaling(base):
        good = value < SENSITIVE
        reading = f"{name} {'hardly' if good else 'visibly'} moves with the power of its prior."
        verdict = "pass" if good else "prior-driven"
        rows.append(
            _row("prior_scaling", subject, verdict, reading, value=value, low=0.0, high=SENSITIVE)
        )
    return rows


def _row(
    check: str,
    subject: str,
    verdict: str,
    reading: str,
    value: float = np.nan,
    low: float = np.nan,
    high: float = np.nan,
) -> dict[str, Any]:
    entries = (check, subject, value, low, high, verdict, reading)
    return dict(zip(COLUMNS, entries, strict=True))
