"""A ledger's file that is lost, replaced, damaged, locked or newer while everything runs: requests go on."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from rollout.stores.ledger import LEDGER_FILE
from tests.acceptance.harness import ROLLOUT, Installation, installed, until
from tests.bad_input.front import BODY
from tests.fakes.plain import PLAIN

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as running:
        running.set_percent(100)
        yield running


def ask(one: Installation) -> httpx.Response:
    return httpx.post(
        f"{one.base_url}/chat/completions",
        json={**BODY, "user": "ann"},
        headers={"authorization": f"Bearer {one.keys['application']}"},
        trust_env=False,
        verify=PLAIN,
        timeout=20,
    )


def assert_requests_go_on(one: Installation) -> None:
    for _ in range(5):
        answer = ask(one)
        assert (answer.status_code, answer.headers["x-turnout-arm"]) == (200, "candidate")


def assert_the_console_says_why(one: Installation, *words: str) -> None:
    change = {"percent": 5, "version": 2}
    for method, path, body in (("GET", f"rollouts/{ROLLOUT}", None), ("PUT", f"rollouts/{ROLLOUT}/percent", change)):
        answer = one.ask(method, path, body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (503, "ledger_unavailable")
        for word in (str(one.state_dir / LEDGER_FILE), *words):
            assert word in error["message"]


def troubles(one: Installation) -> list[str]:
    return [line["reason"] for line in one.log() if line["event"].startswith("snapshot source in trouble")]


def lose(ledger: Path) -> None:
    ledger.unlink()


def empty(ledger: Path) -> None:
    ledger.unlink()
    ledger.touch()


def put_another_database_there(ledger: Path) -> None:
    ledger.unlink()
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("CREATE TABLE something (else_)")


def put_a_newer_one_there(ledger: Path) -> None:
    newer = ledger.with_name("newer")
    shutil.copy(ledger, newer)
    with closing(sqlite3.connect(newer)) as other:
        other.execute("PRAGMA user_version = 99")
    newer.rename(ledger)


def damage(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with ledger.open("r+b") as file:
        file.write(b"\xde\xad" * (ledger.stat().st_size // 2))


@pytest.mark.parametrize(
    ("spoil", "worker_words", "console_words"),
    [
        (lose, "there is no ledger", ("deleted", "restart Turnout")),
        (empty, "is not a Turnout ledger", ("replaced", "restart Turnout")),
        (put_another_database_there, "is not a Turnout ledger", ("replaced", "restart Turnout")),
        (put_a_newer_one_there, "written by a newer Turnout", ("replaced", "restart Turnout")),
        (damage, "is not a Turnout ledger", ("move it away and start again",)),
    ],
)
def test_requests_go_on_by_the_last_good_snapshot_and_the_console_says_why(
    one: Installation, spoil: Callable[[Path], None], worker_words: str, console_words: tuple[str, ...]
):
    spoil(one.state_dir / LEDGER_FILE)
    until(lambda: len(troubles(one)) == 2, "both workers have noticed")

    assert_requests_go_on(one)

    assert_the_console_says_why(one, *console_words)
    assert all(worker_words in reason for reason in troubles(one))
    assert_requests_go_on(one)


def test_a_locked_ledger_refuses_changes_until_it_is_let_go(one: Installation):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(one.state_dir / LEDGER_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"

        refused = one.ask("PUT", f"rollouts/{ROLLOUT}/percent", {"percent": 5, "version": 2})
        assert_requests_go_on(one)
        assert one.show()["percent"] == 100
        holder.stdin.close()

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
    assert "is locked by another process" in refused.json()["error"]["message"]
    assert one.set_percent(5)["percent"] == 5


def test_a_ledger_that_comes_back_is_taken_up_again(one: Installation):
    ledger, aside = one.state_dir / LEDGER_FILE, one.state_dir / "aside"
    ledger.rename(aside)
    until(lambda: len(troubles(one)) == 2, "both workers have noticed")
    assert_requests_go_on(one)

    aside.rename(ledger)

    def again() -> list[str]:
        return [line["event"] for line in one.log() if line["event"] == "snapshot source answers again"]

    until(lambda: len(again()) == 2, "both workers read the ledger again")
    assert one.set_percent(0)["percent"] == 0
    assert ask(one).headers["x-turnout-arm"] == "base"
