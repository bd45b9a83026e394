"""The environment: what a process is told by it, and what of it a child process gets to see."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.environment import VARIABLES, child_environment, config_path, process_environment, state_dir
from gateway.settings.schema import Application, Configuration, Redis, SecretRef, Upstream

CONFIGURATION = Configuration(
    upstreams={
        "openai": Upstream(base_url="https://api.openai.com/v1", api_key=SecretRef(env="OPENAI_API_KEY")),
        "local": Upstream(base_url="http://127.0.0.1:8000/v1", api_key=SecretRef(file="/run/secrets/local")),
    },
    applications={"web": Application(accept=(SecretRef(env="WEB_KEY"),))},
)
SECRETS = {"TURNOUT_SECRET": "s", "TURNOUT_KEY": "k", "OPENAI_API_KEY": "o", "WEB_KEY": "w", "AWS_SECRET_KEY": "a"}


def test_the_process_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNOUT_STATE_DIR", "/var/lib/turnout")
    environment = process_environment()
    monkeypatch.setenv("TURNOUT_STATE_DIR", "/elsewhere")

    assert environment["TURNOUT_STATE_DIR"] == "/var/lib/turnout"


def test_paths_come_from_the_variables():
    environment = {"TURNOUT_STATE_DIR": "/var/lib/turnout", "TURNOUT_CONFIG": "/etc/turnout.toml"}

    assert state_dir(environment) == Path("/var/lib/turnout")
    assert config_path(environment) == Path("/etc/turnout.toml")


@pytest.mark.parametrize("environment", [{}, {"TURNOUT_STATE_DIR": "", "TURNOUT_CONFIG": ""}])
def test_without_the_variables_paths_stand_in_the_working_directory(environment: dict[str, str]):
    assert state_dir(environment) == Path("turnout-data")
    assert config_path(environment) == Path("turnout.toml")


NEEDED = (
    "PATH HOME TMPDIR LANG LC_ALL TZ SSL_CERT_FILE SSL_CERT_DIR PYTHONPATH TURNOUT_STATE_DIR COVERAGE_PROCESS_CONFIG"
)


@pytest.mark.parametrize("name", NEEDED.split())
@pytest.mark.parametrize("role", ["worker", "console", "shipper"])
def test_every_process_gets_what_python_and_the_operating_system_need(name: str, role: str):
    assert child_environment(CONFIGURATION, {name: "x"}, role=role) == {name: "x"}  # pyright: ignore[reportArgumentType] - a parametrized Literal


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("worker", {"TURNOUT_SECRET", "OPENAI_API_KEY", "WEB_KEY"}),
        ("console", {"TURNOUT_SECRET"}),
        ("shipper", set()),
    ],
)
def test_a_process_gets_the_secrets_of_its_role_alone(role: str, told: set[str]):
    environment = child_environment(CONFIGURATION, SECRETS, role=role)  # pyright: ignore[reportArgumentType] - as above

    assert environment.keys() == told


IN_A_FLEET = Configuration(redis=Redis(url="redis://cache", password=SecretRef(env="REDIS_PASSWORD")))


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("fleet_worker", {"TURNOUT_SECRET", "OPENAI_API_KEY", "WEB_KEY", "AWS_SECRET_KEY", "REDIS_PASSWORD"}),
        ("console", {"TURNOUT_SECRET", "REDIS_PASSWORD"}),
        ("shipper", set()),
    ],
)
def test_in_a_fleet_workers_get_what_their_host_has_and_the_console_what_redis_needs(role: str, told: set[str]):
    given = {**SECRETS, "REDIS_PASSWORD": "r", "HTTPS_PROXY": "http://proxy"}

    assert child_environment(IN_A_FLEET, given, role=role).keys() == told  # pyright: ignore[reportArgumentType] - as above


WITH_CONSOLES_OWN = msgspec.convert(
    {
        "webhooks": {"ops": {"url_from": {"env": "HOOK_URL"}, "secret": {"env": "HOOK_SECRET"}}},
        "upstreams": {"openai": {"base_url": "https://a", "api_key": {"env": "OPENAI_API_KEY"}}},
        "rollouts": {
            "r": {
                "base": "a",
                "candidate": "b",
                "percent_from": {"provider": "a:b", "secrets": {"token": {"env": "FLAGS_TOKEN"}}},
            },
        },
    },
    type=Configuration,
)
CONSOLES = {"HOOK_URL", "HOOK_SECRET", "FLAGS_TOKEN"}


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("worker", {"OPENAI_API_KEY"}),
        ("fleet_worker", {"OPENAI_API_KEY"}),
        ("console", CONSOLES),
        ("shipper", set()),
    ],
)
def test_what_webhooks_and_foreign_flags_need_is_the_consoles_alone(role: str, told: set[str]):
    given = dict.fromkeys({*CONSOLES, "OPENAI_API_KEY"}, "x")

    assert child_environment(WITH_CONSOLES_OWN, given, role=role).keys() == told  # pyright: ignore[reportArgumentType] - as above


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "no_proxy", "LC_PROXY", "TURNOUT_PROXY"])
def test_a_proxy_variable_is_never_passed_on(name: str):
    named = Configuration(upstreams={"x": Upstream(base_url="https://x", api_key=SecretRef(env=name))})

    assert child_environment(named, {name: "http://proxy:3128"}) == {}


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_what_is_on_no_list_is_not_passed_on(environment: dict[str, str]):
    passed = child_environment(Configuration(), {f"X_{name}": value for name, value in environment.items()})

    assert passed == {}


def test_every_variable_of_ours_is_documented():
    documentation = Path(__file__).parents[3].joinpath("docs/configuration.md").read_text()

    assert not [name for name in VARIABLES if f"| `{name}` |" not in documentation]
