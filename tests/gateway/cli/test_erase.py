from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import pytest

from gateway.cli import Abort, lake
from rollout.flag import user_hash
from tests.fakes.console import SALES, opened, secrets_of
from tests.fakes.erasable_lake import ANN, CANARY, ErasableLake, holding, request


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    ErasableLake(tmp_path / "lake")
    with opened(tmp_path):
        return tmp_path


def turnout(state_dir: Path, *words: str) -> int:
    root = argparse.ArgumentParser(prog="turnout")
    lake.add_parser(root.add_subparsers(required=True))
    arguments = root.parse_args(["lake", *words, "--direct", "--state-dir", str(state_dir)])
    return arguments.run(arguments)


def test_a_user_of_a_stopped_installation_is_erased_at_once(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert turnout(state_dir, "erase", "--user-hash", ANN.hex(), "--reason", "ticket 7") == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert ["requests", "that", "have", "a", "pseudonym", "8"] in said
    assert ["pieces", "of", "content", "removed", "3"] in said
    assert not any("stands" in line for line in said)
    assert holding(state_dir, ANN, ANN.hex().encode(), CANARY.encode()) == []
    with opened(state_dir) as control:
        newest = control.audit(verify=True)
        assert newest.whole
        assert [one.action for one in newest.entries if "era" in one.action] == ["erase_user", "ask_erasure"]
        assert next(one for one in newest.entries if one.action == "ask_erasure").actor.endswith("(direct)")


def test_a_user_is_named_as_callers_do_also_where_no_list_of_processes_shows_it(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hashed = user_hash(secrets_of(state_dir).user_hash, "ann é".encode())
    made = ErasableLake(state_dir / "other")
    made.put([request(180_020, hashed)])
    present, sys.stdin = sys.stdin, io.StringIO("ann é\n")
    try:
        assert turnout(state_dir, "erase", "--user", "-", "--lake", str(made.root), "--json") == 0
    finally:
        sys.stdin = present

    assert json.loads(capsys.readouterr().out)["requests"] == 1
    assert holding(state_dir, hashed) == []


def test_what_stands_is_said_and_listed(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (state_dir / "journal").mkdir()
    (state_dir / "journal" / "worker-0-b1-000001.segment").touch()
    with opened(state_dir) as control:
        version = control.show(SALES).version
        control.force_user(SALES, "bob", "candidate", version, actor="test")
    assert turnout(state_dir, "erase", "--user", "bob") == 0
    said = capsys.readouterr().out
    assert "It stands until nothing of before it is left in a journal" in said
    assert f"The user is pinned to an arm in {SALES}" in said

    assert turnout(state_dir, "erasures") == 0
    [titles, line] = capsys.readouterr().out.splitlines()
    assert (titles.split()[0], line.split()[-1]) == ("ERASURE", "stands")
    assert turnout(state_dir, "erasures", "--json") == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["ended_at"], one["waits_for"], one["forced_in"]) == (None, 1, [])


def test_what_cannot_be_done_now_stands(state_dir: Path) -> None:
    with pytest.raises(Abort, match=r"erasure \w+ stands, and goes on by itself; for now: there is no lake in"):
        turnout(state_dir, "erase", "--user", "ann", "--lake", str(state_dir / "none"))


@pytest.mark.parametrize("words", [(), ("--user", "a", "--user-hash", "b")])
def test_one_user_is_named_in_one_way(state_dir: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        turnout(state_dir, "erase", *words)
