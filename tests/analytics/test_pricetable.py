from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.pricetable import PriceTableError, indexed, price_of, read_table
from analytics.pricing import Conditional, Price

PLAIN = {"input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07}


def table(**models: Any) -> bytes:
    return json.dumps(models).encode()


def entry(**keys: Any) -> Price | None:
    return read_table(table(m={**PLAIN, **keys}, other=PLAIN)).get("m")


def refusal(content: bytes) -> list[str]:
    with pytest.raises(PriceTableError) as caught:
        read_table(content)
    return list(caught.value.problems)


def test_usd_per_token_become_usd_per_million_exactly() -> None:
    assert entry() == Price(input=0.15, output=0.6)


@given(st.decimals(min_value="0.001", max_value="600", places=4))
def test_no_digit_of_a_price_is_lost_on_the_way(per_million: Any) -> None:
    price = entry(input_cost_per_token=float(per_million.scaleb(-6)))

    assert price is not None
    assert price.input == float(per_million)


def test_every_part_has_its_key() -> None:
    assert entry(
        cache_read_input_token_cost=1e-6,
        cache_creation_input_token_cost=2e-6,
        cache_creation_input_token_cost_above_12hr=3e-6,
        output_cost_per_reasoning_token=4e-6,
        input_cost_per_audio_token=5e-6,
        output_cost_per_audio_token=6e-6,
        input_cost_per_image_token=7e-6,
        output_cost_per_image_token=8e-6,
        input_cost_per_second=0.0001,
    ) == Price(
        input=0.15,
        output=0.6,
        cached_input=1.0,
        cache_creation=2.0,
        cache_creation_long=3.0,
        reasoning_output=4.0,
        input_audio=5.0,
        output_audio=6.0,
        input_image=7.0,
        output_image=8.0,
        input_second=0.0001,
    )


def test_suffixes_are_conditions_in_an_order_of_their_own() -> None:
    keys = {
        "output_cost_per_token_above_200k_tokens_priority": 9e-6,
        "input_cost_per_token_above_128k_tokens": 2e-6,
        "input_cost_per_token_batches": 1e-6,
        "cache_creation_input_token_cost_above_12hr_above_200k_tokens_priority": 8e-6,
        "input_cost_per_token_flex": 3e-6,
    }
    price = entry(**keys)

    assert price is not None
    assert price.when == (
        Conditional(above_tokens=128_000, input=2.0),
        Conditional(tier="batch", input=1.0),
        Conditional(tier="flex", input=3.0),
        Conditional(tier="priority", above_tokens=200_000, output=9.0, cache_creation_long=8.0),
    )
    assert price == entry(**dict(reversed(keys.items())))


def test_what_a_speech_model_puts_out_is_audio() -> None:
    price = entry(mode="audio_speech", output_cost_per_audio_token=1.2e-5)

    assert price is not None
    assert price.output == price.output_audio == 12.0


def test_seconds_alone_price_a_model_and_are_counted_once() -> None:
    whisper = {"input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001}

    assert read_table(table(whisper=whisper)) == {"whisper": Price(input_second=0.0001)}


@pytest.mark.parametrize(
    "keys",
    [
        {"tiered_pricing": [{"input_cost_per_token": 1e-6}]},
        {"off_peak_pricing": {"input_cost_per_token": 1e-6}},
        {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, "output_cost_per_image": 0.04},
        {"input_cost_per_token": None, "output_cost_per_token": None, "input_cost_per_character": 1.5e-5},
    ],
)
def test_a_model_that_is_not_priced_by_its_tokens_is_left_out(keys: dict[str, Any]) -> None:
    assert entry(**keys) is None


def test_a_model_with_every_price_0_is_free() -> None:
    price = entry(input_cost_per_token=0, output_cost_per_token=0.0)

    assert price is not None
    assert price.is_free


@pytest.mark.parametrize(
    "key",
    [
        "max_tokens",
        "supports_vision",
        "litellm_provider",
        "deprecation_date",
        "something_new",
        "input_cost_per_character",
        "output_cost_per_image_0.5K",
        "input_cost_per_video_per_second_above_128k_tokens",
        "search_context_cost_per_query",
        "cache_read_input_audio_token_cost",
        "cache_creation_input_token_cost_above_1hr",
        "input_cost_per_token_above_272k_tokens_decisions",
        "output_dbu_cost_per_token",
    ],
)
def test_descriptions_and_other_units_are_passed_over(key: str) -> None:
    assert entry(**{key: -5}) == entry()


def test_the_entry_that_explains_the_others_is_no_model() -> None:
    assert list(read_table(table(sample_spec={"input_cost_per_token": "see below"}, m=PLAIN))) == ["m"]


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("input_cost_per_token", -1e-6, "-1e-06 is below 0; write a price of 0 or more, in USD"),
        ("input_cost_per_token", 2.5, "2.5 looks like USD per million tokens; write USD per token: 2.5e-06"),
        ("output_cost_per_token_flex", 0.15, "0.15 looks like USD per million tokens; write USD per token: 1.5e-07"),
        ("input_cost_per_token", 1e-13, "1e-13 is too small for a price; write USD per token, such as 1.5e-07"),
        ("input_cost_per_token", "1e-6", "is no number; write USD per token, such as 1.5e-07"),
        ("input_cost_per_token", True, "is no number; write USD per token, such as 1.5e-07"),
        ("input_cost_per_token", float("nan"), "nan is not finite; write USD per token, such as 1.5e-07"),
        (
            "input_cost_per_token",
            10**400,
            "a number of 401 digits is no price; write USD per token, such as 1.5e-07",
        ),
        (
            "input_cost_per_second",
            -(10**308),
            "a number of 309 digits is no price; write USD per token, such as 1.5e-07",
        ),
        ("input_cost_above_0k", 1e-6, 'unknown price; did you mean "input_cost_per_token"?'),
        ("input_cost_per_second", 6.0, "6 is no price of a second; write USD per second"),
        ("input_cost_per_token_pirority", 1e-6, 'unknown price; did you mean "input_cost_per_token"?'),
        ("input_cots_per_token", 1e-6, 'unknown price; did you mean "input_cost_per_token"?'),
        ("peak_fees", 1e-6, "unknown price; take it out, or bill it elsewhere"),
    ],
)
def test_a_wrong_price_is_refused_with_model_and_key(key: str, value: object, problem: str) -> None:
    assert refusal(table(**{"gpt-4o": {**PLAIN, key: value}, "m": PLAIN})) == [f'"gpt-4o".{key}: {problem}']


