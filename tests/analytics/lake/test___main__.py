from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.journal.writer import Writer
from analytics.record import Record

Ask = Callable[[str], list[Any]]


def start(state: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "analytics.lake", "--state-dir", str(state), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_sigterm_ships_what_is_left_and_standard_error_is_json_lines(
    state: Path, ask: Ask, closed: Callable[[int], Record]
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    with start(state, "--lake", (state / "lake").as_uri(), "--seal-every-s", "3600") as shipper:
        assert shipper.stderr is not None
        first = json.loads(shipper.stderr.readline())
        writer.append(closed(1))
        writer.close()
        shipper.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in shipper.stderr]

    assert shipper.returncode == 0
    assert ask("SELECT seq FROM records") == [(1,)]
    assert [line["event"] for line in [first, *lines]] == ["shipper_started", "shipper_ended"]
    assert lines[-1]["records"] == 1


def test_a_shipper_waits_for_its_predecessor_to_end(state: Path) -> None:
    with start(state, "--seal-every-s", "0.05") as former:
        assert former.stderr is not None
        assert "shipper_started" in former.stderr.readline()
        with start(state, "--seal-every-s", "0.05") as following:
            assert following.stderr is not None
            time.sleep(1)
            assert (former.poll(), following.poll()) == (None, None)
            former.kill()
            assert "shipper_started" in following.stderr.readline()
            following.send_signal(signal.SIGTERM)
            following.stderr.read()

    assert following.returncode == 0


def test_a_shipper_to_whom_nobody_listens_ships_all_the_same(
    state: Path, ask: Ask, closed: Callable[[int], Record]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    writer.close()
    command = [sys.executable, "-m", "analytics.lake", "--state-dir", str(state), "--seal-every-s", "0.05"]
    with subprocess.Popen(command, stderr=writing) as shipper:
        os.close(writing)
        ends_s = time.monotonic() + 20
        while not list((state / "lake" / "incoming").glob("*.parquet")):
            assert time.monotonic() < ends_s
            time.sleep(0.05)
        shipper.send_signal(signal.SIGTERM)

    assert shipper.returncode == 0
    assert ask("SELECT seq FROM records") == [(1,)]


@pytest.mark.parametrize(("level", "events"), [("info", ["begun", "failed"]), ("error", ["failed"])])
def test_lines_below_the_level_are_not_written(level: str, events: list[str]) -> None:
    program = "import sys; from analytics.lake.__main__ import ShipperLog; log = ShipperLog(sys.argv[1])\n"
    program += "log('info', 'begun', {}); log('error', 'failed', {'count': 3})"

    done = subprocess.run([sys.executable, "-c", program, level], capture_output=True, text=True, check=True)

    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == events


def test_what_ends_a_shipper_unforeseen_is_one_line_without_its_text(state: Path) -> None:
    state.mkdir(exist_ok=True)
    (state / "journal").write_text("no directory")

    with start(state) as shipper:
        assert shipper.stderr is not None
        (line,) = [json.loads(line) for line in shipper.stderr]

    assert shipper.returncode == 1
    assert (line["event"], line["exception"]) == ("the process ends by an error", "FileExistsError")
    assert "in main" in line["traceback"]
    assert str(state) not in json.dumps(line)
