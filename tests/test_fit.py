"""Fitting, saving, loading, and the refusal to answer from draws that didn't converge."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm

Fitter = Callable[..., bm.Fit]
FILES = {"fit.json", "draws.nc", "data.nc"}
ANSWERS: dict[str, Callable[..., Any]] = {
    "roi": bm.roi,
    "marginal_roi": bm.marginal_roi,
    "incremental_sales": bm.incremental_sales,
    "contributions": bm.contributions,
    "expected_sales": bm.expected_sales,
    "baseline_sales": bm.baseline_sales,
    "response_curves": bm.response_curves,
    "adstock_weights": bm.adstock_weights,
    "posterior_predictive": lambda fit, **options: bm.posterior_predictive(fit, seed=1, **options),
}


@pytest.fixture(scope="session")
def saved(fitted: bm.Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted.save(tmp_path_factory.mktemp("fits") / "deep" / "run")


@pytest.fixture(scope="session")
def loaded(saved: Path) -> bm.Fit:
    return bm.Fit.load(saved)


@pytest.fixture
def small(prior_fit: Fitter) -> bm.Fit:
    """A fit of a few draws, quick to save."""
    simulated = bm.simulate.media_mix(regions=2, weeks=12, channels=1, controls=0, seed=1)
    panel = bm.MediaPanel.from_frame(simulated.frame, **simulated.columns)
    return prior_fit(bm.MediaMix(adstock=bm.NoAdstock()), panel)


@pytest.fixture(scope="session")
def unconverged(fitted: bm.Fit) -> bm.Fit:
    """The shared model, stopped long before it has converged."""
    with pytest.warns(bm.ConvergenceWarning, match=r"ess_bulk of \w+.*, below 400") as caught:
        fit = bm.fit(fitted.spec, fitted.data, seed=1, progress=False, draws=20, warmup=20)
    assert [w.filename for w in caught] == [__file__]
    return fit


def test_a_fit_holds_what_was_asked_and_what_was_found(fitted: bm.Fit) -> None:
    assert fitted.diagnostics.ok
    assert fitted.diagnostics.max_rhat <= 1.01
    assert fitted.diagnostics.min_ess_bulk >= 400
    assert fitted.seed == 1
    assert isinstance(fitted.draws, xr.DataTree)
    groups = {"posterior", "sample_stats", "observed_data", "constant_data"}
    assert groups <= set(fitted.draws.children)
    assert {"seed", "chains", "target_ess", "seconds", "pymc_version", "jax_version"} <= set(
        fitted.draws.attrs
    )
    observed = fitted.draws["observed_data"]["sales"]
    np.testing.assert_array_equal(observed, fitted.data.data["sales"])


def test_the_posterior_has_the_names_and_dimensions_of_the_field(fitted: bm.Fit) -> None:
    dims = {
        "roi": ("channel",),
        "adstock_alpha": ("channel",),
        "half_saturation": ("channel",),
        "effect": ("region", "channel"),
        "effect_sd": ("channel",),
        "control_effect": ("control",),
        "control_sd": ("control",),
        "knot_value": ("knot",),
        "season_effect": ("season_term",),
        "region_intercept": ("region",),
        "sigma": (),
    }
    for name, own in dims.items():
        assert fitted.posterior[name].dims == ("chain", "draw", *own)
    assert not set(fitted.posterior) & fitted.spec.on_demand
    assert fitted.posterior["channel"].to_numpy().tolist() == ["tv", "search"]


def test_a_fit_says_in_one_line_what_it_is(fitted: bm.Fit, unconverged: bm.Fit) -> None:
    sizes = fitted.posterior.sizes
    assert repr(fitted) == (
        "Fit(MediaMix on MediaPanel(6 regions x 60 dates x 2 channels, 2022-01-03 to 2023-02-20 "
        "by 7D, 1 control, no missing sales, EUR): "
        f"{sizes['chain']} chains x {sizes['draw']} draws, converged)"
    )
    assert repr(unconverged).endswith("x 20 draws, NOT converged)")


def test_a_fit_is_frozen(fitted: bm.Fit) -> None:
    for name in ("spec", "data", "draws", "diagnostics"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(fitted, name, None)


def test_a_summary_has_a_row_for_each_parameter(fitted: bm.Fit) -> None:
    table = fitted.summary(["roi", "sigma"])
    assert table.index.tolist() == ["roi[tv]", "roi[search]", "sigma"]
    roi = fitted.posterior["roi"].sel(channel="tv")
    row = table.loc["roi[tv]"]
    assert row["mean"] == pytest.approx(float(roi.mean()))
    assert row["sd"] == pytest.approx(float(roi.std(ddof=1)), rel=1e-3)
    assert row["eti90_lb"] == pytest.approx(float(roi.quantile(0.05)), rel=1e-6)
    assert {"r_hat", "ess_bulk", "ess_tail", "mcse_mean"} <= set(table.columns)
    half = fitted.summary(["roi"], interval=0.5)
    assert half.loc["roi[tv]", "eti50_ub"] == pytest.approx(float(roi.quantile(0.75)), rel=1e-6)
    assert len(fitted.summary()) == fitted.diagnostics.table.sizes["parameter"]


def test_the_same_seed_gives_bit_equal_draws(fitted: bm.Fit) -> None:
    again = bm.fit(fitted.spec, fitted.data, seed=1, progress=False)
    for group in ("posterior", "sample_stats"):
        assert again.draws[group].to_dataset().equals(fitted.draws[group].to_dataset())
    assert again.diagnostics.verdict == fitted.diagnostics.verdict


def test_another_seed_gives_other_draws(fitted: bm.Fit, unconverged: bm.Fit) -> None:
    with pytest.warns(bm.ConvergenceWarning):
        other = bm.fit(fitted.spec, fitted.data, seed=2, progress=False, draws=20, warmup=20)
    assert other.posterior.sizes == unconverged.posterior.sizes
    assert (other.posterior["roi"] != unconverged.posterior["roi"]).mean() > 0.99


def test_a_saved_fit_is_three_files_without_code(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == FILES
    assert [path.name for path in saved.parent.iterdir()] == ["run"]
    about = json.loads((saved / "fit.json").read_text())
    assert about["format"] == 1
    assert about["data"] == "MediaPanel"
    assert about["spec"]["adstock"] == {"type": "GeometricAdstock", "max_lag": 4}
    for name in ("draws.nc", "data.nc"):
        assert (saved / name).read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"


def test_a_loaded_fit_is_equal(fitted: bm.Fit, loaded: bm.Fit) -> None:
    assert loaded.spec == fitted.spec
    assert loaded.data == fitted.data
    assert loaded.seed == fitted.seed
    assert loaded.diagnostics.verdict == fitted.diagnostics.verdict
    xr.testing.assert_identical(loaded.diagnostics.table, fitted.diagnostics.table)
    assert repr(loaded) == repr(fitted)
    for group in fitted.draws.children:
        xr.testing.assert_equal(loaded.draws[group].to_dataset(), fitted.draws[group].to_dataset())
    assert loaded.draws.attrs == fitted.draws.attrs


@pytest.mark.parametrize("name", ANSWERS)
def test_a_loaded_fit_gives_equal_answers(fitted: bm.Fit, loaded: bm.Fit, name: str) -> None:
    ours, theirs = ANSWERS[name](fitted), ANSWERS[name](loaded)
    assert ours.identical(theirs)
    estimand = bm.Estimand(spend_window=("2022-05-01", "2022-08-01"))
    if name in ("roi", "marginal_roi", "incremental_sales", "response_curves"):
        assert ANSWERS[name](fitted, estimand).identical(ANSWERS[name](loaded, estimand))


def test_a_loaded_fit_can_be_saved_again(loaded: bm.Fit, tmp_path: Path) -> None:
    again = bm.Fit.load(loaded.save(tmp_path / "again"))
    assert again.posterior.equals(loaded.posterior)
    assert again.draws.attrs == loaded.draws.attrs


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("owner", "method"),
    [(xr.DataTree, "to_netcdf"), (xr.Dataset, "to_netcdf"), (Path, "write_text")],
)
def test_a_save_that_fails_leaves_nothing(
    small: bm.Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    method: str,
    error: BaseException,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(owner, method, fail)
    with pytest.raises(type(error)):
        small.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_keeps_the_earlier_fit(
    small: bm.Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small.save(tmp_path / "run")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.startswith(".run-") and not self.name.endswith("-old"):
            raise OSError("device busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="device busy"):
        small.save(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["run"]
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_fit_is_replaced_only_on_request(small: bm.Fit, tmp_path: Path) -> None:
    path = small.save(str(tmp_path / "run"))
    with pytest.raises(
        bm.SpecError, match=r"run exists already\. Choose another path, or overwrite=True for a"
    ):
        small.save(path)
    other = dataclasses.replace(small, draws=small.draws.copy())
    other.draws.attrs["seed"] = 7
    assert other.save(path, overwrite=True) == path
    assert bm.Fit.load(path).seed == 7
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_what_is_not_a_fit_is_never_replaced(small: bm.Fit, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    file = tmp_path / "file"
    file.write_text("text")
    for path in (mine, file):
        with pytest.raises(bm.SpecError, match="exists already"):
            small.save(path, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "years of work"
    assert file.read_text() == "text"
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "file"}


def _without(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def _saying(text: str) -> Callable[[Path], object]:
    return lambda path: (path / "fit.json").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, r"run holds no saved fit \(no fit\.json, draws\.nc, data\.nc\)\."),
        (_without("fit.json"), r"run holds no saved fit \(no fit\.json\)\."),
        (_without("draws.nc"), r"run holds no saved fit \(no draws\.nc\)\."),
        (_without("data.nc"), r"run holds no saved fit \(no data\.nc\)\."),
        (_saying("{"), r"fit\.json is not valid JSON: "),
        (_saying("[]"), r"run was saved in format None; this version reads 1\."),
        (_saying('{"format": 2}'), r"run was saved in format 2; this version reads 1\."),
        (
            _saying('{"format": 1, "data": "Path", "spec": {}}'),
            r"run: type 'Path' is no public class of bayes_mkt\.",
        ),
        (
            _saying('{"format": 1, "data": "MediaPanel", "spec": {"type": "os.system"}}'),
            r"run: type 'os\.system' is no public class of bayes_mkt\.",
        ),
    ],
)
def test_what_holds_no_fit_is_not_loaded(
    small: bm.Fit, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    path = small.save(tmp_path / "run")
    spoil(path)
    with pytest.raises(bm.SpecError, match=message):
        bm.Fit.load(path)


@pytest.mark.parametrize("name", ANSWERS)
def test_draws_that_did_not_converge_give_no_answer(unconverged: bm.Fit, name: str) -> None:
    with pytest.raises(bm.SamplingError) as refused:
        ANSWERS[name](unconverged)
    message = str(refused.value)
    assert message.startswith("Not converged: largest R-hat ")
    assert "Run longer: raise target_ess or draws." in message
    assert "pass allow_unconverged=True to see figures that are marked as unconverged." in message


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_given_all_the_same_is_marked(
    fitted: bm.Fit, unconverged: bm.Fit, name: str
) -> None:
    marked = ANSWERS[name](unconverged, allow_unconverged=True)
    assert marked.attrs["unconverged"] == unconverged.diagnostics.verdict
    assert "unconverged" not in ANSWERS[name](fitted, allow_unconverged=True).attrs
    if name == "response_curves":
        assert "unconverged" in marked["incremental_sales"].attrs


def test_the_verdict_is_saved_with_the_draws(unconverged: bm.Fit, tmp_path: Path) -> None:
    loaded = bm.Fit.load(unconverged.save(tmp_path / "run"))
    assert not loaded.diagnostics.ok
    assert loaded.diagnostics.verdict == unconverged.diagnostics.verdict
    with pytest.raises(bm.SamplingError):
        bm.roi(loaded)


def test_three_draws_are_too_few_to_be_judged(fitted: bm.Fit) -> None:
    few = fitted.draws.map_over_datasets(
        lambda group: group.isel(draw=slice(3)) if "draw" in group.dims else group
    )
    verdict = bm.diagnose(few)
    assert not verdict.ok
    assert "draws: 3 of each chain, too few to be judged." in verdict.verdict


def test_options_are_checked_before_anything_is_built(fitted: bm.Fit) -> None:
    for options, message in (
        ({"seed": -1}, "seed=-1 lies outside"),
        ({"seed": 1, "chains": 0}, "chains=0 must be an integer >= 1"),
        ({"seed": 1, "sampler": "gibbs"}, "sampler='gibbs': choose from"),
    ):
        with pytest.raises(bm.SpecError, match=message):
            bm.fit(None, None, **options)


def test_a_specification_that_does_not_fit_the_panel_is_refused(fitted: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match="max_lag=60 reaches beyond the 60 dates"):
        bm.fit(bm.MediaMix(adstock=bm.GeometricAdstock(60)), fitted.data, seed=1)
