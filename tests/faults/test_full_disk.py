"""A journal on a disk without room: callers notice nothing, and what is lost is known to the frame."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import pytest

from analytics.journal.status import TROUBLES, read
from tests.acceptance.harness import BASE, PATIENCE_S, Installation, installed, until

DISK_BYTES = 256 * 1024
BEFORE, DURING, AFTER = 60, 240, 60
ALARM, ALL_CLEAR = "THE JOURNAL'S DISK REFUSES RECORDS", "the journal takes records again"


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Put a directory of an installation's state on a disk of its own."""
    place.mkdir(parents=True, mode=0o700)
    place.parent.chmod(0o700)
    options = ["-o", f"size={DISK_BYTES},mode=700"]
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", place], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("not exercised: there is no mount here")
    if mounted.returncode:
        pytest.skip("not exercised: a small disk cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "state/journal") as place:
        yield place


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """Where status pages and last good snapshots lie."""
    with small_disk(tmp_path / "state/run") as place:
        yield place


def fill(journal: Path) -> Path:
    ballast = journal / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1024)):
            pass
    return ballast


def ask(one: Installation, requests: int, numbers: Iterator[int]) -> None:
    """Send requests, half of them streamed, eight at a time; every one must be answered whole."""
    headers = {"authorization": f"Bearer {one.keys['application']}"}
    with httpx.Client(headers=headers, trust_env=False, timeout=PATIENCE_S) as client:

        def send(number: int) -> tuple[int, bool]:
            stream = bool(number % 2)
            body = {"model": BASE, "messages": [{"role": "user", "content": "hello"}], "user": f"u{number}"}
            answer = client.post(f"{one.base_url}/chat/completions", json={**body, "stream": stream})
            return answer.status_code, answer.content.endswith(b"[DONE]\n\n") == stream

        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(send, [next(numbers) for _ in range(requests)]))
    assert answers == [(200, True)] * requests


def troubles(one: Installation) -> set[str]:
    return {TROUBLES[page.journal_trouble] for page in one.pages().values()}


def lost(one: Installation) -> int:
    ended = [read(path) for path in (one.state_dir / "run").glob("*.ended")]
    return sum(page.lost for page in (*one.pages().values(), *ended))


def test_callers_notice_nothing_and_no_record_is_lost_when_there_is_room_again(journal: Path, tmp_path: Path):
    numbers = count()
    with installed(tmp_path) as one:
        ask(one, BEFORE, numbers)
        ballast = fill(journal)
        ask(one, DURING, numbers)
        until(lambda: "waiting" in troubles(one), "the alarm is on")
        ballast.unlink()
        until(lambda: troubles(one) == {"none"}, "all that waited is written")
        ask(one, AFTER, numbers)

        found = one.settle()
        assert found.sound
        assert found.outcomes == {"ok": BEFORE + DURING + AFTER}
        assert lost(one) == 0
        until(lambda: troubles(one) == {"none"}, "the small disk has room again")
        events = [line["event"] for line in one.log()]
        alarms = sum(event.startswith(ALARM) for event in events)
        assert alarms
        assert events.count(ALL_CLEAR) == alarms


def test_a_stop_while_there_is_no_room_loses_exactly_what_is_counted(journal: Path, tmp_path: Path):
    with ExitStack() as ended, installed(tmp_path) as one:
        numbers = count()
        ask(one, BEFORE, numbers)
        one.settle()
        # It would make room by carrying to the lake what it finds.
        os.kill(one.pid("shipper"), signal.SIGSTOP)
        waking = threading.Thread(target=wake_after_workers, args=(one, one.pid("shipper")))
        waking.start()
        ended.callback(waking.join)
        fill(journal)
        ask(one, DURING, numbers)

    found = one.look()
    written = 2 * (found.outcomes["ok"] + found.waiting) + found.outcomes.get("interrupted", 0) + found.open
    assert lost(one) > 0
    assert written + lost(one) == 2 * (BEFORE + DURING)
    assert (found.duplicate_request_ids, found.duplicate_seqs, found.quarantined) == (0, 0, 0)


@pytest.mark.slow
def test_workers_that_start_while_there_is_no_room_serve_and_lose_nothing(journal: Path, run: Path, tmp_path: Path):
    numbers = count()
    with installed(tmp_path) as one:
        ask(one, BEFORE, numbers)
        one.settle()
        former = one.pages()
        # It would make room by carrying to the lake what the killed workers left.
        shipper = one.pid("shipper")
        os.kill(shipper, signal.SIGSTOP)
        ballast = [fill(journal), fill(run)]
        for name in former:
            one.kill(name)
        until(lambda: len(starts_without_page(one)) == len(former), "all workers run without a page")
        ask(one, DURING, numbers)
        for file in ballast:
            file.unlink()
        os.kill(shipper, signal.SIGCONT)
        until(lambda: pids(one).isdisjoint(page.pid for page in former.values()), "the pages are made at last")
        until(lambda: troubles(one) == {"none"}, "all that waited is written")
        ask(one, AFTER, numbers)

        found = one.settle()
        assert found.sound
        assert found.outcomes == {"ok": BEFORE + DURING + AFTER}
        assert lost(one) == 0


def starts_without_page(one: Installation) -> list[str]:
    return [line["process"] for line in one.log() if line["event"].startswith("no status page can be made")]


def pids(one: Installation) -> set[int]:
    return {page.pid for page in one.pages().values()}


def wake_after_workers(one: Installation, shipper: int) -> None:
    workers = [page.pid for page in one.pages().values()]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers have ended")
    os.kill(shipper, signal.SIGCONT)
