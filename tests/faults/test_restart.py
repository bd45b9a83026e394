"""Workers are replaced while applications call: no request fails, no stream is cut, and every answer has one record."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.callers import ask_all, failures
from tests.acceptance.harness import PATIENCE_S, Installation, command, installed, is_answered, until
from tests.fakes.oracle_client import Asked, asking
from tests.faults.laboratory import Laboratory, laboratory

log = logging.getLogger("faults")
pytestmark = pytest.mark.timeout(300)
RUN_S = 600.0


def events(one: Installation, event: str) -> int:
    return sum(line["event"] == event for line in one.log())


def restart_workers(one: Installation) -> None:
    """Restart all workers, one by one, and return when the last one has its replacement."""
    before = events(one, "rolling restart is over")
    one.process.send_signal(signal.SIGHUP)
    until(lambda: events(one, "rolling restart is over") > before, "all workers are replaced", within_s=120)


@contextmanager
def all_kinds_of_callers(lab: Laboratory, seed: int) -> Iterator[list[list[Asked]]]:
    """Ask all the time, on new connections now and then, and on ones that are idle for a moment nobody can foresee."""
    with (
        asking(lab.target, seed, run="steady", at_once=8, pause=lambda draw: draw.uniform(0, 0.04)) as steady,
        asking(lab.target, seed, run="renewed", at_once=4, renewed_every=10) as renewed,
        asking(lab.target, seed, run="hesitant", at_once=20, pause=lambda draw: draw.uniform(0, 2.5)) as hesitant,
    ):
        yield [steady, renewed, hesitant]


def take_over(one: Installation) -> subprocess.Popen[bytes]:
    """Let a new supervisor take over, and return the former one when it knows."""
    former = one.process
    with (one.folder / "serve.log").open("ab") as log_file:
        words = command("serve", "--takeover")
        one.process = subprocess.Popen(
            words, cwd=one.folder, env=one.environment, stdout=subprocess.DEVNULL, stderr=log_file
        )
    until(lambda: events(one, "a new supervisor has taken over; what is left here ends") == 1, "it has taken over")
    return former


@pytest.mark.parametrize(
    ("requests", "restarts"), [(1_000, 1), pytest.param(10_000, 5, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_restarts_and_a_new_supervisor_under_load_fail_no_request(
    requests: int, restarts: int, fault_seed: int, tmp_path: Path
):
    with laboratory(tmp_path) as lab:
        one, changes = lab.one, restarts + 2
        with all_kinds_of_callers(lab, fault_seed) as groups:

            def asked_enough(share: float) -> None:
                until(lambda: sum(map(len, groups)) >= requests * share, "load", within_s=RUN_S)

            for number in range(1, restarts + 1):
                asked_enough(number / (changes + 1))
                restart_workers(one)
            asked_enough((restarts + 1) / (changes + 1))
            former = take_over(one)
            asked_enough(changes / (changes + 1))
            restart_workers(one)
            asked_enough(1)
        asked = [answer for group in groups for answer in group]

        assert former.wait(PATIENCE_S) == 0
        metrics = json.loads((one.state_dir / "addresses.json").read_text())["metrics"]
        until(lambda: is_answered(f"{metrics}/metrics"), "the new shipper answers at the port that was handed over")
        assert not [answer for answer in asked if answer.fate != "whole" or not answer.is_ended]
        found = lab.verify(asked)
        streams = sum(answer.stream for answer in asked)
        log.info("%d rolling restarts, 1 new supervisor: %d answers, %d streamed", restarts + 1, len(asked), streams)
        assert found.outcomes.keys() == {"ok"}
        assert (found.missing, found.quarantined) == (0, 0)
        assert requests / 3 < streams < len(asked) * 2 / 3
        assert len(one.lake("SELECT DISTINCT boot FROM records", settled=False)) > changes
        assert one.ask("GET", "status").status_code == 200
        one.set_percent(50)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as installation:
        yield installation


def test_a_new_supervisor_that_fails_leaves_the_former_one_at_work(one: Installation):
    console = one.pid("console")
    config = one.config.read_text()
    (one.folder / "bad.toml").write_text(config.replace("[models", "[modules"))
    refused = one.turnout("serve", "--takeover", "--config", "bad.toml")
    assert refused.returncode == 1
    assert one.pid("console") == console

    with socket.socket(socket.AF_UNIX) as half:
        half.connect(str(one.state_dir / "handover.sock"))
        socket.recv_fds(half, 65_536, 3)
    until(lambda: events(one, "the new supervisor is gone before it was ready; this one goes on") == 1, "it goes on")
    until(lambda: one.pid("console") != console, "the console is back")

    assert not failures(ask_all(one, ["ada", "bob", "cy"]))
    restart_workers(one)


def begin_to_take_over(one: Installation) -> subprocess.Popen[bytes]:
    """Start a new supervisor, and let it go on by itself."""
    words = command("serve", "--takeover")
    return subprocess.Popen(
        words, cwd=one.folder, env=one.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "moments",
    [
        [(signal.SIGTERM, 1.0), (signal.SIGKILL, 1.3)],
        pytest.param(
            [(number, s) for number in (signal.SIGTERM, signal.SIGKILL) for s in (0.2, 0.5, 0.7, 1.0, 1.3)],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_after_takeovers_that_were_broken_off_the_next_one_succeeds(
    one: Installation, moments: list[tuple[signal.Signals, float]]
):
    for number, after_s in moments:
        breaking = begin_to_take_over(one)
        time.sleep(after_s)
        breaking.send_signal(number)
        breaking.wait(PATIENCE_S)
        if events(one, "a new supervisor has taken over; what is left here ends"):
            return  # the machine was so fast that it was no longer broken off

    former = take_over(one)
    assert former.wait(PATIENCE_S) == 0
    assert not failures(ask_all(one, ["ada", "bob", "cy"]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_former_supervisor_that_ends_while_it_hands_over_leaves_the_host_to_the_new_one(
    one: Installation, number: signal.Signals
):
    former, lock = one.process, one.state_dir / "serve.lock"
    one.process = begin_to_take_over(one)
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children")
    until(lambda: bool(children.read_text()), "it has the descriptors, and starts its own workers")
    former.send_signal(number)
    former.wait(PATIENCE_S)
    until(lambda: lock.read_text() == f"{one.process.pid}\n", "the host is the new one's")

    until(lambda: one.ask("GET", "status").status_code == 200, "its console answers")
    assert not failures(ask_all(one, ["ada", "bob", "cy"]))
