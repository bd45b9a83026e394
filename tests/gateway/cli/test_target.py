from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli import Abort
from gateway.cli.target import Target, find_target


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "addresses.json").write_text('{"gateway": "http://127.0.0.1:8080", "console": "http://127.0.0.1:8081"}')
    (tmp_path / "first-keys").write_text("admin tn_admin_1\napplication tn_app_1 crm\n")
    return tmp_path


def test_the_state_directory_tells_address_and_key(state: Path):
    assert find_target(None, None, state, {}) == Target(url="http://127.0.0.1:8080/v1", key="tn_app_1")
    assert find_target(None, None, None, {"TURNOUT_STATE_DIR": str(state)}).key == "tn_app_1"


def test_a_file_of_an_earlier_version_does_not_say_which_application(state: Path):
    (state / "first-keys").write_text("admin tn_admin_1\napplication tn_app_2\n")

    assert find_target(None, None, state, {}).key == "tn_app_2"


def test_the_environment_comes_before_the_state_directory_and_options_before_both(state: Path):
    environment = {"TURNOUT_GATEWAY_URL": "http://gateway:1/v1/", "TURNOUT_APP_KEY": "k1"}

    assert find_target(None, None, state, environment) == Target(url="http://gateway:1/v1", key="k1")
    assert find_target("https://other", "k2", state, environment) == Target(url="https://other/v1", key="k2")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://localhost:1", "tn_app_1"),
        ("http://[::1]:1", "tn_app_1"),
        ("http://10.0.0.1", None),
        ("http://a.b", None),
    ],
)
def test_a_key_that_lies_on_this_machine_stays_on_it(state: Path, url: str, key: str | None):
    assert find_target(url, None, state, {}).key == key


def test_without_a_key_none_is_sent(tmp_path: Path):
    target = find_target("http://127.0.0.1:1", None, tmp_path, {})

    assert target.key is None
    assert "authorization" not in target.headers


def test_a_key_is_sent_as_a_bearer():
    assert Target(url="u", key="k").headers["authorization"] == "Bearer k"


def test_an_unknown_gateway_is_one_sentence_with_the_remedy(tmp_path: Path):
    with pytest.raises(Abort, match=r"no gateway is known: .* start `turnout serve`, or name it with --url"):
        find_target(None, None, tmp_path, {})


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://x", "http://", "http://[::1", "http://x:y"])
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(Abort, match="is no gateway's address"):
        find_target(url, None, None, {})
