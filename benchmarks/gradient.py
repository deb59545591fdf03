"""What does a gradient cost beside the two dense passes that any exact method needs?

A media mix whose carry-over is estimated has to carry the exposure forward with the present
weights, and the derivative back to them: one product of the lagged media with the weights, and one
with their transpose. The gradient of the whole density is timed beside these two, in turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import bayes_mkt as bm
from benchmarks.environment import RESULTS, described, write
from benchmarks.peers.columns import GEO_MEDIA
from benchmarks.samplers import checked_folder

BATCH = 8
LIMIT = 3.0  # what the collapsed density may cost, in units of the two passes
Call = Callable[[], Any]


def measure(*, data: Path | None = None, rounds: int = 400, seed: int = 1, note: str = "") -> None:
    """Time value and gradient of Meridian's geo model on `geo_media`, full and collapsed.

    Parameters
    ----------
    data
        The folder of real data; else that of BAYES_MKT_DATA, or `shared/data` beside the checkout.
    rounds
        How often each is timed, one after the other in turns.
    seed
        Of the points at which gradients are taken.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    folder = checked_folder(data, ["geo_media"])
    assert folder is not None
    built = bm.MediaMix.meridian().build(panel(folder))
    rows: list[dict[str, Any]] = []
    for batch in (1, BATCH):
        calls = {**densities(built, batch, seed), **passes(built, batch, seed)}
        times = timed(calls, rounds)
        dense = times["two dense passes"]["median"]
        rows += [
            {"what": name, "batch": batch, **part, "ratio": part["median"] / dense}
            for name, part in times.items()
        ]
    ratios: dict[int, float] = {
        r["batch"]: r["ratio"] for r in rows if r["what"] == "collapsed density"
    }
    result = {
        **described(f"python -m benchmarks gradient --rounds {rounds} --seed {seed}"),
        "note": note,
        "question": (
            "microseconds of value and gradient on geo_media (20 regions, 156 weeks, 4 channels, "
            f"lags 0 to 8), for one point and for {BATCH} at once, beside the two products of the "
            "lagged media with weights and with their cotangent; 64-bit, jitted, a call from "
            "Python, which alone costs what is named an empty call; median of many, in turns"
        ),
        "limit": LIMIT,
        "limit_met": {str(batch): ratio <= LIMIT for batch, ratio in ratios.items()},
        "rows": rows,
    }
    print(write("gradient", result))
    text = RESULTS / "gradient.md"
    text.write_text(page(result), encoding="utf-8")
    print(text.read_text(encoding="utf-8"))


def panel(folder: Path) -> bm.MediaPanel:
    """Return the published panel."""
    frame = pd.read_csv(folder.joinpath(*GEO_MEDIA.file))
    return bm.MediaPanel.from_frame(
        frame,
        sales="conversions",
        region="geo",
        date="time",
        population="population",
        revenue_per_sale="revenue_per_conversion",
        controls=list(GEO_MEDIA.controls),
        spend=dict(zip(GEO_MEDIA.channels, GEO_MEDIA.spend, strict=True)),
        exposure=dict(zip(GEO_MEDIA.channels, GEO_MEDIA.exposure, strict=True)),
    )


def densities(model: Any, batch: int, seed: int) -> dict[str, Call]:
    """Return calls of value and gradient, of the whole model and of what is sampled of it."""
    import jax
    import numpy as np

    from bayes_mkt.inference.collapse import collapse
    from bayes_mkt.inference.target import target

    posterior = target(model)
    collapsed = collapse(posterior)
    if collapsed is None:
        raise SystemExit("Nothing of this model is integrated out: there is nothing to compare.")
    rng = np.random.default_rng(seed)
    calls: dict[str, Call] = {}
    for name, density in (("full density", posterior.density()), ("collapsed density", collapsed)):
        function = jax.value_and_grad(density.log_density)
        jitter = 0.1 * rng.normal(size=(batch, density.start.size))
        points = jax.numpy.asarray(density.start + jitter)
        if batch == 1:
            calls[name] = _call(jax.jit(function), points[0], density.arguments)
        else:
            calls[name] = _call(jax.jit(jax.vmap(function, (0, None))), points, density.arguments)
    return calls


def passes(model: Any, batch: int, seed: int) -> dict[str, Call]:
    """Return calls of the two dense passes, and of a program that does nothing."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    lagged = model["lagged_exposure"].get_value()
    channels, regions, weeks, length = lagged.shape
    media = jnp.asarray(lagged.reshape(channels, regions * weeks, length))
    weights = jnp.asarray(np.random.default_rng(seed).uniform(size=(batch, channels, length)))

    def both(media: Any, weights: Any) -> tuple[Any, Any]:
        carried = jnp.matmul(media, weights[..., None])
        return carried, jnp.matmul(jnp.swapaxes(media, -1, -2), carried)

    if batch == 1:
        calls = {"two dense passes": _call(jax.jit(both), media, weights[0])}
    else:
        calls = {"two dense passes": _call(jax.jit(jax.vmap(both, (None, 0))), media, weights)}
    return calls | {"empty call": _call(jax.jit(lambda x: x + 1.0), jnp.zeros(()))}


def _call(function: Callable[..., Any], *arguments: Any) -> Call:
    """Return a call that waits for its result, already compiled."""
    import jax

    def call() -> Any:
        return jax.block_until_ready(function(*arguments))

    call()
    return call


def timed(calls: Mapping[str, Call], rounds: int) -> dict[str, dict[str, float]]:
    """Return microseconds of each call: median and quartiles over rounds, taken in turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            found[name].append(1e6 * (time.perf_counter() - begun))
    out = {}
    for name, times in found.items():
        low, middle, high = statistics.quantiles(times, n=4)
        out[name] = {"median": middle, "quartile_1": low, "quartile_3": high}
    return out


def page(result: Mapping[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = ["| What | points | µs, median | quartiles | ratio to two passes |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    for row in result["rows"]:
        lines.append(
            f"| {row['what']} | {row['batch']} | {row['median']:.0f} | {row['quartile_1']:.0f} to "
            f"{row['quartile_3']:.0f} | {row['ratio']:.2f} |"
        )
    machine = result["machine"]
    note = f" Note: {result['note']}." if result["note"] else ""
    return "\n".join(
        [
            "# Gradient",
            "",
            result["question"][0].upper() + result["question"][1:] + ".",
            "",
            *lines,
            "",
            f"`{result['command']}`, {result['date']}, on {machine['system']}, "
            f"{machine['processor']}, {machine['cores']} cores.{note}",
            "",
        ]
    )
