from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import Abort
from gateway.cli.found import found_key, found_url


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
