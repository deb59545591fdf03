"""Who cancels, and when? Held-out customers of a telephone company, beside other libraries."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt import seeds
from bayes_mkt.customers.predict import mean_survival
from bayes_mkt.customers.scores import kaplan_meier
from benchmarks.environment import described, real_data, write
from benchmarks.other_libraries import run
from benchmarks.survival_figures import Outcome, against, figures, tenths

LABELS = [
    "internet_service", "multiple_lines", "online_security", "online_backup", "device_protection",
    "tech_support", "streaming_tv", "streaming_movies", "payment_method",
]  # fmt: skip
NUMBERS = [
    "female", "senior_citizen", "partner", "dependents", "phone_service", "paperless_billing",
    "monthly_charges",
]  # fmt: skip
TIMES = np.arange(2.0, 61.0, 2.0)
MARKED = np.array([12.0, 24.0, 48.0])
SHORT_FIRST = [1.0, 2.0, *range(3, 73, 3)]  # the hazard is steep in the first months
# name -> specification, whether each kind of contract has a baseline of its own, intervals
MODELS: dict[str, tuple[Any, bool, Any]] = {
    "Churn": (bm.Churn(), False, SHORT_FIRST),
    "Churn, 3 months each": (bm.Churn(), False, None),
    "Churn, by contract": (bm.Churn(), True, SHORT_FIRST),
    "ParametricSurvival": (bm.ParametricSurvival(), False, None),
}
PEERS = (
    "lifelines, Cox",
    "lifelines, Weibull",
    "scikit-survival, Cox elastic net",
    "scikit-survival, boosting",
    "scikit-survival, random forest",
)


def measure(*, splits: int = 4, seed: int = 1, data: Path | None = None, note: str = "") -> None:
    """Fit to a random half of the customers, score the survival of the other half.

    Total charges are left out: they are the monthly charges summed over the very time that is to
    be forecast. Customers in their first month, who were at risk for no whole month, are left out.

    Parameters
    ----------
    splits
        Random halves.
    seed
        From which all seeds follow.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    frame = customers(real_data(data, "survival/modeldata_wa_churn.csv"))
    halves = [
        seeds.generator(seed, f"telco {index}").random(len(frame)) < 0.5 for index in range(splits)
    ]
    arrays: dict[str, np.ndarray] = {}
    for index, train in enumerate(halves):
        arrays |= {f"{index} {name}": part for name, part in matrices(frame, train).items()}
    found = run("survival", arrays, learners=PEERS)
    rows, wide, apart = [], [], []
    for index, train in enumerate(halves):
        test = frame[~train]
        outcome = Outcome(
            test["tenure"].to_numpy(float),
            test["churn"].to_numpy(bool),
            np.unique(test["contract"], return_inverse=True)[1],
        )
        forecasts = {name: found[f"{index} {name}"] for name in PEERS}
        about = {name: {"seconds": float(found[f"{index} {name} seconds"])} for name in PEERS}
        forecasts["Kaplan-Meier by contract"] = by_contract(frame[train], test)
        for name in MODELS:
            forecasts[name], about[name] = ours(
                name, frame[train], test, seeds.integer(seed, f"telco fit {index}")
            )
        for name, survival in forecasts.items():
            own = {"split": index, "forecast": name}
            rows.append({**own, **figures(outcome, survival, TIMES, MARKED), **about.get(name, {})})
            wide += [
                {"split": index, "model": name, **row}
                for row in tenths(outcome, survival, TIMES, MARKED)
            ]
        for base in MODELS:
            found_apart = against(outcome, forecasts, base, TIMES, seed)
            apart += [{"split": index, "less": base, "forecast": name, "difference": values}
                      for name, values in found_apart.items()]  # fmt: skip
        print(pd.DataFrame(rows[-len(forecasts) :]).round(4).to_string(index=False), flush=True)
    table = pd.DataFrame(rows).groupby("forecast").mean(numeric_only=True).drop(columns="split")
    table = table.sort_values("integrated_brier_in_strata")
    print(table.round(4).T.to_string())
    result = {
        **described(f"python -m benchmarks churn_telco --splits {splits} --seed {seed}"),
        "note": note,
        "question": "months to cancellation of telephone customers, from what is known of them",
        "columns": {
            "integrated_brier": f"mean over {TIMES[0]:g} to {TIMES[-1]:g} months; lower is better",
            "integrated_brier_in_strata": "with weights for censoring by kind of contract",
            "bias": (
                "mean forecast of P(T > t) less Kaplan-Meier's of the scored customers, taken "
                "within kinds of contract, as censoring differs between them"
            ),
            "calibration_error": "mean over tenths of risk of |forecast - Kaplan-Meier|",
        },
        "customers": {"all": len(frame), "events": int(frame["churn"].sum())},
        "splits": splits,
        "mean_over_splits": table.to_dict("index"),
        "rows": rows,
        "integrated_brier_in_strata_apart": apart,
        "tenths": wide,
    }
    print(write("churn_telco", result))


def customers(path: Path) -> pd.DataFrame:
    """Return the customers; services without the line or the internet they need count as none."""
    frame = pd.read_csv(path)
    frame = frame[frame["tenure"] > 0].reset_index(drop=True)
    none = ["No internet service", "No phone service"]
    frame[LABELS] = frame[LABELS].astype(object).replace(dict.fromkeys(none, "No"))
    return frame.assign(churn=frame["churn"].eq("Yes"), id=np.arange(len(frame)).astype(str))


def matrices(frame: pd.DataFrame, train: np.ndarray) -> dict[str, np.ndarray]:
    """Return what other libraries are given: indicators for labels, numbers as they are."""
    x = pd.get_dummies(frame[[*NUMBERS, *LABELS, "contract"]], drop_first=True, dtype=float)
    values = x.to_numpy(float)
    return {
        "x train": values[train],
        "time train": frame["tenure"].to_numpy(float)[train],
        "event train": frame["churn"].to_numpy()[train],
        "x test": values[~train],
        "times": TIMES,
    }


def by_contract(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Return survival (customer, time) by the contract's Kaplan-Meier estimate."""
    curves = {
        name: kaplan_meier(own["tenure"].to_numpy(float), own["churn"].to_numpy()).at(TIMES)
        for name, own in train.groupby("contract")
    }
    return np.stack([curves[name] for name in test["contract"]])


def ours(
    name: str, train: pd.DataFrame, test: pd.DataFrame, seed: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return survival (customer, time) of the scored customers, and what the fit took."""
    spec, apart, intervals = MODELS[name]
    columns: dict[str, Any] = {
        "duration": "tenure",
        "event": "churn",
        "customer": "id",
        "features": [*NUMBERS, *LABELS, *([] if apart else ["contract"])],
        "market": "contract" if apart else None,
    }
    begun = time.perf_counter()
    fitted = bm.Subscriptions.from_frame(train, **columns, intervals=intervals)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is written down
        fit = bm.fit(spec, fitted, seed=seed, progress=False)
    # What became of them isn't told: all are asked about as customers without an event.
    unknown = test.assign(churn=False, tenure=1)
    asked = bm.Subscriptions.from_frame(unknown, **columns, like=fitted)
    cells = dict(
        zip(asked.data["customer"].values, asked.data["cell_of_customer"].values, strict=True)
    )
    survival = mean_survival(fit, asked, TIMES)[[cells[who] for who in test["id"]]]
    seconds = time.perf_counter() - begun
    verdict = fit.diagnostics.verdict.splitlines()[0]
    return survival, {"seconds": seconds, "converged": fit.diagnostics.ok, "verdict": verdict}
