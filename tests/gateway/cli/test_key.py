from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from gateway.cli import key
from tests.fakes.console import opened


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    with opened(tmp_path) as control:
        control.keys.first_keys()
    return tmp_path


def turnout(state_dir: Path, *words: str) -> int:
    root = argparse.ArgumentParser(prog="turnout")
    key.add_parser(root.add_subparsers(required=True))
    arguments = root.parse_args(["key", *words, "--direct", "--state-dir", str(state_dir)])
    return arguments.run(arguments)


def test_a_key_is_printed_alone_so_that_it_can_be_piped(state_dir: Path, capsys: pytest.CaptureFixture[str]):
    code = turnout(state_dir, "create", "--role", "app", "--application", "default", "--label", "crm")

    said = capsys.readouterr()
    assert code == 0
    assert said.out.startswith("tn_app_")
    assert said.out.count("\n") == 1
    assert "is shown this once" in said.err
    with opened(state_dir) as control:
        believed = control.keys.authenticate(said.out.strip())
        assert believed is not None
        assert believed.label == "crm"


def test_keys_are_listed_without_their_text_and_revoked(state_dir: Path, capsys: pytest.CaptureFixture[str]):
    turnout(state_dir, "create", "--role", "ops", "--json")
    made = json.loads(capsys.readouterr().out)

    assert turnout(state_dir, "revoke", made["kept"]["id"]) == 0
    assert capsys.readouterr().out.startswith(f"key {made['kept']['id']} is revoked since ")
    assert turnout(state_dir, "list") == 0
    listed = capsys.readouterr().out
    assert sorted(line.split()[1] for line in listed.splitlines()) == ["ROLE", "admin", "app", "ops"]
    assert made["key"] not in listed


@pytest.mark.parametrize("words", [("list",), ("create", "--role", "ops")])
def test_json_is_for_programs(state_dir: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]):
    assert turnout(state_dir, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)


def test_a_revoked_key_is_json_too(state_dir: Path, capsys: pytest.CaptureFixture[str]):
    turnout(state_dir, "create", "--role", "ops", "--json")
    key_id = json.loads(capsys.readouterr().out)["kept"]["id"]

    assert turnout(state_dir, "revoke", key_id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["revoked_at"] is not None


def test_an_unknown_role_exits_2(state_dir: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        turnout(state_dir, "create", "--role", "boss")

    assert ended.value.code == 2
