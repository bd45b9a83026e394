"""A user is erased from a running installation: of what callers sent for them, nothing is left where files are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.callers import Caller
from tests.acceptance.harness import Installation, installed, until
from tests.fakes.erasable_lake import holding, parquet
from tests.fakes.parrot import repeating
from tests.fakes.upstream import serving

CONFIG = """
[server]
port = 0
console_port = 0
metrics_port = 0
workers = 1
[lake]
seal_every_s = 0.2
retention_days = 100
[sql]
refresh_s = 300
[upstreams.a]
base_url = "{a}/v1"
[models.base-model]
upstream = "a"
[applications.default]
content = "full"
"""
ANN, BOB = "ann-canary-5b1f@example.com", "bob-3c7d@example.com"
SAID = "canary-said-5b1f"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("erasure")
    with serving(repeating) as a, installed(folder, config=CONFIG.format(a=a.url), simulated={}) as running:
        yield running


def ask(caller: Caller, user: str, word: str) -> str:
    body = {"model": "base-model", "messages": [{"role": "user", "content": f"{word} whole"}], "user": user}
    answer = caller.post("/v1/chat/completions", body, {"x-turnout-tags": f"word={word}"})
    assert answer.status == 200
    caller.feedback(request_id=answer.request_id, thumb="up", comment=f"{word} comment")
    return answer.request_id


def left(state: Path, *words: str) -> list[str]:
    """Return where a word stands, but for the journal and an erasure that has not ended."""
    found = holding(state, *(form for word in words for form in (word.encode(), bytes.fromhex(word)))) if words else []
    return [name for name in found if not name.startswith(("journal/", "erasures/"))]


def test_a_user_is_erased_while_everything_runs(one: Installation) -> None:
    caller = Caller(one, one.keys["application"])
    for number in range(3):
        ask(caller, ANN, f"{SAID}-{number}")
        ask(caller, BOB, f"bob-{number}")
    caller.close()
    one.settle()
    contents = one.state_dir / "lake" / "content"
    until(lambda: sum(len(parquet(path)) for path in contents.rglob("*.parquet")) == 18, "all content is in the lake")
    asked = one.turnout("sql", "SELECT user_hash, count(*) AS n FROM requests GROUP BY ALL", "--format", "json")
    assert asked.returncode == 0, asked.stderr
    [hashed] = {row["user_hash"] for row in one.lake(f"FROM records WHERE tags['word'] = '{SAID}-0'")}
    assert any(name.startswith("sql/") for name in left(one.state_dir, hashed.hex()))

    done = one.turnout("lake", "erase", "--user", ANN, "--reason", "ticket 12", "--json")
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)

    assert (view["requests"], view["contents"]) == (3, 9)
    assert left(one.state_dir, hashed.hex()) == []
    assert holding(one.state_dir / "lake", SAID.encode(), ANN.encode()) == []
    found = one.look()
    assert (found.sound, found.records, found.feedback.records) == (True, 6, 6)
    again = json.loads(
        one.turnout(
            "sql", "SELECT count(*) AS n, count(DISTINCT user_hash) AS u FROM requests", "--format", "json"
        ).stdout
    )
    assert again["rows"] == [[6, 2]]
    actions = [entry["action"] for entry in one.ask("GET", "audit").json()["entries"]]
    assert actions[:2] == ["erase_user", "ask_erasure"]
    assert one.ask("GET", "audit?verify=true").json()["whole"] is True
    listed = one.turnout("lake", "erasures")
    assert view["id"] in listed.stdout
    assert ANN not in listed.stdout + (one.folder / "serve.log").read_text()


def told(one: Installation) -> dict[str, Any]:
    """Return what the audit said last of an erasure."""
    entries = one.ask("GET", "audit").json()["entries"]
    return next(entry["after"] for entry in entries if entry["action"] == "erase_user")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_erasure_ends_by_itself_when_no_journal_has_anything_of_before(one: Installation) -> None:
    caller = Caller(one, one.keys["application"])
    ask(caller, ANN, f"{SAID}-again")
    made = one.ask("POST", "erasures", {"user": ANN}).raise_for_status().json()
    caller.close()

    def is_over() -> bool:
        listed = {view["id"]: view for view in one.ask("GET", "erasures").json()}
        return listed[made["id"]]["ended_at"] is not None

    until(is_over, "the erasure has ended", within_s=400, pause_s=2)
    [view] = [view for view in one.ask("GET", "erasures").json() if view["id"] == made["id"]]
    assert (view["requests"], view["contents"]) == (1, 3)
    assert view["ended_at"] is not None
    until(lambda: holding(one.state_dir, f"{SAID}-again".encode()) == [], "nothing is left anywhere", pause_s=1)
    until(lambda: told(one)["ended"], "the audit has its end", within_s=120, pause_s=1)
    assert told(one) == {
        "erasure": made["id"],
        "requests": 1,
        "contents": 3,
        "files": view["files"],
        "ended": True,
    }
