"""Prices that models get from tables: the operator's file, the shipped one, and what keeps a file from being used."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from analytics.plausible import doubts, is_beyond_belief
from analytics.pricing import Price
from gateway.settings.compile import price_version
from gateway.settings.load import load, load_checked
from gateway.settings.prices import SHIPPED, shipped
from gateway.settings.problem import SettingsError

OPENAI = '[upstreams.one]\nbase_url = "https://api.openai.com/v1"\n'
OWN = '[upstreams.one]\nbase_url = "http://127.0.0.1:8000/v1"\n'
MODELS = '[models."gpt-4o-mini"]\nupstream = "one"\n[models."ft:gpt-4o-mini:acme::1"]\nupstream = "one"\n'
FILE = '[prices]\nfile = "prices.json"\n'
CHEAP = {"gpt-4o-mini": {"input_cost_per_token": 1e-7, "output_cost_per_token": 2e-7}}


def written(folder: Path, content: str, prices: object = CHEAP) -> Path:
    (folder / "prices.json").write_text(prices if isinstance(prices, str) else json.dumps(prices))
    path = folder / "turnout.toml"
    path.write_text(content)
    return path


def price(path: Path, model: str = "gpt-4o-mini") -> Price | None:
    return load(path).models[model].price


def refusal(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_checked(path, set())
    return str(caught.value).splitlines()


def test_openais_models_have_the_shipped_prices(tmp_path: Path):
    path = written(tmp_path, OPENAI + MODELS)

    assert price(path) == shipped()["gpt-4o-mini"]
    assert price(path, "ft:gpt-4o-mini:acme::1") == Price(input=0.3, output=1.2, cached_input=0.15)


def test_another_upstreams_models_have_not(tmp_path: Path):
    assert price(written(tmp_path, OWN + MODELS)) is None


@pytest.mark.parametrize(
    ("upstream", "wanted"),
    [
        (OPENAI + 'prices = "none"\n', None),
        (OPENAI + 'prices = "file"\n', 0.1),
        (OPENAI, 0.1),
        (OWN, 0.1),
        (OWN + 'prices = "all"\n', 0.1),
        (OWN + 'prices = "none"\n', None),
    ],
)
def test_an_upstream_says_which_tables_price_its_models(tmp_path: Path, upstream: str, wanted: float | None):
    found = price(written(tmp_path, upstream + MODELS + FILE))

    assert (found.input if found is not None else None) == wanted


def test_a_price_of_its_own_wins_over_the_table_and_the_table_over_the_file(tmp_path: Path):
    table = '[prices.table]\ngpt-4o-mini = { input = 7, output = 7 }\n"ft:gpt-4o-mini" = { input = 8, output = 8 }\n'
    path = written(
        tmp_path, OPENAI + MODELS.replace('"one"\n', '"one"\nprice = {input=9, output=9}\n', 1) + FILE + table
    )

    assert price(path) == Price(input=9.0, output=9.0)
    assert price(path, "ft:gpt-4o-mini:acme::1") == Price(input=8.0, output=8.0)


def test_unlisted_models_are_priced_where_an_upstream_takes_them(tmp_path: Path):
    listed = load(written(tmp_path, OPENAI + MODELS + FILE)).prices.table
    caught = load(written(tmp_path, OPENAI + 'models = "*"\n' + MODELS + FILE)).prices.table

    assert listed == {}
    assert caught == shipped() | {"gpt-4o-mini": Price(input=0.1, output=0.2)}


def test_the_file_is_found_beside_the_configuration(tmp_path: Path):
    assert load(written(tmp_path, OWN + FILE)).prices.file == str(tmp_path / "prices.json")


def test_the_version_changes_with_a_price_in_the_file_and_with_nothing_else_in_it(tmp_path: Path):
    text = OWN + MODELS + FILE
    first = price_version(load(written(tmp_path, text)))
    described = price_version(load(written(tmp_path, text, {"gpt-4o-mini": CHEAP["gpt-4o-mini"] | {"mode": "chat"}})))
    dearer = {"gpt-4o-mini": CHEAP["gpt-4o-mini"] | {"cache_read_input_token_cost": 5e-8}}

    assert first == described
    assert first != price_version(load(written(tmp_path, text, dearer)))


def test_a_wrong_price_names_file_model_and_key(tmp_path: Path):
    path = written(tmp_path, OWN + FILE, {"gpt-4o": {"input_cost_per_token": 2.5}})

    (line,) = refusal(path)
    assert line == (
        f'{path}: prices.file: "prices.json": "gpt-4o".input_cost_per_token: '
        "2.5 looks like USD per million tokens; write USD per token: 2.5e-06"
    )


def test_many_wrong_prices_are_counted(tmp_path: Path):
    prices = {f"m{at}": {"input_cost_per_token": -1} for at in range(30)}

    assert len(lines := refusal(written(tmp_path, OWN + FILE, prices))) == 21
    assert lines[-1].endswith(": 10 more problems of this kind")


def per_token(per_million: float, out: float) -> dict[str, float]:
    return {"input_cost_per_token": per_million / 1e6, "output_cost_per_token": out / 1e6}


def warned(path: Path) -> list[str]:
    return [str(problem) for problem in load_checked(path, set())[1]]


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "ft:gpt-4o-mini:acme::1"])
def test_prices_per_thousand_tokens_of_a_known_model_are_refused(tmp_path: Path, name: str):
    lines = refusal(written(tmp_path, OWN + FILE, {name: per_token(150, 600)}))

    assert [line.split(f'"{name}".')[1].split(":")[0] for line in lines] == [
        "input_cost_per_token",
        "output_cost_per_token",
    ]
    assert all("times the shipped" in line and line.endswith("; write USD per token") for line in lines)


def test_prices_per_thousand_tokens_of_an_unknown_model_are_doubted(tmp_path: Path):
    path = written(tmp_path, OWN + 'models = "*"\n' + FILE, {"m": per_token(150, 600)})

    assert warned(path) == [
        f'warning: prices.file: "prices.json": "m".{key}: {usd} is dearer than all but a few models '
        "(in USD per million tokens); write USD per token"
        for key, usd in (("input_cost_per_token", 150), ("output_cost_per_token", 600))
    ]
    assert load(path).prices.table["m"].input == 150.0


def test_a_price_that_nobody_asks_is_not_used_and_said(tmp_path: Path):
    path = written(tmp_path, OWN + 'models = "*"\n' + FILE, {"m": per_token(9000, 9000), **CHEAP})
    (line,) = warned(path)

    assert line == (
        'warning: prices.file: "prices.json": "m": has a price above 1000 USD per million tokens, so none is used and '
        "costs are unknown; write USD per token, such as 1.5e-07"
    )
    assert load(path).prices.table.keys() == CHEAP.keys()


def test_two_units_in_one_price_are_refused(tmp_path: Path):
    (line,) = refusal(written(tmp_path, OWN + FILE, {"m": per_token(0.1, 390)}))

    assert '"m".output_cost_per_token: 390 is 3,900 times input (0.1)' in line


def test_prices_in_the_configuration_are_compared_with_the_shipped_ones_too(tmp_path: Path):
    dear = '[models."gpt-4o-mini"]\nupstream = "one"\nprice = { input = 150, output = 600 }\n'
    cheap = '[models.m]\nupstream = "one"\n[prices.table]\n"gpt-4o" = { input = 0.0025, output = 0.01 }\n'
    lines = refusal(written(tmp_path, OWN + dear))

    assert [line.split(": ", 1)[1] for line in lines] == [
        'models."gpt-4o-mini".price.input: 150 is 1,000 times the shipped 0.15; write USD per million tokens',
        'models."gpt-4o-mini".price.output: 600 is 1,000 times the shipped 0.6; write USD per million tokens',
    ]
    assert warned(written(tmp_path, OWN + cheap)) == [
        "warning: prices.table.gpt-4o.input: 0.0025 is 1/1,000 of the shipped 2.5; write USD per million tokens",
        "warning: prices.table.gpt-4o.output: 0.01 is 1/1,000 of the shipped 10; write USD per million tokens",
    ]


def test_many_doubts_are_counted(tmp_path: Path):
    lines = warned(written(tmp_path, OWN + MODELS + FILE, {f"m{at}": per_token(150, 0) for at in range(30)}))

    assert len(lines) == 21
    assert lines[-1].endswith(": 10 more problems of this kind")


def test_nothing_that_is_shipped_is_doubted():
    for name, one in shipped().items():
        assert list(doubts(one, one)) == [], name
        assert not is_beyond_belief(one), name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.json", "cannot be read: No such file or directory"),
        (".", "cannot be read: Is a directory"),
        ("a\\u0000b", "cannot be read: not a path"),
        ("large.json", "is larger than 16777216 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, problem: str):
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    (line,) = refusal(written(tmp_path, OWN + f'[prices]\nfile = "{name}"\n'))

    assert problem in line


def test_what_contradicts_itself_is_said_before_the_file_is_read(tmp_path: Path):
    lines = refusal(written(tmp_path, '[models."m"]\nupstream = "nowhere"\n' + FILE, "no JSON"))

    assert any("nowhere" in line for line in lines)


def test_a_model_of_an_unknown_upstream_loads_and_is_left_to_the_check(tmp_path: Path):
    assert price(written(tmp_path, MODELS + FILE)) is None


def test_the_shipped_table_is_dated_and_has_no_model_that_was_shut_down_by_then():
    day = date.fromisoformat(SHIPPED.stem.removeprefix("openai-"))
    entries = json.loads(SHIPPED.read_text())

    assert [
        name for name, one in entries.items() if date.fromisoformat(one.get("deprecation_date", "9999-01-01")) <= day
    ] == []
    assert shipped().keys() == entries.keys()
    assert list(entries) == sorted(entries)


def test_the_shipped_table_has_the_shutdowns_that_were_announced():
    entries = json.loads(SHIPPED.read_text())

    assert {entries[name]["deprecation_date"] for name in ("gpt-5", "gpt-5-mini", "gpt-5-nano", "o3")} == {"2026-12-11"}
    assert {
        entries[name]["deprecation_date"]
        for name in entries
        if name.startswith(("ft:", "gpt-4o-2024", "gpt-4o-mini-2024", "gpt-4.1-2025", "gpt-4.1-mini-2025"))
    } == {"2027-01-14"}


def test_no_shipped_price_contradicts_another_of_its_model():
    for name, one in shipped().items():
        for rates in (one, *one.when):
            assert (rates.cached_input or 0) <= (rates.input or 0), name
            assert rates.cache_creation is None or rates.cache_creation >= (rates.input or 0), name
            assert rates.output is None or rates.output == 0 or rates.output >= (rates.input or 0), name
