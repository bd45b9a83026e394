from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from analytics.journal.reader import SegmentReader
from analytics.journal.status import Status, StatusPage, read
from analytics.record import Frame, Opened, Record
from gateway.proxy.tally import SOURCES
from rollout.stores.ledger import LEDGER_FILE
from tests.fakes.console import SALES, opened
from tests.fakes.plain import PLAIN

PATIENCE_S = 20.0


class Worker:
    """A worker process on a state directory."""

    def __init__(self, state_dir: Path, listener: socket.socket) -> None:
        self.state_dir = state_dir
        self.log = state_dir / "worker.log"
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        words = ["--name", "worker-0", "--fd", str(listener.fileno()), "--state-dir", str(state_dir)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.proxy", *words], pass_fds=[listener.fileno()], stderr=log
            )

    def status(self) -> Status:
        return read(self.state_dir / "run/worker-0.status")

    def source(self) -> str:
        return SOURCES[self.status().config_source]

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, verify=PLAIN, timeout=0.5).status_code == 200
        except httpx.HTTPError:
            return False

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines()]

    def frames(self) -> list[Frame]:
        frames: list[Frame] = []
        for path in sorted((self.state_dir / "journal").glob("*.segment")):
            with SegmentReader(path) as segment:
                frames += [frame for _, frame in segment.frames()]
                assert segment.ending == "end"
        return frames


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    with ExitStack() as running:
        listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))

        def started() -> Worker:
            worker = Worker(tmp_path, listener)
            running.callback(worker.process.wait)
            running.callback(worker.process.kill)
            return worker

        yield started


def test_a_worker_serves_follows_the_ledger_and_ends_cleanly(tmp_path: Path, start: Callable[[], Worker]):
    with opened(tmp_path) as control:
        key = control.keys.create_key("app", "default", "test", actor="test").key
        worker = start()
        until(worker.is_ready)
        control.set_percent(SALES, 100, 1, actor="ops")
        newest = control.status().snapshot
        until(lambda: f"{worker.status().snapshot_epoch}.{worker.status().snapshot_version}" == newest)

        with httpx.Client(
            base_url=worker.url, headers={"authorization": f"Bearer {key}"}, trust_env=False, verify=PLAIN
        ) as client:
            answer = client.post("/v1/chat/completions", json={"model": SALES, "user": "ann"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    seen = worker.status()
    assert worker.end() == 0
    opening, record = worker.frames()
    assert isinstance(opening, Opened)
    assert isinstance(record, Record)
    assert (record.arm_served, record.outcome, record.error_class) == ("candidate", "upstream_error", "connect_refused")
    assert (seen.requests, seen.in_flight, seen.lost) == (1, 0, 0)
    assert not (tmp_path / "run/worker-0.status").exists()
    assert worker.events() == []
    assert (tmp_path / "run/worker-0.snapshot").exists()


def test_a_worker_leaves_the_status_page_of_whoever_has_taken_its_name(tmp_path: Path, start: Callable[[], Worker]):
    with opened(tmp_path):
        worker = start()
        until(worker.is_ready)
        StatusPage.create(tmp_path / "run/worker-0.status", boot="another", pid=1).close()

        assert worker.end() == 0

    assert worker.status().boot == "another"


@pytest.mark.parametrize("spoiled", ["missing", "damaged", "locked"])
def test_a_worker_starts_by_the_last_good_snapshot_and_returns_to_the_ledger(
    tmp_path: Path, start: Callable[[], Worker], spoiled: str
):
    with opened(tmp_path):
        first = start()
        until(first.is_ready)
        until((tmp_path / "run/worker-0.snapshot").exists)
        first.end()
    ledger, aside = tmp_path / LEDGER_FILE, tmp_path / "aside"
    with ExitStack() as held:
        if spoiled == "locked":
            holder = sqlite3.connect(ledger, isolation_level=None)
            held.callback(holder.close)
            holder.execute("PRAGMA journal_mode = DELETE")
            holder.execute("BEGIN EXCLUSIVE")
        else:
            ledger.rename(aside)
        if spoiled == "damaged":
            ledger.write_bytes(b"SQLite format 3\0" + b"x" * 5000)

        worker = start()
        until(worker.is_ready)
        assert worker.source() == "last_good"
        assert worker.events()[0] == "started from the last good snapshot"

        if spoiled != "locked":
            aside.replace(ledger)
    until(lambda: worker.source() == "ledger")
    assert worker.end() == 0


def test_force_base_is_obeyed_from_the_first_request_on(tmp_path: Path, start: Callable[[], Worker]):
    (tmp_path / "force-base").touch()
    with opened(tmp_path) as control:
        key = control.keys.create_key("app", "default", "test", actor="test").key
        control.set_percent(SALES, 100, 1, actor="ops")
        worker = start()
        until(worker.is_ready)

        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(
            f"{worker.url}/v1/chat/completions",
            json={"model": SALES, "user": "ann"},
            headers=headers,
            trust_env=False,
            verify=PLAIN,
        )

    assert answer.headers["x-turnout-arm"] == "base"
    worker.end()
    record = worker.frames()[-1]
    assert isinstance(record, Record)
    assert record.reason == "disabled"


def test_an_interrupt_ends_a_worker_too(tmp_path: Path, start: Callable[[], Worker]):
    with opened(tmp_path):
        worker = start()
        until(worker.is_ready)

        worker.process.send_signal(signal.SIGINT)

        assert worker.process.wait(PATIENCE_S) in {0, -signal.SIGINT, 130}
