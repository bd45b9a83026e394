from __future__ import annotations

from pathlib import Path

import pytest

from gateway.simulate.config import BadSimulationError, load


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "sim.toml"
    path.write_text(text)
    with pytest.raises(BadSimulationError) as caught:
        load(path)
    return str(caught.value).replace(str(path), "sim.toml")


def test_a_simulation_is_read_from_a_file(tmp_path: Path):
    path = tmp_path / "sim.toml"
    path.write_text(
        'seed = 1\ntime_scale = 0.5\nkeys = ["k"]\n'
        '[models."gpt-4o-mini"]\nttft_ms = 10\nerrors = { 500 = 0.25, 429 = 0.1 }\n[models.other]\n'
    )

    config = load(path)

    assert (config.seed, config.time_scale, config.keys) == (1, 0.5, ("k",))
    assert config.models["gpt-4o-mini"].ttft_ms == 10
    assert config.models["gpt-4o-mini"].errors == {500: 0.25, 429: 0.1}
    assert config.models["other"].output_tokens == 220


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.a]\nttft = 1", 'sim.toml: models."a".ttft: no such key; the keys here are ttft_ms,'),
        ("sped = 1\n[models.a]", "sim.toml: sped: no such key; the keys here are host, port, seed"),
        ("[models.a]\nttft_ms = -3", 'sim.toml: models."a".ttft_ms = -3: Expected `float` >= 0.0'),
        ('[models.a]\noutput_tokens = "many"', "sim.toml: models.\"a\".output_tokens = 'many': Expected `int`"),
        ("[models.a]\nerrors = { 200 = 0.1 }", 'sim.toml: models."a".errors = '),
        ("[models.a]\nerrors = { 500 = 0.6, 503 = 0.6 }", "errors: the shares add up to 1.2; they may not exceed 1"),
        ("port = 70000\n[models.a]", "sim.toml: port = 70000: Expected `int` <= 65535"),
        ("seed = 1", 'sim.toml: no model is configured; add a table such as [models."gpt-4o-mini"]'),
        ("models = 3", "sim.toml: no model is configured"),
        ("[models]\na = 3", 'sim.toml: models."a": Expected `object`, got `int`; write a table of keys'),
        ("[models.a", "sim.toml: is not TOML"),
    ],
)
def test_a_wrong_simulation_is_refused_by_file_place_value_and_remedy(tmp_path: Path, text: str, said: str):
    assert said in refusal(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(BadSimulationError, match=r"nowhere\.toml: cannot be read .*name a TOML file"):
        load(tmp_path / "nowhere.toml")
