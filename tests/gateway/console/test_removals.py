from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.lake.erasure import Erasure, Erasures, ended
from analytics.lake.manifest import Expired
from gateway.console.control import Control
from gateway.errors import ApiError
from rollout.flag import user_hash
from tests.fakes.console import SALES, opened, secrets_of

AT_US = 1_800_000_000_000_000
LET_GO = {"incoming": Expired(before=date(2026, 9, 21), rows=7, files=2)}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with opened(tmp_path) as one:
        yield one


def entries(control: Control, *actions: str) -> list[dict[str, Any]]:
    return [one.after for one in reversed(control.audit().entries) if one.action in actions]


def looking(control: Control, folder: Path, change: Any = lambda one: one) -> Erasures:
    """Let a control take erasures that a look changes like this."""
    erasures = Erasures(folder / "erasures")

    def look() -> None:
        for one in erasures.standing():
            erasures.keep(change(one))

    control.removals.begin(erasures, "/the/lake", look)
    return erasures


def erase(control: Control, **asked: Any) -> Any:
    known = {"user": None, "hash_digits": None, "application": None, "actor": "ann", "reason": "ticket 7", "at": AT_US}
    return control.removals.erase(**{**known, **asked})


def looked(one: Erasure) -> Erasure:
    return replace(one, requests=3, contents=2, files=4, looked_at=AT_US + 1)


def test_the_hash_is_that_of_the_workers_and_the_audit_tells_of_nobody(control: Control, tmp_path: Path) -> None:
    erasures = looking(control, tmp_path, looked)
    view = erase(control, user="ann@example.com", application="web")
    [kept] = erasures.every()

    assert kept.user_hash == user_hash(secrets_of(tmp_path).user_hash, b"ann@example.com")
    assert (kept.asked_at, kept.application, kept.lake) == (AT_US, "web", "/the/lake")
    assert (view.requests, view.contents, view.files, view.ended_at) == (3, 2, 4, None)
    assert entries(control, "ask_erasure", "erase_user") == [
        {"erasure": view.id, "application": "web"},
        {"erasure": view.id, "requests": 3, "contents": 2, "files": 4, "ended": False},
    ]
    assert [one.actor for one in control.audit().entries[:2]] == ["turnout", "ann"]
    assert b"ann@example.com" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert user_hash(secrets_of(tmp_path).user_hash, b"ann@example.com").hex() not in str(control.audit())
    assert control.audit(verify=True).whole


def test_an_erasure_that_has_ended_tells_of_nobody_and_is_told_once(control: Control, tmp_path: Path) -> None:
    erasures = looking(control, tmp_path, lambda one: ended(looked(one), AT_US + 2))
    view = erase(control, hash_digits="0a" * 16)

    assert view.ended_at == AT_US + 2
    assert erasures.standing() == []
    assert b"CgoK" not in next((tmp_path / "erasures").iterdir()).read_bytes()
    assert not control.removals.note_erasures()
    assert len(entries(control, "erase_user")) == 1


def test_after_a_restart_the_audit_is_not_told_again(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        looking(first, tmp_path, looked)
        erase(first, user="u")
        first.removals.note_expired(LET_GO)
    with opened(tmp_path) as second:
        looking(second, tmp_path)
        assert not second.removals.note_erasures()
        second.removals.note_expired(LET_GO)
        second.removals.note_expired({"incoming": replace(LET_GO["incoming"], rows=9)})

        assert [one["rows"] for one in entries(second, "expire_rows")] == [7, 9]
        assert entries(second, "expire_rows")[0] == {
            "rows_of": "requests",
            "before": "2026-09-21",
            "rows": 7,
            "files": 2,
        }


def test_a_look_that_failed_leaves_the_erasure_standing(control: Control, tmp_path: Path) -> None:
    def fail(_: Erasure) -> Erasure:
        message = "the disk is full"
        raise OSError(message)

    erasures = looking(control, tmp_path, fail)
    with pytest.raises(ApiError, match=r"erasure \w+ stands, and goes on by itself; for now: the disk is full"):
        erase(control, user="u")

    assert len(erasures.standing()) == 1
    assert entries(control, "ask_erasure", "erase_user") == [{"erasure": erasures.every()[0].id, "application": None}]


def test_a_user_who_is_pinned_is_said_to_be(control: Control, tmp_path: Path) -> None:
    looking(control, tmp_path, looked)
    version = control.show(SALES).version
    control.force_user(SALES, "u", "candidate", version, actor="test")

    assert erase(control, user="u").forced_in == (SALES,)
    assert control.removals.list_erasures()[0].forced_in == ()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "exactly one of"),
        ({"user": "u", "hash_digits": "0a" * 16}, "exactly one of"),
        ({"user": ""}, "the user key is empty"),
        ({"hash_digits": "xyz"}, "32 hexadecimal digits"),
    ],
)
def test_it_must_be_clear_who_is_meant(control: Control, tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    erasures = looking(control, tmp_path)
    with pytest.raises(ApiError, match=said):
        erase(control, **asked)
    assert erasures.every() == []


def test_a_console_without_a_lake_says_so(control: Control) -> None:
    with pytest.raises(ApiError, match="no lake"):
        control.removals.list_erasures()
