"""Connects to one arm hang: its requests fail when connecting may take no longer, and the other arm is as it was.

Three rollouts with the same base and the same users in each arm: of one the candidate is well, of two it hangs, with
base in its place and without. Rounds of them take turns in one run, so that all meet the same noise.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.callers import Caller, quantile, spread
from tests.acceptance.harness import APPLICATION, BASE, CANDIDATE, MODELS, SERVER, Installation, installed
from tests.acceptance.rounds import Beat, Pairs, beating
from tests.fakes.upstream import hanging_listener

log = logging.getLogger("faults")
WELL, HANGING, ALONE = "well", "hanging", "alone"
CONNECT_S, LATE_S = 0.5, 0.2
PER_S = {"base": 100.0, "candidate": 20.0}
LINES = 40
"""For each arm: a question that hangs keeps its line until it has failed."""
ADDED_P99_MS, ADDED_CPU = 2.0, 0.1
ROLLOUTS = f"""
[upstreams.dead]
base_url = "http://127.0.0.1:{{port}}/v1"

[models.dead]
upstream = "dead"
connect_timeout_s = {CONNECT_S}

[rollouts.{WELL}]
base = "{BASE}"
candidate = "$candidate"
salt = "one-salt-for-all-three"

[rollouts.{HANGING}]
base = "{BASE}"
candidate = "dead"
salt = "one-salt-for-all-three"

[rollouts.{ALONE}]
base = "{BASE}"
candidate = "dead"
salt = "one-salt-for-all-three"
fallback = false
"""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with hanging_listener() as port:
        rollouts = ROLLOUTS.format(port=port).replace("$candidate", CANDIDATE)
        config = SERVER.replace("workers = 2", "workers = 1") + MODELS + rollouts + APPLICATION
        with installed(tmp_path_factory.mktemp("dead"), config=config) as installation:
            for name in (WELL, HANGING, ALONE):
                installation.set_percent(50, name)
            yield installation


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round brought: the waits of each arm (ms), and the worker's CPU time for each request (µs)."""

    waits_ms: dict[str, list[float]]
    cpu_us: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """The users of both arms, at work on one rollout; `rounds` are those so far."""

    pid: int
    beats: dict[str, Beat]
    rounds: list[Round] = field(default_factory=list[Round])

    def take(self, seconds: float) -> None:
        """Ask for so long."""
        began_s = cpu_s(self.pid)
        with ThreadPoolExecutor(len(PER_S)) as asking:
            asked = {arm: asking.submit(self.beats[arm].round, seconds, PER_S[arm]) for arm in PER_S}
            waits_ms = {arm: one.result() for arm, one in asked.items()}
        requests = sum(map(len, waits_ms.values()))
        self.rounds.append(Round(waits_ms=waits_ms, cpu_us=(cpu_s(self.pid) - began_s) / requests * 1e6))

    def waits_ms(self, arm: str) -> list[list[float]]:
        """Return the waits of an arm in each round."""
        return [one.waits_ms[arm] for one in self.rounds]

    def answers(self, arm: str) -> set[tuple[str, str]]:
        """Return the statuses that an arm's users got, each with the arm that answered."""
        return {(status(head), header(head, b"x-turnout-arm")) for head in self.beats[arm].heads}


def cpu_s(pid: int) -> float:
    """Return the time that a process' threads have run, user and system."""
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("not exercised: this system does not tell what a process' threads have run")
    return sum(int((one / "schedstat").read_text().split()[0]) for one in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def status(head: bytes) -> str:
    return head.split(b" ", 2)[1].decode()


def header(head: bytes, name: bytes) -> str:
    return head.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0].decode()


def users_of(one: Installation) -> dict[str, list[str]]:
    """Return users of both arms."""
    found: dict[str, list[str]] = {arm: [] for arm in PER_S}
    caller = Caller(one)
    for number in range(LINES * 3):
        answer = caller.chat(f"user-{number}", model=WELL)
        found[answer.arm or ""].append(f"user-{number}")
    caller.close()
    return {arm: users[:LINES] for arm, users in found.items()}


def added_cpu(without: Sequence[Round], during: Sequence[Round]) -> float:
    """Return the median over the pairs of the share that is added to a request's CPU time."""
    both = zip(without, during, strict=True)
    return statistics.median(late.cpu_us / early.cpu_us - 1 for early, late in both)


@pytest.mark.parametrize(
    ("pairs", "seconds"), [(1, 0.8), pytest.param(10, 5.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_an_arm_whose_connects_hang_is_contained(pairs: int, seconds: float, one: Installation):
    users, pid = users_of(one), one.pid("worker-0")
    with ExitStack() as open_lines:
        loads = {
            name: Load(
                pid=pid,
                beats={arm: open_lines.enter_context(beating([one], users[arm], model=name)) for arm in PER_S},
            )
            for name in (WELL, HANGING, ALONE)
        }
        for load in loads.values():
            load.take(0.5)
            load.rounds.clear()
        for number in range(pairs):
            for name in (list(loads), list(loads)[::-1])[number % 2]:
                loads[name].take(seconds)

    assert set().union(*(load.answers("base") for load in loads.values())) == {("200", "base")}
    assert loads[WELL].answers("candidate") == {("200", "candidate")}
    assert loads[HANGING].answers("candidate") == {("200", "base")}
    assert loads[ALONE].answers("candidate") == {("504", "candidate")}
    failed_ms = sorted(wait for waits in loads[ALONE].waits_ms("candidate") for wait in waits)
    log.info("connects that hang fail after %s", spread(failed_ms))
    assert failed_ms[0] >= CONNECT_S * 1000
    added: list[tuple[float, float]] = []
    for name in (HANGING, ALONE):
        waits = Pairs(without=loads[WELL].waits_ms("base"), during=loads[name].waits_ms("base"))
        added.append((waits.added_ms(0.99), added_cpu(loads[WELL].rounds, loads[name].rounds)))
        usual_us = statistics.median(each.cpu_us for each in loads[WELL].rounds)
        log.info("%s: base's users wait %s; CPU %+.1f %% (of %.0f µs)", name, waits, added[-1][1] * 100, usual_us)
    if pairs > 1:
        assert max(cpu for _, cpu in added) <= ADDED_CPU
        assert max(ms for ms, _ in added) <= ADDED_P99_MS
        assert quantile(failed_ms, 0.99) <= (CONNECT_S + LATE_S) * 1000
