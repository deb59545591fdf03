"""Figures are ArviZ's; the verdict lists what fails, worst parameter first."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference.diagnostics import Finding, smallest_ess
from bayes_mkt.inference.tails import tail_shapes

CHAINS, DRAWS = 4, 500


def tree(posterior: dict[str, np.ndarray | xr.DataArray], **stats: np.ndarray) -> xr.DataTree:
    """Return draws in ArviZ layout; arrays are (chain, draw, ...)."""
    arrays = {}
    for name, values in posterior.items():
        if isinstance(values, np.ndarray):
            inner = [f"{name}_dim_{i}" for i in range(values.ndim - 2)]
            values = xr.DataArray(values, dims=["chain", "draw", *inner])
        arrays[name] = values
    return xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset(arrays),
            "/sample_stats": xr.Dataset(
                {name: (("chain", "draw"), values) for name, values in stats.items()}
            ),
        }
    )


def noise(*shape: int, seed: int = 0, chains: int = CHAINS, draws: int = DRAWS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(chains, draws, *shape))


def autoregressive(rho: float, seed: int = 1) -> np.ndarray:
    """A slow chain, (chain, draw)."""
    steps = noise(seed=seed)
    values = np.zeros_like(steps)
    for i in range(1, DRAWS):
        values[:, i] = rho * values[:, i - 1] + steps[:, i]
    return values


def checks(diagnostics: bm.Diagnostics) -> list[str]:
    return [finding.check for finding in diagnostics.findings]


@pytest.fixture(scope="module")
def mixed() -> xr.DataTree:
    """Draws of all kinds: fast, slow, skewed, and of several dimensions."""
    named = xr.DataArray(
        noise(2, 3, seed=3),
        dims=["chain", "draw", "channel", "date"],
        coords={
            "channel": ["tv", "radio"],
            "date": np.array(["2024-01-01", "2024-01-08", "2024-01-15"], dtype="datetime64[ns]"),
        },
    )
    return tree(
        {"slow": autoregressive(0.9), "skewed": np.exp(noise(seed=2)), "named": named},
        energy=noise(seed=4) ** 2,
    )


def test_figures_are_those_of_arviz(mixed: xr.DataTree) -> None:
    table = bm.diagnose(mixed).table
    posterior = mixed["posterior"].to_dataset()
    expected = {
        "rhat": arviz_stats.rhat(posterior),
        "ess_bulk": arviz_stats.ess(posterior, method="bulk"),
        "ess_tail": arviz_stats.ess(posterior, method="tail", prob=(0.05, 0.95)),
        "mean": posterior.mean(("chain", "draw")),
        "sd": posterior.std(("chain", "draw"), ddof=1),
        "mcse_mean": arviz_stats.mcse(posterior, method="mean"),
    }
    for column, figures in expected.items():
        flat = np.concatenate([np.ravel(figures[name]) for name in posterior.data_vars])
        np.testing.assert_allclose(table[column], flat, rtol=1e-2 if column == "sd" else 1e-3)


def test_parameters_are_labelled_by_their_coordinates(mixed: xr.DataTree) -> None:
    names = list(bm.diagnose(mixed).table["parameter"].to_numpy())
    assert names[:3] == ["slow", "skewed", "named[tv, 2024-01-01]"]
    assert names[-1] == "named[radio, 2024-01-15]"


def test_extremes_are_those_of_the_table(mixed: xr.DataTree) -> None:
    found = bm.diagnose(mixed)
    assert found.max_rhat == float(found.table["rhat"].max())
    assert found.min_ess_bulk == float(found.table["ess_bulk"].min())
    assert found.min_ess_tail == float(found.table["ess_tail"].min())
    assert found.draws == CHAINS * DRAWS
    np.testing.assert_allclose(found.min_bfmi, np.min(arviz_stats.bfmi(mixed)["energy"]))


def test_good_draws_pass() -> None:
    found = bm.diagnose(tree({"x": noise(3)}, diverging=np.zeros((CHAINS, DRAWS), dtype=bool)))
    assert found.ok
    assert found.findings == ()
    assert found.verdict.startswith("Converged: largest R-hat 1.0")
    assert "0 divergences in 2000 draws" in found.verdict
    assert found.require_ok() is None


def test_constants_do_not_count() -> None:
    values = noise(3)
    values[..., 1] = 7.0
    found = bm.diagnose(tree({"x": values, "zero": np.zeros((CHAINS, DRAWS))}))
    assert found.ok
    assert np.isnan(found.table.sel(parameter=["x[1]", "zero"])["rhat"]).all()
    assert np.isfinite([found.max_rhat, found.min_ess_bulk, found.min_ess_tail]).all()


def test_a_slow_parameter_is_named() -> None:
    found = bm.diagnose(tree({"fast": noise(4), "slow": autoregressive(0.98)}))
    assert "ess_bulk" in checks(found)
    slow = {f.parameter for f in found.findings}
    assert slow == {"slow"}


def test_chains_in_different_places_fail() -> None:
    values = noise(2)
    values[0, :, 1] += 3.0
    found = bm.diagnose(tree({"x": values}))
    first = found.findings[0]
    assert first.check == "rhat"
    assert first.parameter == "x[1]"
    assert f"{found.max_rhat:.3f}, above 1.01" in first.figure


def test_one_stuck_chain_is_seen() -> None:
    values = noise(2)
    values[2, :, 0] = values[2, 0, 0]
    found = bm.diagnose(tree({"x": values}))
    assert checks(found) == ["stuck chain"]
    assert found.findings[0].parameter == "x[0]"
    assert "initval" in found.findings[0].remedy


def test_chains_stuck_in_different_places_are_seen() -> None:
    values = np.broadcast_to(np.arange(CHAINS)[:, None], (CHAINS, DRAWS)).astype(float)
    found = bm.diagnose(tree({"x": values, "y": noise()}))
    assert checks(found) == ["stuck chain"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_draw_that_is_not_finite_is_seen(bad: float) -> None:
    values = noise(2)
    values[1, 20, 1] = bad
    with np.errstate(invalid="ignore"):
        found = bm.diagnose(tree({"x": values}))
    assert checks(found) == ["finite draws"]
    assert found.findings[0].parameter == "x[1]"
    assert found.findings[0].figure.startswith("1 parameters")
    assert not found.ok


def test_nothing_but_broken_draws_is_no_pass() -> None:
    found = bm.diagnose(tree({"x": np.full((CHAINS, DRAWS), np.nan)}))
    assert not found.ok
    with pytest.raises(bm.SamplingError, match="finite draws of x"):
        found.require_ok()


def test_one_chain_fails() -> None:
    found = bm.diagnose(tree({"x": noise(chains=1, draws=4000)}))
    assert "chains" in checks(found)
    assert not found.ok


@pytest.mark.parametrize(("count", "ok"), [(0, True), (2, True), (3, False), (500, False)])
def test_divergences_are_noted_and_more_than_one_in_a_thousand_fail(count: int, ok: bool) -> None:
    diverging = np.zeros(CHAINS * DRAWS, dtype=bool)
    diverging[:count] = True
    found = bm.diagnose(tree({"x": noise()}, diverging=diverging.reshape(CHAINS, DRAWS)))
    assert found.divergences == count
    assert found.ok is ok
    if count:
        assert checks(found) == ["divergences"]
        assert f"{count} of 2000 transitions" in found.verdict
        assert "target_accept" in found.verdict
    if count and ok:
        assert "Note: divergences" in found.verdict


@pytest.mark.parametrize(
    ("asked", "higher"), [(None, "0.95"), (0.9, "0.95"), (0.95, "0.99"), (0.99, None)]
)
def test_the_remedy_for_divergences_asks_for_more_than_was_asked(
    asked: float | None, higher: str | None
) -> None:
    draws = tree({"x": noise()}, diverging=np.ones((CHAINS, DRAWS), dtype=bool))
    if asked is not None:
        draws.attrs["target_accept"] = asked
    verdict = bm.diagnose(draws).verdict
    assert "use non-centred group effects" in verdict
    assert (f"raise target_accept to {higher}, use" if higher else "curvature: use") in verdict


def test_low_energy_fractions_fail() -> None:
    # A random walk in the energy: its changes are small beside its spread.
    walk = np.cumsum(noise(), axis=1)
    found = bm.diagnose(tree({"x": noise(seed=5)}, energy=walk))
    assert checks(found) == ["energy (E-BFMI)"]
    assert "below 0.3" in found.verdict
    assert not found.ok
    assert bm.diagnose(tree({"x": noise(seed=5)}, energy=noise())).ok


def test_an_energy_that_never_changes_fails() -> None:
    found = bm.diagnose(tree({"x": noise()}, energy=np.ones((CHAINS, DRAWS))))
    assert checks(found) == ["energy (E-BFMI)"]


def test_failures_come_before_notes() -> None:
    values = noise()
    values[0] += 3.0
    diverging = np.zeros((CHAINS, DRAWS), dtype=bool)
    diverging[0, 0] = True
    found = bm.diagnose(tree({"x": values}, diverging=diverging))
    assert found.findings[-1].check == "divergences"
    assert [f.failed for f in found.findings] == sorted(
        (f.failed for f in found.findings), reverse=True
    )
    assert "divergences:" not in found.verdict.split("\n", 1)[1]


def test_the_verdict_has_a_line_for_each_failure() -> None:
    values = noise()
    values[0] += 3.0
    found = bm.diagnose(tree({"x": values}))
    head, *lines = found.verdict.split("\n")
    assert head.startswith("Not converged: largest R-hat")
    assert len(lines) == sum(f.failed for f in found.findings)
    for line, finding in zip(lines, found.findings, strict=True):
        assert line == f"  - {finding}"
        assert finding.remedy in line


def test_a_finding_reads_as_a_sentence() -> None:
    finding = Finding("rhat", "roi[tv]", "1.2, above 1.01", "Run longer.")
    assert str(finding) == "rhat of roi[tv]: 1.2, above 1.01. Run longer."
    assert str(Finding("divergences", "", "3", "Do this.")) == "divergences: 3. Do this."


def test_the_smallest_ess_is_that_of_the_worst_column() -> None:
    values = np.stack([noise(), autoregressive(0.9)], axis=2)
    ess, rhat = smallest_ess(values)
    table = bm.diagnose(tree({"x": values})).table
    assert ess == min(float(table["ess_bulk"].min()), float(table["ess_tail"].min()))
    assert rhat == float(table["rhat"].max())


@pytest.mark.parametrize("place", ["nan", "stuck", "constant", "short"])
def test_what_has_no_ess_never_counts_as_enough(place: str) -> None:
    values = noise(2)
    if place == "nan":
        values[0, 3, 0] = np.nan
    elif place == "stuck":
        values[1, :, 0] = values[1, 0, 0]
    elif place == "constant":
        values[:] = 1.0
    else:
        values = values[:, :3]
    assert smallest_ess(values) == (0.0, np.inf)


def test_a_constant_column_is_left_out_of_the_smallest_ess() -> None:
    values = noise(2)
    values[..., 0] = 5.0
    assert smallest_ess(values) == smallest_ess(values[..., 1:])


def test_a_parameter_without_variance_is_noted() -> None:
    rng = np.random.default_rng(1)
    heavy = rng.standard_t(1.2, size=(8, 2000))
    light = {"normal": rng.normal(size=(8, 2000)), "exponential": rng.exponential(size=(8, 2000))}
    assert not bm.diagnose(tree(light)).findings
    for name, values in {"right": np.abs(heavy), "left": -np.abs(heavy)}.items():
        found = bm.diagnose(tree({**light, name: values}))
        (finding,) = found.findings
        assert (finding.check, finding.parameter, finding.failed) == ("tails", name, False)
        assert "(1 parameters)" in finding.figure
        assert found.ok
        assert "median and quantiles" in found.verdict


@pytest.mark.parametrize(("degrees", "shape"), [(1.0, 1.0), (2.0, 0.5), (4.0, 0.25)])
def test_the_shape_of_tails_is_that_of_the_distribution(degrees: float, shape: float) -> None:
    values = np.random.default_rng(2).standard_t(degrees, size=(8, 5000, 20))
    found = tail_shapes(values, values.mean(axis=(0, 1)), values.std(axis=(0, 1)))
    assert abs(np.nanmean(found) - shape) < 0.08
    assert np.isfinite(found).mean() > 0.5


def test_draws_near_their_mean_have_no_tails() -> None:
    values = np.concatenate([noise(3), np.zeros((CHAINS, DRAWS, 1))], axis=2)
    assert np.isnan(tail_shapes(values, values.mean(axis=(0, 1)), values.std(axis=(0, 1)))).all()
