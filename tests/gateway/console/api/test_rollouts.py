from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.console import SALES, RunningConsole, opened, serving

PERCENT = f"/api/v1/rollouts/{SALES}/percent"
FORCED = f"/api/v1/rollouts/{SALES}/forced"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[RunningConsole]:
    with opened(tmp_path) as control, serving(control) as running:
        yield running


@pytest.fixture
def ops(console: RunningConsole) -> Iterator[httpx.Client]:
    with console.client(console.key("ops")) as client:
        yield client


def test_a_percent_is_set_as_number_or_text(ops: httpx.Client):
    number = ops.put(PERCENT, json={"percent": 10, "version": 1, "reason": "step one"})
    text = ops.put(PERCENT, json={"percent": "12.5", "version": 2})

    assert (number.status_code, number.json()["percent"], number.json()["version"]) == (200, 10.0, 2)
    assert (text.status_code, text.json()["percent"], text.json()["step"]) == (200, 12.5, 2)
    assert "ops key" in text.json()["changed_by"]


def test_the_second_of_two_gets_409_with_what_the_first_did(ops: httpx.Client):
    ops.put(PERCENT, json={"percent": 10, "version": 1})

    answer = ops.put(PERCENT, json={"percent": 25, "version": 1})

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "version_conflict"
    assert "it is now at version 2 with 10 %, changed by ops key" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("percent", "sentence"),
    [
        ("-1", "is outside 0 to 100"),
        ("100.001", "is outside 0 to 100"),
        ("33.333", "is finer than a bucket (0.01 %); write 33.33"),
        ('"NaN"', "is not a number"),
        ('"5%"', "is not a number; write 5"),
        ('"33.333"', "write 33.33"),
        ("NaN", "the request cannot be read"),
        ("1e400", "the request cannot be read"),
        ("true", "percent: Expected `float | str`, got `bool`"),
        ("null", "percent: Expected `float | str`, got `null`"),
        ("[5]", "percent: Expected `float | str`, got `array`"),
    ],
)
def test_a_bad_percent_gets_400_with_the_remedy(ops: httpx.Client, percent: str, sentence: str):
    answer = ops.put(PERCENT, content=f'{{"percent": {percent}, "version": 1}}')

    assert answer.status_code == 400
    assert sentence in answer.json()["error"]["message"]
    assert ops.get(f"/api/v1/rollouts/{SALES}").json()["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"percent": 5}',
        b'{"version": 1}',
        b'{"percent": 5, "version": 1, "more": 1}',
        b'{"percent": 5, "version": 1.5}',
        b'{"percent": 5, "version": 1, "reason": "\\ud800"}',
        b'{"percent": 5, "version": 1, "reason": 7}',
        b'{"percent": ' + b"[" * 30_000,
        b"[" * 60_000,
    ],
)
def test_a_body_that_cannot_be_read_gets_400_and_changes_nothing(ops: httpx.Client, body: bytes):
    answer = ops.put(PERCENT, content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert ops.get(f"/api/v1/rollouts/{SALES}").json()["version"] == 1


def test_a_user_is_forced_and_let_go_by_key_or_by_hash(ops: httpx.Client):
    forced = ops.put(FORCED, json={"user": "alice", "arm": "candidate", "version": 1}).json()["forced"]
    (user_hash,) = forced

    assert forced == {user_hash: "candidate"}
    assert ops.get("/api/v1/whois", params={"user": "alice"}).json()[0]["user_hash"] == user_hash
    by_hash = ops.request("DELETE", FORCED, json={"user_hash": user_hash, "version": 2})
    ops.put(FORCED, json={"user": "alice", "arm": "base", "version": 3})
    by_key = ops.request("DELETE", FORCED, json={"user": "alice", "version": 4})
    assert (by_hash.json()["forced"], by_key.json()["forced"], by_key.json()["version"]) == ({}, {}, 5)


@pytest.mark.parametrize("body", [{"version": 1}, {"version": 1, "user": "a", "user_hash": "ab" * 16}])
def test_letting_go_names_exactly_one_user(ops: httpx.Client, body: dict[str, object]):
    answer = ops.request("DELETE", FORCED, json=body)

    assert answer.status_code == 400
    assert "exactly one of user and user_hash" in answer.json()["error"]["message"]


def test_an_unknown_arm_is_refused(ops: httpx.Client):
    answer = ops.put(FORCED, json={"user": "alice", "arm": "both", "version": 1})

    assert answer.status_code == 400
    assert "arm" in answer.json()["error"]["message"]


def test_history_is_checked_when_asked(ops: httpx.Client):
    ops.put(PERCENT, json={"percent": 10, "version": 1, "reason": "step one"})
    path = f"/api/v1/rollouts/{SALES}/history"

    assert ops.get(path).json()["whole"] is None
    checked = ops.get(path, params={"verify": "true", "limit": 1}).json()
    assert (checked["whole"], [entry["reason"] for entry in checked["entries"]]) == (True, ["step one"])


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "x"])
def test_a_limit_is_a_number_in_range(ops: httpx.Client, limit: str):
    assert ops.get(f"/api/v1/rollouts/{SALES}/history", params={"limit": limit}).status_code == 400


@pytest.mark.parametrize("query", ["", "user=", "user=%ff", "user=" + "x" * 513])
def test_whois_asks_for_a_user_key_that_a_request_could_carry(ops: httpx.Client, query: str):
    answer = ops.get(f"/api/v1/whois?{query}")

    assert answer.status_code == 400
    assert "user" in answer.json()["error"]["message"]


def test_whois_takes_any_unicode(ops: httpx.Client):
    users = ["zoë", "user-😀", "\ufffd", " alice", "a+b&c=d"]

    found = {ops.get("/api/v1/whois", params={"user": user}).json()[0]["user_hash"] for user in users}

    assert len(found) == len(users)


def test_an_unknown_rollout_gets_404_with_the_known_ones(ops: httpx.Client):
    answer = ops.get("/api/v1/rollouts/nothing")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "rollout_not_found"
    assert SALES in answer.json()["error"]["message"]
