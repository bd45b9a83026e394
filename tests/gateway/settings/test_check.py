"""Meaning: what a configuration of the right shape may still not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.settings.check import check
from gateway.settings.load import from_tree, load_checked
from gateway.settings.problem import Problem
from gateway.settings.schema import Configuration

ROOT = Path(__file__).parents[3]
OPENAI = {"base_url": "https://api.openai.com/v1", "api_key": {"env": "OPENAI_API_KEY"}}
MODEL = {"upstream": "openai"}


def found(tree: dict[str, object]) -> list[str]:
    whole = {"upstreams": {"openai": OPENAI}, "models": {"gpt-4o": MODEL}, **tree}
    return [str(problem) for problem in check(from_tree(whole, "t.toml"), {"OPENAI_API_KEY"})]


def test_a_sound_configuration_has_no_problem():
    assert found({}) == []


def test_the_example_is_sound():
    configuration, problems = load_checked(ROOT / "turnout.example.toml", {"OPENAI_API_KEY"})

    assert not problems
    assert configuration.rollouts


def test_without_an_upstream_there_is_nowhere_to_go():
    assert [str(problem) for problem in check(Configuration(), set())] == [
        "upstreams: no upstream is configured; add [upstreams.NAME] with its base_url"
    ]


def test_without_models_every_request_is_refused():
    assert found({"models": {}}) == [
        'warning: models: no model is configured, so every request is refused; add [models."NAME"]'
    ]


def test_an_upstream_for_all_models_needs_none_listed():
    assert found({"models": {}, "upstreams": {"openai": OPENAI | {"models": "*"}}}) == []


@pytest.mark.parametrize("section", ["upstreams", "rollouts", "applications"])
@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "x" * 65, "na\x1bme", "näme"])
def test_a_name_that_does_not_fit_into_addresses_and_headers_is_refused(section: str, name: str):
    sound = {"upstreams": {"openai": OPENAI}, "models": {"gpt-4o": MODEL, "b": MODEL}}
    content = {"upstreams": OPENAI, "rollouts": {"base": "gpt-4o", "candidate": "b"}, "applications": {}}[section]

    lines = found({**sound, section: {**sound.get(section, {}), name: content}})

    assert len(lines) == 1
    assert lines[0].isprintable()
    assert lines[0].endswith("a name has 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit")


@pytest.mark.parametrize("name", ["", "a b", "näme", "a\n", "x" * 257])
def test_a_models_name_is_visible_ascii(name: str):
    lines = found({"models": {name: MODEL}})

    assert len(lines) == 1
    assert lines[0].endswith("a model's name has 1 to 256 visible ASCII characters and no space")


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        ({"applications": {"turnout": {}}}, 'applications.turnout: the name "turnout" is reserved; choose another'),
        (
            {"models": {"a": MODEL, "b": MODEL}, "rollouts": {"base": {"base": "a", "candidate": "b"}}},
            'rollouts.base: the name "base" is reserved; choose another',
        ),
        (
            {"server": {"port": 9000, "console_port": 9000}},
            "server.console_port: 9000 is the port of the gateway too; choose another",
        ),
        (
            {"server": {"console_port": 9000, "metrics_port": 9000}},
            "server.metrics_port: 9000 is the port of the console too; choose another",
        ),
        (
            {"server": {"metrics_host": "http://here"}},
            'server.metrics_host: "http://here" is no host; write an address such as 127.0.0.1 or 0.0.0.0',
        ),
        (
            {"server": {"max_body_bytes": 5000, "max_buffered_bytes": 4000}},
            "server.max_buffered_bytes: 4000 is less than one body may have (max_body_bytes); write more",
        ),
        ({"server": {"host": "a b"}}, 'server.host: "a b" is no host; write an address such as 127.0.0.1 or 0.0.0.0'),
        ({"server": {"console_host": ""}}, 'server.console_host: "" is no host; write an address such as'),
        (
            {"lake": {"url": "gs://bucket"}},
            'lake.url: "gs" is no kind of lake; write a directory, file:///path, or s3://',
        ),
        ({"lake": {"url": "file://lake"}}, 'lake.url: "file://lake" names another machine; write file:///path, with'),
        ({"lake": {"url": ""}}, 'lake.url: "" is no directory; write a path, or leave the key out'),
        ({"lake": {"url": "a\nb"}}, 'lake.url: "a\\u000ab" is no directory'),
        (
            {"upstreams": {"openai": OPENAI, "b": {"base_url": "ftp://x"}}},
            'upstreams.b.base_url: "ftp://x" does not begin with https:// or http://',
        ),
        (
            {"upstreams": {"openai": OPENAI, "b": {"base_url": "http://127.0.0.1:8080/v1"}}},
            'upstreams.b.base_url: "http://127.0.0.1:8080/v1" is Turnout itself; name the model server\'s own port',
        ),
        (
            {"upstreams": {"openai": OPENAI, "b": {"base_url": "http://models.internal", "api_key": {"file": "/k"}}}},
            'warning: upstreams.b.base_url: "http://models.internal" sends the api_key unencrypted; use https://',
        ),
        (
            {"upstreams": {"openai": OPENAI | {"models": "*"}, "b": OPENAI | {"models": "*"}}},
            'upstreams.b.models: "openai" has models = "*" already, and only one upstream may; take one of them off',
        ),
        (
            {"models": {"m": {"upstream": "opnai"}}},
            'models."m".upstream: "opnai" is not a configured upstream; did you mean "openai"?',
        ),
        (
            {"models": {"m": {"upstream": "other"}}},
            'models."m".upstream: "other" is not a configured upstream; add [upstreams.other]',
        ),
        (
            {"models": {"gpt-4o": MODEL | {"price": {"input": -1, "output": 1}}}},
            'models."gpt-4o".price.input: -1 is below 0; write the price in USD per million tokens, 0 or more',
        ),
        (
            {"models": {"m": MODEL | {"price": {"input": 1, "output": 1, "cached_input": -0.5}}}},
            'models."m".price.cached_input: -0.5 is below 0; write the price in USD per million tokens, 0 or more',
        ),
        (
            {"models": {"m": MODEL | {"price": {"input": 0.00000015, "output": 1}}}},
            'warning: models."m".price.input: 1.5e-07 looks like USD per token; write USD per million tokens: 0.15',
        ),
        (
            {"models": {"m": MODEL | {"total_timeout_s": 60}}},
            'models."m".total_timeout_s: 60 is shorter than answer_timeout_s (120), which it covers; raise it or lower',
        ),
        (
            {"upstreams": {"openai": {"base_url": "https://x", "api_key": {}}}},
            "upstreams.openai.api_key: exactly one of env and file is needed",
        ),
        (
            {"upstreams": {"openai": {"base_url": "https://x", "api_key": {"env": "A", "file": "/b"}}}},
            "upstreams.openai.api_key: exactly one of env and file is needed",
        ),
        (
            {"upstreams": {"openai": {"base_url": "https://x", "api_key": {"file": "key"}}}},
            'upstreams.openai.api_key: file is no absolute path; write { file = "/run/secrets/NAME" }',
        ),
        (
            {"upstreams": {"openai": {"base_url": "https://x", "api_key": {"env": "sk-abc"}}}},
            "upstreams.openai.api_key: env is no variable's name (A-Z, 0-9, _); write the name, never the secret",
        ),
        (
            {"applications": {"a": {"accept": [{"env": "TURNOUT_KEY"}]}}},
            "applications.a.accept[0]: TURNOUT_KEY is Turnout's own secret and is sent to nobody; name another",
        ),
        (
            {"upstreams": {"openai": {"base_url": "https://x", "api_key": {"env": "HTTPS_PROXY"}}}},
            "upstreams.openai.api_key: HTTPS_PROXY is never passed to workers; name another variable",
        ),
        (
            {"applications": {"a": {"accept": [{"env": "OPENAI_API_KEY"}, {"env": "WEB_KEY"}]}}},
            "warning: applications.a.accept[1]: environment variable WEB_KEY is not set; export WEB_KEY=...",
        ),
    ],
)
def test_a_contradiction_is_one_line_with_place_value_and_remedy(tree: dict[str, object], line: str):
    lines = found(tree)

    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_ports_that_the_system_chooses_do_not_collide():
    assert found({"server": {"port": 0, "console_port": 0, "metrics_port": 0}}) == []


def test_an_upstream_without_a_port_of_ours_is_not_turnout_itself():
    upstreams = {"openai": OPENAI, "b": {"base_url": "http://127.0.0.1:8080/v1"}}

    assert found({"server": {"host": "10.0.0.5"}, "upstreams": upstreams}) == []


def test_a_directory_and_a_file_address_are_lakes():
    assert found({"lake": {"url": "/var/lib/lake"}}) == found({"lake": {"url": "file:///var/lib/lake"}}) == []


def test_a_price_that_is_no_number_is_refused_even_when_it_was_not_loaded_from_a_file():
    sound = from_tree({"upstreams": {"openai": OPENAI}}, "t.toml")
    price: dict[str, Any] = {"input": 1.0, "output": float("inf")}
    built = from_tree({"upstreams": {"openai": OPENAI}, "models": {"m": MODEL | {"price": price | {"output": 1}}}}, "t")
    endless = built.models["m"].price.__class__(**price)  # pyright: ignore[reportOptionalMemberAccess] - it has a price
    models = {"m": built.models["m"].__class__(upstream="openai", price=endless)}

    problems = check(sound.__class__(upstreams=sound.upstreams, models=models), {"OPENAI_API_KEY"})

    assert [str(problem) for problem in problems] == [
        'models."m".price.output: inf is not finite; write the price in USD per million tokens, or leave it out'
    ]


def test_where_variables_are_not_known_they_are_not_judged():
    configuration = from_tree({"upstreams": {"openai": OPENAI}, "models": {"gpt-4o": MODEL}}, "t.toml")

    assert check(configuration, None) == ()
    assert len(check(configuration, set())) == 1


def test_errors_come_before_warnings():
    tree = {"upstreams": {"openai": OPENAI}, "models": {"m": {"upstream": "x"}}, "server": {"host": ""}}

    problems: tuple[Problem, ...] = check(from_tree(tree, "t.toml"), set())

    assert [problem.severity for problem in problems] == ["error", "error", "warning"]
