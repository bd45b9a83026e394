"""Analysts beside live traffic: they get their numbers, and the hostile one harms nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import CONFIG, PATIENCE_S, ROLLOUT, Installation, command, installed, until
from tests.acceptance.rounds import beating, paired
from tests.fakes.plain import PLAIN

QUICK = CONFIG + "\n[sql]\ntimeout_s = 3\n"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3"
LONG = "SELECT sum(range) FROM range(20000000000)"
HOSTILE = (
    "SELECT * FROM read_text('{state}/secret')",
    "SELECT * FROM glob('{state}/**')",
    "COPY requests TO '{state}/out.csv'",
    "ATTACH '{state}/ledger.sqlite' AS ledger",
    "SELECT repeat(repeat('x', 100000), 20000)",
    "SELECT list(repeat('x', 1000) || range) FROM range(100000000)",
    "SELECT count(DISTINCT hash(range)) FROM range(2000000000)",
    ENDLESS,
)


def call(one: Installation, count: int) -> None:
    """Send requests of as many users."""
    with httpx.Client(trust_env=False, verify=PLAIN, timeout=PATIENCE_S) as client:
        for number in range(count):
            body = {"model": ROLLOUT, "messages": [{"role": "user", "content": "Hello"}]}
            headers = {"authorization": f"Bearer {one.keys['application']}", "x-user-id": f"user-{number}"}
            client.post(f"{one.base_url}/chat/completions", json=body, headers=headers).raise_for_status()


def analyst_key(one: Installation) -> str:
    return one.ask("POST", "keys", {"role": "analyst"}).raise_for_status().json()["key"]


def ask(one: Installation, query: str, key: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(
        f"{one.console}/api/v1/sql", json={"query": query}, headers=headers, timeout=120, trust_env=False, verify=PLAIN
    )


@contextmanager
def attacked(one: Installation, key: str, *, threads: int = 2) -> Iterator[None]:
    """Let hostile analysts ask one thing after the other until the block ends."""
    is_over, refused = threading.Event(), []

    def attack(number: int) -> None:
        while not is_over.is_set():
            query = HOSTILE[number % len(HOSTILE)].format(state=one.state_dir)
            refused.append(ask(one, query, key).status_code)
            number += 1

    with ThreadPoolExecutor(threads) as attackers:
        running = [attackers.submit(attack, number * 3) for number in range(threads)]
        try:
            yield
        finally:
            is_over.set()
    for each in running:
        each.result()
    assert set(refused) <= {400, 503}


def test_an_analyst_gets_numbers_and_a_hostile_one_nothing(tmp_path: Path):
    with installed(tmp_path, config=QUICK) as one:
        call(one, 12)
        one.settle()
        counted = "SELECT endpoint, count(*) AS requests, count(cost_usd) AS priced FROM requests GROUP BY ALL"
        found: list[dict[str, object]] = []

        def is_answered() -> bool:
            said = one.turnout("sql", counted, "--json")
            found.extend([json.loads(said.stdout)] if said.returncode == 0 else [])
            return bool(found)

        until(is_answered, "a busy machine has time for the query", within_s=60)
        key = analyst_key(one)
        secret = next(word for word in (one.state_dir / "first-keys").read_text().split() if word.startswith("tn_"))
        with ThreadPoolExecutor(2) as attackers:
            answers = list(attackers.map(lambda query: ask(one, query.format(state=one.state_dir), key), HOSTILE))
        call(one, 3)

        assert found[0]["rows"] == [["chat.completions", 12, 12]]
        assert {answer.status_code for answer in answers} == {400}
        assert not [answer for answer in answers if secret in answer.text]
        assert not (one.state_dir / "out.csv").exists()
        until(lambda: "a query was asked" in json.dumps(one.log()[-40:]), "queries are in the log")
        by = {line["by"] for line in one.log() if line["event"] == "a query was asked"}
        assert {who.split(" key ")[0] for who in by} == {"admin", "analyst"}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="not exercised: this system has no /proc")
def test_a_terminal_shows_how_far_a_query_is_and_ctrl_c_ends_it_where_it_runs(tmp_path: Path):
    drawn = bytearray()
    with (
        installed(tmp_path, config=QUICK.replace("timeout_s = 3", "timeout_s = 300")) as one,
        terminal() as (near, far),
    ):
        process = subprocess.Popen(
            command("sql", LONG), cwd=one.folder, env=one.environment, stdout=subprocess.PIPE, stderr=far
        )
        until(lambda: drawn.extend(waiting(near)) or b"1 %, " in drawn, "the terminal shows how far the query is")
        assert sandboxes(one) > 0
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)

        assert b"; Ctrl-C ends the query" in drawn
        assert (drawn + waiting(near)).endswith(b"\r\x1b[K")
        assert process.returncode == 130
        until(lambda: sandboxes(one) == 0, "its process has ended")
        until(lambda: "query_cancelled" in json.dumps(one.log()), "the log tells that it was cancelled")


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Yield the ends of a terminal: of who looks at it, and of who draws."""
    near, far = os.openpty()
    os.set_blocking(near, False)
    yield near, far
    os.close(near)
    os.close(far)


def waiting(descriptor: int) -> bytes:
    """Return what was drawn since."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""


def sandboxes(one: Installation) -> int:
    """Return how many queries' processes the console has."""
    found = 0
    for listed in Path(f"/proc/{one.pid('console')}/task").glob("*/children"):
        with suppress(OSError):
            for pid in listed.read_text().split():
                found += b"analytics.warehouse.sandboxed" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hostile_analyst_adds_at_most_2_ms_to_the_slowest_hundredth_of_requests(tmp_path: Path):
    users = [f"user-{number}" for number in range(32)]
    with installed(tmp_path, config=QUICK) as one, beating([one], users) as beat:
        key = analyst_key(one)
        ask(one, "SELECT 1", key)
        pairs = paired(beat, lambda: attacked(one, key), pairs=10, seconds=6)

        assert pairs.added_ms(0.99) <= 2, f"{pairs}"
        assert not [head for head in beat.heads if not head.startswith(b"http/1.1 200")]
        assert not (one.state_dir / "out.csv").exists()
