"""A percent of 0 ends the candidate at once in every worker, under load; with the ledger locked, `force-base` does."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout.stores.ledger import LEDGER_FILE
from tests.acceptance.callers import failures, load, now_us, quantile, spread
from tests.acceptance.harness import CONFIG, ROLLOUT, SIMULATED, Installation, installed, until
from tests.fakes.misbehaviour import healthy
from tests.fakes.peer import Peer
from tests.fakes.upstream import serving

log = logging.getLogger("faults")
USERS = [f"user-{number}" for number in range(50)]
SLOW = [pytest.mark.slow, pytest.mark.timeout(600)]
AT_MOST_MS = 1_000
WATCHED_S = 0.3
"""How long the candidate is watched after every worker has said that it knows; and what workers need to notice."""
LOCKING = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
LOCKING_READERS = """
import fcntl, sys
held = open(sys.argv[1] + "-shm", "r+b")
fcntl.lockf(held, fcntl.LOCK_EX, 8, 120)
print("locked", flush=True)
sys.stdin.read()
"""
"""SQLite's locks of a write-ahead log are these eight bytes (https://www.sqlite.org/walformat.html, section 2.3)."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The candidate's model server: when it got a request, in microseconds since 1970 UTC."""

    arrivals: list[int] = field(default_factory=list[int])

    async def script(self, peer: Peer) -> None:
        while True:
            asked = await peer.read_head()
            self.arrivals.append(now_us())
            await peer.read_rest(asked.head)
            await healthy(peer)

    def last_ms(self, since: int) -> float:
        """Return how long after a moment the last request arrived: 0 when all had arrived before."""
        return max(0.0, (self.arrivals[-1] - since) / 1000)

    def is_busy(self, since: int) -> bool:
        """Tell whether several requests have arrived since."""
        return len(self.arrivals) > 5 and self.arrivals[-5] > since


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return Candidate()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, candidate: Candidate) -> Iterator[Installation]:
    with serving(candidate.script) as fake:
        config = CONFIG.replace("$tuned", f"{fake.url}/v1")
        simulated = {"base": SIMULATED["base"]}
        with installed(tmp_path_factory.mktemp("rollback"), config=config, simulated=simulated) as installation:
            yield installation


def put_percent(one: Installation, percent: float) -> int:
    """Move the percent; return when that was acknowledged, in microseconds since 1970 UTC."""
    body = {"percent": percent, "version": one.show()["version"]}
    one.ask("PUT", f"rollouts/{ROLLOUT}/percent", body).raise_for_status()
    return now_us()


def awake(candidate: Candidate) -> None:
    """Wait until the candidate has its share of the load."""
    began = now_us()
    until(lambda: candidate.is_busy(began), "the candidate is asked")


@pytest.mark.parametrize(("times", "within_ms"), [(5, 500), pytest.param(100, 300, marks=SLOW)])
def test_after_a_percent_of_0_the_candidate_is_asked_no_more(
    times: int, within_ms: float, one: Installation, candidate: Candidate
):
    last_ms: list[float] = []
    with load(one, USERS, pause_s=0.002) as answers:
        for _ in range(times):
            one.set_percent(100)
            awake(candidate)
            at = put_percent(one, 0)
            one.wait_for_workers()
            time.sleep(WATCHED_S)
            last_ms.append(candidate.last_ms(at))

    assert not failures(answers)
    log.info("the last request to the candidate came %s after the acknowledgement", spread(last_ms))
    assert quantile(last_ms, 0.99) <= within_ms
    assert max(last_ms) <= AT_MOST_MS


@contextmanager
def locked(ledger: Path, program: str) -> Iterator[None]:
    """Have another process lock the ledger."""
    words = [sys.executable, "-c", program, str(ledger)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("program", "times", "within_ms"),
    [
        pytest.param(LOCKING, 2, 500, id="2-writers"),
        pytest.param(LOCKING, 20, 300, id="20-writers", marks=SLOW),
        pytest.param(LOCKING_READERS, 20, 300, id="20-readers", marks=SLOW),
    ],
)
def test_with_the_ledger_locked_force_base_ends_the_candidate(
    program: str, times: int, within_ms: float, one: Installation, candidate: Candidate
):
    one.set_percent(100)
    version = one.show()["version"]
    path = one.state_dir / "force-base"
    last_ms: list[float] = []
    with load(one, USERS, pause_s=0.002) as answers, locked(one.state_dir / LEDGER_FILE, program):
        refused = one.ask("PUT", f"rollouts/{ROLLOUT}/percent", {"percent": 0, "version": version})
        for _ in range(times):
            awake(candidate)
            path.touch()
            at = now_us()
            time.sleep(AT_MOST_MS / 1000 + WATCHED_S)
            last_ms.append(candidate.last_ms(at))
            path.unlink()
            time.sleep(WATCHED_S)

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
    assert not failures(answers)
    log.info("the last request to the candidate came %s after force-base", spread(last_ms))
    assert quantile(last_ms, 0.99) <= within_ms
    assert max(last_ms) <= AT_MOST_MS
    put_percent(one, 0)
    one.wait_for_workers()


@pytest.mark.slow
def test_while_the_ledger_is_locked_the_console_says_once_that_it_cannot_take_the_configuration_up(one: Installation):
    def said(event: str) -> int:
        return sum(line["event"].startswith(event) for line in one.log())

    taken = said("configuration taken up")
    with locked(one.state_dir / LEDGER_FILE, LOCKING):
        one.config.write_text(one.config.read_text() + '\n[applications.later]\nexpose = ["arm"]\n')
        until(lambda: said("configuration not taken up yet") > 0, "the console has tried", within_s=20)
        time.sleep(6.0)
        assert said("configuration not taken up yet") == 1
    until(lambda: said("configuration taken up") == taken + 1, "the console takes the configuration up")
