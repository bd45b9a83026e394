"""Workers are replaced while applications call: no request fails, no stream is cut, and every answer has one record."""

from __future__ import annotations

import logging
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.acceptance.callers import Answer, Caller, ask_all, failures, load
from tests.acceptance.harness import CANDIDATE, CONFIG, PATIENCE_S, SIMULATED, Installation, command, installed, until

log = logging.getLogger("faults")
USERS = [f"user-{number}" for number in range(50)]
RESTARTS = 5
PERCENT = 20
SLOW_STREAMS = {
    **SIMULATED,
    "tuned": f'[models."{CANDIDATE}"]\nttft_ms = 20\nttft_sigma = 0.5\nms_per_token = 12\noutput_tokens = 40\n'
    "tokens_per_chunk = 2\n",
}
"""What a fifth of the users gets lasts half a second, so that a restart always meets answers in their middle."""


@pytest.fixture
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("restart"), config=CONFIG, simulated=SLOW_STREAMS) as installation:
        installation.set_percent(PERCENT)
        yield installation


def events(one: Installation, event: str) -> int:
    return sum(line["event"] == event for line in one.log())


def restart_workers(one: Installation) -> None:
    """Restart all workers, one by one, and return when the last one has its replacement."""
    before = events(one, "rolling restart is over")
    one.process.send_signal(signal.SIGHUP)
    until(lambda: events(one, "rolling restart is over") > before, "all workers are replaced")


@contextmanager
def hesitant_callers(one: Installation, count: int) -> Iterator[list[Answer]]:
    """Call on connections that are idle for a moment that nobody can foresee, and are never closed by the caller."""
    answers: list[Answer] = []
    over = threading.Event()

    def keep_asking(seed: int) -> None:
        draw, caller = random.Random(seed), Caller(one)
        while not over.is_set():
            answers.append(caller.chat(USERS[seed % len(USERS)], stream=draw.random() < 0.5))
            over.wait(draw.uniform(0, 2.5))
        caller.close()

    threads = [threading.Thread(target=keep_asking, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def assert_all_recorded_once(one: Installation, answers: Sequence[Answer]) -> None:
    found = one.settle()
    rows = one.lake("SELECT request_id::VARCHAR AS id, outcome, worker, boot, seq FROM records", settled=False)

    assert sorted(row["id"] for row in rows) == sorted(answer.request_id for answer in answers)
    assert {row["outcome"] for row in rows} == {"ok"}
    assert len({(row["worker"], row["boot"], row["seq"]) for row in rows}) == len(rows)
    assert (found.sound, found.missing, found.quarantined) == (True, 0, 0), found


@pytest.mark.parametrize("requests", [1_500, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_rolling_restarts_under_load_fail_no_request(requests: int, one: Installation):
    with hesitant_callers(one, 20) as hesitant, load(one, USERS, at_once=8, pause_s=0.001) as steady:
        for number in range(1, RESTARTS + 1):
            until(lambda number=number: len(steady) >= requests * number // (RESTARTS + 1), "load", within_s=300)
            restart_workers(one)
        until(lambda: len(steady) >= requests, "load", within_s=300)
    answers = [*steady, *hesitant]

    assert not failures(answers)
    assert_all_recorded_once(one, answers)
    assert len({row["boot"] for row in one.lake("SELECT DISTINCT boot FROM records")}) > RESTARTS
    streams = sum(answer.headers["content-type"].startswith("text/event-stream") for answer in answers)
    log.info("%d restarts: %d answers, %d of them streams, 0 failed", RESTARTS, len(answers), streams)
    assert requests / 3 < streams < len(answers) * 2 / 3


@pytest.mark.parametrize("requests", [600, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_new_supervisor_takes_over_under_load_and_no_request_fails(requests: int, one: Installation):
    former = one.process
    with hesitant_callers(one, 10) as hesitant, load(one, USERS, at_once=8, pause_s=0.001) as steady:
        until(lambda: len(steady) >= requests // 3, "load", within_s=300)
        with (one.folder / "serve.log").open("ab") as log_file:
            words = command("serve", "--takeover")
            new = subprocess.Popen(
                words, cwd=one.folder, env=one.environment, stdout=subprocess.DEVNULL, stderr=log_file
            )
        one.process = new
        until(lambda: events(one, "a new supervisor has taken over; what is left here ends") == 1, "it has taken over")
        enough = len(steady) + requests // 3
        until(lambda: len(steady) >= enough, "load on the new workers", within_s=300)
        restart_workers(one)
        until(lambda: len(steady) >= requests, "load", within_s=300)
    answers = [*steady, *hesitant]

    assert former.wait(PATIENCE_S) == 0
    assert not failures(answers)
    assert_all_recorded_once(one, answers)
    assert one.ask("GET", "status").status_code == 200
    one.set_percent(50)


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

    assert not failures(ask_all(one, USERS[:3]))
    restart_workers(one)
