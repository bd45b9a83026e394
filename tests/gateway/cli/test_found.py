from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import Abort
from gateway.cli.found import called_url, found_key, found_url, sent_key


def test_address_and_key_of_a_started_installation_are_found(tmp_path: Path):
    (tmp_path / "addresses.json").write_text(json.dumps({"console": "http://127.0.0.1:1"}))
    (tmp_path / "first-keys").write_text("admin tn_admin_a_b\napplication tn_app_c_d default\n")

    assert found_url(tmp_path) == "http://127.0.0.1:1"
    assert found_key(tmp_path) == "tn_admin_a_b"


@pytest.mark.parametrize("text", [None, "no JSON", "[]", "{}"])
def test_an_address_that_is_not_told_is_said_with_the_remedy(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "addresses.json").write_text(text)

    with pytest.raises(Abort, match="turnout serve"):
        found_url(tmp_path)


@pytest.mark.parametrize("text", [None, "", "application tn_app_c_d default", "admin"])
def test_a_key_that_is_not_there_is_said_with_the_remedy(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "first-keys").write_text(text)

    with pytest.raises(Abort, match="TURNOUT_KEY"):
        found_key(tmp_path)


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "127.0.0.1:8081"])
def test_an_address_of_the_environment_that_is_none_is_said_with_one(url: str):
    with pytest.raises(Abort, match=r"TURNOUT_URL is '.*', which is no address; write the console's, such as") as said:
        called_url(url)
    assert said.value.exit_code == 2


@pytest.mark.parametrize("key", ["tn_ops_\u00fc", "tn_ops_x\n", "Bearer tn_ops_x", "\udcff"])
def test_a_key_of_the_environment_that_no_header_carries_is_said_and_not_shown(key: str):
    with pytest.raises(Abort, match="TURNOUT_KEY holds no key") as said:
        sent_key(key)
    assert key not in str(said.value)


def test_what_can_be_an_address_and_a_key_is_taken_as_it_is():
    assert called_url("https://console.example") == "https://console.example"
    assert sent_key("tn_ops_0a_b-c") == "tn_ops_0a_b-c"
