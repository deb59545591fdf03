"""What learning from campaign to campaign saves: regret of even, shared and personal allocation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write

EXPLORE = 0.1
POLICIES: dict[str, dict[str, Any]] = {
    "even": {"by": "campaign", "explore": 1.0},
    "Thompson by campaign": {"by": "campaign", "explore": EXPLORE},
    "Thompson by customer": {"by": "customer", "explore": EXPLORE},
}


def measure(
    *, worlds: int = 5, waves: int = 5, customers: int = 4_000, seed: int = 1, note: str = ""
) -> None:
    """Send waves of campaigns, each allocated by what was learned from those before.

    Regret of a wave is the mean over its customers of the probability of buying under the best of
    four arms for each, less that under the arm assigned: the world's own, not what was observed.
    The first wave is even for all; each later fit starts from the one before (`prior=`). Beside the
    policies stands the regret of the one arm that is best for all on average: what no policy that
    takes customers for alike can beat for long.

    Parameters
    ----------
    worlds
        Simulated worlds.
    waves, customers
        Campaigns in a row, and customers of each.
    seed
        From which all seeds follow.
    note
        A remark to keep with the result.
    """
    rows, single = [], []
    for index in range(worlds):
        world = bm.simulate.campaign(
            customers=waves * customers, arms=4, effect=0.2, heterogeneity=1.0,
            seed=seeds.integer(seed, f"thompson world {index}"),
        )  # fmt: skip
        chance = world.truth["probability"].to_numpy()
        single.append(float((chance.max(axis=1) - chance[:, chance.mean(axis=0).argmax()]).mean()))
        for name, options in POLICIES.items():
            own = seeds.integer(seed, f"thompson {name} {index}")
            for wave, regret in enumerate(regrets(world, waves, options, own)):
                rows.append({"world": index, "policy": name, "wave": wave, "regret": regret})
                print(rows[-1], flush=True)
    frame = pd.DataFrame(rows)
    table = frame.groupby(["policy", "wave"])["regret"].mean().unstack("policy")
    print(table.round(5).to_string())
    result = {
        **described(
            f"python -m benchmarks thompson_regret --worlds {worlds} --waves {waves} "
            f"--customers {customers} --seed {seed}"
        ),
        "note": note,
        "question": "purchases lost per customer, against the best arm for each",
        "explore": EXPLORE,
        "best_single_arm": {"what": "regret of a wave, by world", "values": single},
        "mean_by_wave": {name: table[name].tolist() for name in POLICIES},
        "total": frame.groupby("policy")["regret"].sum().div(worlds).to_dict(),
        "rows": rows,
    }
    print(write("thompson_regret", result))


def regrets(
    world: bm.simulate.SimulatedCampaign, waves: int, options: dict[str, Any], seed: int
) -> list[float]:
    """Return the regret of each wave under one policy."""
    rng = seeds.generator(seed, "thompson outcomes")
    chance = world.truth["probability"].to_numpy()
    arms = [str(arm) for arm in world.truth["arm"].to_numpy()]
    columns = {n: v for n, v in world.columns.items() if n not in ("revenue", "segment")}
    parts = np.array_split(np.arange(len(chance)), waves)
    fit, first, found = None, None, []
    for wave, part in enumerate(parts):
        frame = world.frame.iloc[part]
        if fit is None:
            arm = rng.permutation(np.arange(len(part)) % len(arms))
        else:
            chosen = bm.allocate_arms(
                fit, frame, **options, seed=seeds.integer(seed, f"wave {wave}"),
                allow_unconverged=True,
            )  # fmt: skip
            arm = np.array([arms.index(a) for a in chosen["assigned"].to_numpy()])
        own = chance[part]
        taken = own[np.arange(len(part)), arm]
        found.append(float((own.max(axis=1) - taken).mean()))
        sent = frame.assign(
            arm=np.array(arms, dtype=object)[arm],
            bought=(rng.random(len(part)) < taken).astype(int),
        )
        campaign = bm.Campaign.from_frame(sent, **columns, bins=4, like=first)
        first = first or campaign
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)
            learned = fit and bm.LearnedEffects.of(fit, allow_unconverged=True)
            spec = bm.Uplift(prior=learned)
            fit = bm.fit(spec, campaign, seed=seeds.integer(seed, f"fit {wave}"), progress=False)
    return found
