"""Prices in the configuration itself."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.settings.check import check
from gateway.settings.load import from_tree


def found(price: dict[str, Any]) -> list[str]:
    tree = {
        "upstreams": {"one": {"base_url": "https://x/v1"}},
        "models": {"m": {"upstream": "one", "price": price}},
        "prices": {"table": {"m": price}},
    }
    lines = [str(problem) for problem in check(from_tree(tree, "t.toml"), set())]
    own = [line.replace('models."m".price', "PRICE") for line in lines if 'models."m".price' in line]
    assert own == [line.replace("prices.table.m", "PRICE") for line in lines if "prices.table" in line]
    assert len(lines) == 2 * len(own)
    return own


@pytest.mark.parametrize(
    "price",
    [
        {"input": 0, "output": 0},
        {"input_second": 0.0001},
        {"input": 5, "input_image": 8, "output_image": 30},
        {"input": 1, "output": 2, "when": [{"tier": "flex", "input": 0.5}, {"above_tokens": 1, "output": 600}]},
    ],
)
def test_a_sound_price_has_no_problem(price: dict[str, Any]):
    assert found(price) == []


PLAIN = {"input": 1, "output": 2}


@pytest.mark.parametrize(
    ("price", "line"),
    [
        ({"input": 1}, 'PRICE: "output" is missing; add output = 0.60, USD per million tokens'),
        ({"output": 1}, 'PRICE: "input" is missing; add input = 0.15, USD per million tokens'),
        (
            PLAIN | {"when": [{"tier": "flex", "input": -1}]},
            "PRICE.when[0].input: -1 is below 0; write the price in USD per million tokens, 0 or more",
        ),
        (
            PLAIN | {"when": [{"input": 1}]},
            'PRICE.when[0]: has no condition; add tier = "flex", or above_tokens = 200000',
        ),
        (
            PLAIN | {"when": [{"tier": "default", "input": 1}]},
            'PRICE.when[0].tier: "default" is the standard tier; its rates stand in the price',
        ),
        (
            PLAIN | {"when": [{"above_tokens": 0, "input": 1}]},
            "PRICE.when[0].above_tokens: 0 is no threshold; write input tokens, 1 or more",
        ),
        (
            PLAIN | {"when": [{"tier": "flex", "input": 1}, {"tier": "flex", "output": 1}]},
            "PRICE.when[1]: stands there twice; write the rates of one condition together",
        ),
        (
            PLAIN | {"input_second": -1},
            "PRICE.input_second: -1 is below 0; write the price in USD per second, 0 or more",
        ),
        (
            PLAIN | {"input_second": 6},
            "warning: PRICE.input_second: 6 is much for a second of audio; write USD per second",
        ),
        (
            PLAIN | {"output_audio": 20000},
            "PRICE.output_audio: 20000 is beyond every known price; write USD per million tokens, at most 1000",
        ),
        (
            PLAIN | {"when": [{"tier": "fl\x1bex", "input": 1}]},
            'PRICE.when[0].tier: "fl\\u001bex" is no tier; write what answers say, in 1 to 64 visible ASCII characters',
        ),
    ],
)
def test_a_wrong_price_is_one_line_with_place_and_remedy(price: dict[str, Any], line: str):
    assert found(price) == [line]


@pytest.mark.parametrize("name", ["", "gpt\x00", "m" * 257])
def test_a_name_in_the_table_that_is_no_models_name_is_refused(name: str):
    tree = {"upstreams": {"one": {"base_url": "https://x/v1"}}, "prices": {"table": {name: PLAIN}}}
    (line,) = [str(one) for one in check(from_tree(tree, "t.toml"), set()) if one.path.startswith("prices")]

    assert line.endswith("is no model's name; write 1 to 256 characters that print, or take the model out")
    assert line.isprintable()
