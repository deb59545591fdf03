"""What a configuration asks of a fit beyond its effects: forecast, budget, refutation, backtest."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import bayes_mkt as bm
from bayes_mkt.cli.config import MediaMixConfig
from bayes_mkt.cli.frame import read_frame
from bayes_mkt.errors import ConvergenceWarning, SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from bayes_mkt.publish import Extras

__all__ = ["Asked"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The tables `[forecast]`, `[budget]`, `[refutation]`, `[backtest]` and `[treatments]`.

    Parameters
    ----------
    plan
        The plan of the forecast; the budget's too, unless it has a horizon of its own.
    budget, refutation, backtest
        Keyword arguments of `allocate_budget`, `refute` and `backtest`; None where not asked.
    treatments
        Control -> level, as `report_media_mix` takes it.
    """

    plan: bm.MediaPlan | None = None
    budget: Mapping[str, Any] | None = None
    refutation: Mapping[str, Any] | None = None
    backtest: Mapping[str, Any] | None = None
    treatments: Mapping[str, float | str] | None = None

    @classmethod
    def of(cls, settings: MediaMixConfig, panel: bm.MediaPanel) -> Self:
        """Return what the configuration asks, a plan read from its file.

        Raises
        ------
        SpecError
            If a table asks for what doesn't go together.
        DataError
            If the plan's file doesn't fit the panel.
        """
        plan = None if settings.forecast is None else _plan(settings, panel)
        return cls(
            plan=plan,
            budget=settings.budget,
            refutation=settings.refutation,
            backtest=settings.backtest,
            treatments=settings.treatments or None,
        )

    def check(self, spec: bm.MediaMix, panel: bm.MediaPanel) -> None:
        """Raise `SpecError` for what can't be answered, before anything is sampled."""
        from bayes_mkt.media_mix.backtest import first_origin
        from bayes_mkt.media_mix.budget import check_measure, decided
        from bayes_mkt.media_mix.future import check_reach
        from bayes_mkt.media_mix.refute import known_checks

        unknown = [name for name in self.treatments or () if name not in panel.controls]
        if unknown:
            raise SpecError(
                f"[treatments] no control {unknown[0]!r} in the panel; it has "
                f"{list(panel.controls)}."
            )
        if self.plan is not None:
            check_reach(panel, self.plan)
        if self.budget is not None:
            options = {k: v for k, v in self.budget.items() if k not in MEASURE}
            decided(panel, self._budget_plan, **options)
            given = {name: self.budget.get(name, value) for name, value in MEASURE.items()}
            check_measure(given["risk"], given["level"], given["starts"])
        if self.refutation is not None and "checks" in self.refutation:
            known_checks(self.refutation["checks"])
        if self.backtest is not None:
            default = inspect.signature(bm.backtest).parameters
            sizes = (self.backtest.get(k, default[k].default) for k in ("origins", "horizon"))
            first_origin(spec, panel, *sizes)

    @property
    def _budget_plan(self) -> bm.MediaPlan | None:
        own = self.budget is not None and "horizon" in self.budget
        return None if own else self.plan

    def answers(self, fit: bm.Fit, sampler: Mapping[str, Any], console: Console) -> Extras:
        """Return what was asked, computed from a fit; refits sample as `sampler` says."""
        from bayes_mkt.publish import Extras

        options = {k: v for k, v in sampler.items() if k != "seed"}
        seed = fit.seed
        found: dict[str, Any] = {"treatments": self.treatments}
        with warnings.catch_warnings():
            # Each of these says in its own table which of its fits didn't converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            if self.plan is not None:
                found["forecast"] = bm.forecast(fit, self.plan, seed=seed, allow_unconverged=True)
            if self.budget is not None:
                found["allocation"] = bm.allocate_budget(
                    fit, self._budget_plan, **self.budget, seed=seed, allow_unconverged=True
                )
            if self.refutation is not None:
                console.print("Refutation: fitting changed panels ...")
                found["refutation"] = bm.refute(
                    fit,
                    **self.refutation,
                    seed=seed,
                    allow_unconverged=True,
                    **options,
                )
            if self.backtest is not None:
                console.print("Backtest: fitting from earlier dates ...")
                found["backtest"] = bm.backtest(
                    fit.spec, fit.data, **self.backtest, seed=seed, **options
                )
        return Extras(**found)


MEASURE: Mapping[str, Any] = {
    "risk": "mean",
    "level": 0.1,
    "starts": 4,
    "minimum_move": 0.0,
    "draws": None,
}


def _plan(settings: MediaMixConfig, panel: bm.MediaPanel) -> bm.MediaPlan:
    """Return the plan that `[forecast]` names: a file, or today's mix again."""
    table = dict(settings.forecast or {})
    if "plan" not in table:
        others = [key for key in table if key != "horizon"]
        if others:
            raise SpecError(
                f"[forecast] {others[0]} says how a plan is read, but no plan is given. Add "
                'plan = "plan.csv".'
            )
        return bm.MediaPlan.repeat(panel, table.get("horizon", 8))
    if "horizon" in table:
        raise SpecError("[forecast] give horizon or plan, not both: a plan has dates of its own.")
    path = settings.folder / table.pop("plan")
    roles = {key: settings.data[key] for key in ("date", "region") if key in settings.data} | table
    if not {"spend", "exposure", "reach"} & set(roles):
        roles["spend"] = settings.data.get("spend", {})
    region = roles.get("region")
    frame = read_frame(path, () if region is None else (region,))
    return bm.MediaPlan.from_frame(frame, panel, **roles)
