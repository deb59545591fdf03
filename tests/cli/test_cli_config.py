"""The TOML file: what it may hold, and how each mistake is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bayes_mkt.cli.config import read_media_mix_config
from bayes_mkt.errors import SpecError

MINIMAL = '[data]\nsales = "sales"\ndate = "week"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_table_is_read(tmp_path: Path) -> None:
    config = read_media_mix_config(
        write(
            tmp_path,
            """
            [data]
            sales = "revenue"
            date = "week"
            region = "market"
            population = "people"
            revenue_per_sale = "price"
            currency = "EUR"
            missing_sales = "error"
            controls = ["holiday"]
            spend = { tv = "tv_cost" }
            [data.exposure]
            tv = "tv_views"
            "in store" = "displays"
            [model]
            preset = "meridian"
            knots = 3
            [sampler]
            seed = 4
            chains = 2
            draws = 50
            warmup = 60
            sampler = "nuts"
            [estimand]
            spend_window = ["2021-01-01", 2021-12-31]
            outcome_window = ["2021-01-01", "2022-03-31"]
            carryover = false
            [report]
            title = "A title"
            interval = 0.8
            """,
        )
    )
    assert config.data["spend"] == {"tv": "tv_cost"}
    assert config.forecast is config.budget is config.refutation is config.backtest is None
    assert config.data["exposure"] == {"tv": "tv_views", "in store": "displays"}
    assert config.data["controls"] == ["holiday"]
    assert config.model == {"preset": "meridian", "knots": 3}
    assert config.sampler == {
        "seed": 4,
        "chains": 2,
        "draws": 50,
        "warmup": 60,
        "sampler": "nuts",
    }
    assert config.estimand == {
        "spend_window": ("2021-01-01", "2021-12-31"),
        "outcome_window": ("2021-01-01", "2022-03-31"),
        "carryover": False,
    }
    assert config.report == {"title": "A title", "interval": 0.8}


def test_what_is_not_given_is_left_to_the_defaults(tmp_path: Path) -> None:
    config = read_media_mix_config(write(tmp_path, MINIMAL))
    assert config.data == {"sales": "sales", "date": "week"}
    assert not config.model
    assert not config.sampler
    assert not config.estimand
    assert not config.report


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ('sale = "x"', "[data] has no key 'sale'; did you mean 'sales'?"),
        ('zzz = "x"', "[data] has no key 'zzz'; use any of 'sales', 'date'"),
        ("[modle]\nknots = 1", "there is no table [modle]; did you mean 'model'?"),
        ("[sampler]\nchain = 4", "[sampler] has no key 'chain'; did you mean 'chains'?"),
        ("[sampler]\nchains = 0", "[sampler] chains = 0 must be a whole number >= 1"),
        ("[sampler]\ndraws = true", "[sampler] draws = True must be a whole number >= 1"),
        ("[sampler]\nseed = 1.5", "[sampler] seed = 1.5 must be a whole number >= 0"),
        ("[sampler]\nsampler = 1", "[sampler] sampler = 1 must be text"),
        ("[estimand]\nwindow = []", "[estimand] has no key 'window'"),
        ('[estimand]\nspend_window = "2021"', "must be two dates, first and last"),
        ('[estimand]\nspend_window = ["2021-01-01"]', "must be two dates, first and last"),
        ('[estimand]\nspend_window = ["2021-13-01", "x"]', "must be two dates, first and last"),
        ("[estimand]\ncarryover = 1", "[estimand] carryover = 1 must be true or false"),
        ("[report]\ninterval = 90", "[report] interval = 90 must lie between 0 and 1"),
        ('[report]\ntitel = "x"', "[report] has no key 'titel'; did you mean 'title'?"),
        ('controls = "price"', "[data] controls = 'price' must be a list of texts"),
        ("controls = [1]", "[data] controls = [1] must be a list of texts"),
        ('spend = "tv"', "[data] spend = 'tv' must be a table of channel = \"column\""),
        ("[data.spend]\ntv = 3", "[data] spend = {'tv': 3} must be a table"),
        ('region = ""', "[data] region = '' must be text"),
    ],
)
def test_a_mistake_is_named_with_its_table(tmp_path: Path, addition: str, message: str) -> None:
    path = write(tmp_path, MINIMAL + addition + "\n")
    with pytest.raises(SpecError, match=re.escape(message)) as caught:
        read_media_mix_config(path)
    assert str(path) in str(caught.value)


def test_all_mistakes_are_named_together(tmp_path: Path) -> None:
    path = write(tmp_path, '[data]\nsales = 1\ncolour = "red"\n[smapler]\n[report]\ninterval = 2\n')
    with pytest.raises(SpecError) as caught:
        read_media_mix_config(path)
    message = str(caught.value)
    assert "5 problems in the configuration" in message
    for part in ("[smapler]", "sales = 1", "'colour'", "lacks the key 'date'", "interval = 2"):
        assert part in message


def test_a_table_must_be_a_table(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=re.escape("[sampler] must be a table, but is 3")):
        read_media_mix_config(write(tmp_path, "sampler = 3\n" + MINIMAL))


def test_what_is_not_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"not valid TOML: .*line 2"):
        read_media_mix_config(write(tmp_path, "[data]\nsales = tv\n"))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"absent.toml can't be read: No such file"):
        read_media_mix_config(tmp_path / "absent.toml")


def test_the_committed_configurations_are_valid() -> None:
    folder = Path(__file__).parents[2] / "docs" / "configs"
    paths = sorted(folder.glob("*.toml"))
    assert paths
    for path in paths:
        assert read_media_mix_config(path).data["sales"]
