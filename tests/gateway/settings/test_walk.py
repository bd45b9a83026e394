"""The shape of the file: every difference is named, with the value and the remedy."""

from __future__ import annotations

import tomllib
from typing import Annotated

import msgspec
import pytest

from gateway.settings.schema import Configuration
from gateway.settings.walk import shape_problems


def lines(text: str) -> list[str]:
    return [str(problem) for problem in shape_problems(tomllib.loads(text), Configuration)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("upstream = 1", 'unknown key "upstream"; did you mean "upstreams"?'),
        (
            "colour = 1",
            'unknown key "colour"; known keys: server, lake, redis, logs, telemetry, sql, upstreams, models,',
        ),
        ("[server]\nworker = 3", 'server: unknown key "worker"; did you mean "workers"?'),
        ("server = 3", "server: 3 stands where a table belongs; known keys: host, port, console_host, console_port,"),
        (
            '[server]\nport = "80"',
            'server.port: "80" does not fit; write a whole number from 0 to 65535 without quotes',
        ),
        ("[server]\nport = 65536", "server.port: 65536 does not fit; write a whole number from 0 to 65535"),
        ("[server]\nport = 80.0", "server.port: 80.0 does not fit; write a whole number from 0 to 65535"),
        ("[server]\nport = true", "server.port: true does not fit; write a whole number from 0 to 65535"),
        ('[sql]\nrequire_landlock = "yes"', 'sql.require_landlock: "yes" does not fit; write true or false without'),
        ("[server]\nhost = 1", "server.host: 1 does not fit; write text in quotes"),
        ("[server]\nmax_body_bytes = 10", "server.max_body_bytes: 10 does not fit; write a whole number from 1024"),
        (
            "[lake]\nseal_every_s = 0",
            "lake.seal_every_s: 0 does not fit; write a finite number above 0 to 86400 without quotes",
        ),
        ("[lake]\nseal_every_s = nan", "lake.seal_every_s: nan does not fit"),
        ("[lake]\nseal_every_s = 2024-01-01", "lake.seal_every_s: 2024-01-01 does not fit"),
        ("[[upstreams]]", "upstreams: an array stands where named tables belong; write [upstreams.NAME]"),
        ("[upstreams]\nx = 3", "upstreams.x: 3 stands where a table belongs; known keys: base_url, api_key"),
        ("[upstreams.x]", 'upstreams.x: "base_url" is missing; add base_url = "https://api.openai.com/v1"'),
        (
            '[upstreams.x]\nbase_url = "https://x"\nmodels = "gpt*"',
            'upstreams.x.models: "gpt*" is not known; write "*"',
        ),
        (
            '[upstreams.x]\nbase_url = "https://x"\nstream_usage = "injct"',
            'upstreams.x.stream_usage: "injct" is not known; did you mean "inject"?',
        ),
        (
            '[upstreams.x]\nbase_url = "https://x"\nstream_usage = 3',
            'upstreams.x.stream_usage: 3 is not known; write "inject" or "leave"',
        ),
        ('[models."gpt-4o"]', 'models."gpt-4o": "upstream" is missing; add upstream = "NAME", one of the'),
        (
            '[models."gpt-4o"]\nupstream = "x"\nprice = {input = inf, output = 1}',
            'models."gpt-4o".price.input: inf does not fit; write a finite number without quotes',
        ),
        (
            '[models.gpt-4.1-mini]\nupstream = "x"',
            'models."gpt-4": "1-mini" is read as a table inside; a name with a dot stands in quotes: [models."gpt-4.1-',
        ),
        ('[rollouts.x]\nbase = "b"\ncandidate = "c"\nalso_for = "d"', 'rollouts.x.also_for: "d" stands where an array'),
        ('[rollouts.x]\nbase = "b"\ncandidate = "c"\nalso_for = [1]', "rollouts.x.also_for[0]: 1 does not fit"),
        (
            '[rollouts.x]\nbase = "b"\ncandidate = "c"\nsalt = ""',
            'rollouts.x.salt: "" does not fit; write text of 1 to 128 characters in quotes',
        ),
        (
            '[applications.a]\nuser_header = "X-User"',
            'applications.a.user_header: "X-User" does not fit; write a header\'s name in lower case',
        ),
        (
            '[applications.a]\nuser_header = "x-user\\n"',
            'applications.a.user_header: "x-user\\u000a" does not fit',
        ),
        (
            '[applications.a]\npurposes = ["lvie"]',
            'applications.a.purposes[0]: "lvie" is not known; did you mean "live"?',
        ),
    ],
)
def test_a_difference_is_one_line_with_place_value_and_remedy(text: str, line: str):
    found = lines(text)

    assert len(found) == 1
    assert found[0].startswith(line)


@pytest.mark.parametrize(
    "text",
    [
        '[upstreams.x]\nbase_url = "https://x"\napi_key = "sk-very-secret"',
        '[upstreams.x]\nbase_url = "https://x"\napi_key = ["sk-very-secret"]',
        '[upstreams.x]\nbase_url = "https://x"\napi_key = { env = ["sk-very-secret"] }',
        '[upstreams.x]\nbase_url = "https://x"\napi_key = { value = "sk-very-secret" }',
        '[upstreams.x]\nbase_url = "https://x"\napikey = "sk-very-secret"',
        '[applications.a]\naccept = ["sk-very-secret"]',
        '[applications.a]\naccept = "very-secret"',
        '[applications.a]\naccept = [{ file = { x = "very-secret" } }]',
    ],
)
def test_a_literal_secret_is_refused_and_not_repeated(text: str):
    found = lines(text)

    assert len(found) == 1
    assert "very-secret" not in found[0]


def test_a_literal_secret_gets_the_form_to_use_instead():
    assert lines('[upstreams.x]\nbase_url = "https://x"\napi_key = "sk-1"') == [
        'upstreams.x.api_key: a secret never stands in this file; write { env = "NAME" } or { file = "/path" }'
    ]


def test_all_differences_are_named_at_once_in_the_order_of_the_file():
    found = lines('one = 1\ntwo = 2\n[server]\nport = -1\nhost = 1\n[models."m"]\nupstream = 2')

    assert [line.split(":")[0] for line in found] == [
        'unknown key "one"; known keys',
        'unknown key "two"; known keys',
        "server.host",
        "server.port",
        'models."m".upstream',
    ]


def test_a_misspelt_required_key_is_one_problem_and_not_two():
    assert lines('[rollouts.x]\nbase = "b"\ncandiate = "c"') == [
        'rollouts.x: unknown key "candiate"; did you mean "candidate"?'
    ]


def test_a_misspelt_price_is_not_taken_for_a_split_name():
    assert lines('[models."m"]\nupstream = "x"\nprices = {input = 1, output = 1}') == [
        'models."m": unknown key "prices"; did you mean "price"?'
    ]


def test_a_number_beyond_64_bits_does_not_fit():
    assert lines("[server]\nmax_body_bytes = 9223372036854775808")[0].startswith("server.max_body_bytes: 92233720")


class Half(msgspec.Struct):
    share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0
    flag: bool = False


def test_a_half_open_range_is_said_in_words():
    assert [str(problem) for problem in shape_problems({"share": 1.0, "flag": 1}, Half)] == [
        "share: 1.0 does not fit; write a finite number from 0 below 1 without quotes",
        "flag: 1 does not fit; write true or false without quotes",
    ]
