"""Standard error whose reader stalls or is gone, or whose disk is full: requests are answered and records arrive."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import BASE, CONFIG, Installation, installed
from tests.bad_input.front import BODY
from tests.fakes.pipes import fill

ASKED = 120
DEV_FULL = Path("/dev/full")
TALKATIVE = CONFIG + '\n[logs]\nlevel = "debug"\n'


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10, headers={"connection": "close"}) as client:
        yield client


def ask(one: Installation, client: httpx.Client, times: int) -> list[int]:
    """Ask one question after the other, on a new connection each time, and return the statuses."""
    headers = {"authorization": f"Bearer {one.keys['application']}"}
    body = {**BODY, "model": BASE}
    url = f"{one.base_url}/chat/completions"
    return [client.post(url, json={**body, "user": f"u{n}"}, headers=headers).status_code for n in range(times)]


def test_a_log_reader_that_stalls_stops_nothing_and_reads_every_line_when_it_goes_on(
    tmp_path: Path, client: httpx.Client
):
    reading, writing = os.pipe()
    held = fill(writing)
    lines: list[str] = []

    def go_on() -> None:
        with os.fdopen(reading) as reader:
            reader.read(held)
            lines.extend(reader)

    reader = threading.Thread(target=go_on)
    with installed(tmp_path, config=TALKATIVE, errors=writing) as one:
        os.close(writing)
        pids = {page.pid for page in one.pages().values()}

        assert ask(one, client, ASKED) == [200] * ASKED
        assert client.get(f"{one.gateway}/readyz").status_code == 200
        assert one.settle().outcomes == {"ok": ASKED}
        assert {page.pid for page in one.pages().values()} == pids
        reader.start()
    reader.join()

    events = Counter(json.loads(line)["event"] for line in lines)
    assert events["request"] == ASKED
    assert events["lines of the log were lost"] == 0
    assert (events["shipper_started"], events["shipper_ended"]) == (1, 1)


@pytest.mark.slow
def test_an_installation_whose_log_reader_stalls_ends_when_it_is_told_to(tmp_path: Path, client: httpx.Client):
    reading, writing = os.pipe()
    fill(writing)
    with installed(tmp_path, config=TALKATIVE, errors=writing) as one:
        os.close(writing)
        assert ask(one, client, 3) == [200] * 3
    os.close(reading)

    assert one.look().outcomes == {"ok": 3}


def refusing(way: str) -> int:
    """Return a descriptor to which no write succeeds."""
    if way == "full":
        if not DEV_FULL.exists():
            pytest.skip("this system has no full device")
        return os.open(DEV_FULL, os.O_WRONLY)
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.slow
@pytest.mark.parametrize("way", ["full", pytest.param("without a reader", marks=pytest.mark.slow)])
def test_a_standard_error_that_refuses_every_write_ends_no_process(way: str, tmp_path: Path, client: httpx.Client):
    errors = refusing(way)
    with installed(tmp_path, config=TALKATIVE, errors=errors) as one:
        os.close(errors)
        pids = [one.pid(child) for child in ("worker-0", "worker-1", "shipper", "console")]

        assert ask(one, client, ASKED) == [200] * ASKED
        assert one.settle().outcomes == {"ok": ASKED}
        assert [one.pid(child) for child in ("worker-0", "worker-1", "shipper", "console")] == pids