def test_every_wrong_price_is_named_and_nothing_prints_that_should_not() -> None:
    wrong = {"input_cost_per_token": -1, "output\n_cost_per_x": 1}

    assert refusal(table(**{"a\x1b": wrong, "b": 3})) == [
        '"a\\u001b": is no model\'s name; write 1 to 256 characters that print, or take the model out',
        '"a\\u001b".input_cost_per_token: -1 is below 0; write a price of 0 or more, in USD',
        '"a\\u001b"."output\\n_cost_per_x": unknown price; did you mean "output_cost_per_token"?',
        '"b": is not an object; write its prices in braces',
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", '""'),
        ("\ud800", '"\\ud800"'),
        ("gpt\n4", '"gpt\\n4"'),
        ("m\u202e", '"m\\u202e"'),
        ("m" * 257, f'"{"m" * 80}..."'),
    ],
)
def test_what_is_no_models_name_is_refused(name: str, said: str) -> None:
    problem = f"{said}: is no model's name; write 1 to 256 characters that print, or take the model out"

    assert refusal(table(**{name: PLAIN, "m": PLAIN})) == [problem]


def test_a_threshold_of_0_is_none() -> None:
    (problem,) = refusal(table(m={**PLAIN, "input_cost_per_token_above_0k_tokens": 1e-6}))

    assert problem.startswith('"m".input_cost_per_token_above_0k_tokens: unknown price')


def test_a_number_of_too_many_digits_for_json_is_refused() -> None:
    (problem,) = refusal(b'{"m": {"input_cost_per_token": 1' + b"0" * 5000 + b"}}")

    assert problem.startswith("is not JSON: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"m": {', "is not JSON: Expecting property name"),
        (b"\xff{}", "is not JSON: "),
        (b"[]", "is not a JSON object; a price table names models, each with its prices"),
        (b"{}", "prices no model; each model needs"),
        (b'{"m": {"mode": "chat"}}', "prices no model; each model needs"),
        (b'{"m": {}, "m": {}}', 'names "m" twice; take one of them out'),
        (b'{"m": {"mode": 1, "mode": 2}}', 'names "mode" twice; take one of them out'),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_file_that_is_no_price_table_is_refused(content: bytes, problem: str) -> None:
    (found,) = refusal(content)
    assert found.startswith(problem)


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_no_json_breaks_the_reader(tree: object) -> None:
    try:
        read_table(json.dumps(tree).encode())
    except PriceTableError as error:
        assert error.problems  # noqa: PT017 - either outcome is right, any other error is not


BASE, OLD, NEW, LATE = (Price(input=float(at), output=1.0) for at in range(1, 5))
TUNED = {
    "gpt-x": BASE,
    "ft:gpt-x-2024-07-18": OLD,
    "ft:gpt-x-2024-11-20": NEW,
    "ft:gpt-y-0125": OLD,
    "ft:gpt-y-1106": OLD,
    "ft:gpt-z": LATE,
    "ft:gpt-z-2025-01-01": NEW,
    "ft:gpt-z:acme::own": BASE,
}


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-x", BASE),
        ("ft:gpt-z:acme::own", BASE),
        ("ft:gpt-x-2024-07-18:acme:sales:1", OLD),
        ("ft:gpt-x-2024-11-20:acme::1:ckpt-step-90", NEW),
        ("ft:gpt-y:acme::1", OLD),
        ("ft:gpt-z:acme::1", LATE),
        ("ft:gpt-z-2025-01-01:acme::1", NEW),
        ("ft:gpt-z-2026-02-02:acme::1", LATE),
        ("ft:gpt-x:acme::1", None),
        ("ft:gpt-x-2025-05-05:acme::1", None),
        ("ft:gpt-y-0613:acme::1", None),
        ("ft:gpt:acme::1", None),
        ("ft:", None),
        ("gpt-x-2024-07-18", None),
        ("gpt-y", None),
    ],
)
def test_a_fine_tuned_model_is_priced_as_its_base_fine_tuned(model: str, price: Price | None) -> None:
    assert price_of(model, indexed(TUNED)) is price
