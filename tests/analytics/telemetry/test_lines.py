from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.telemetry.lines import LineWriter, fields_of
from tests.fakes.pipes import fill

PATIENCE_S = 20.0
DEV_FULL = Path("/dev/full")


def told(count: int) -> str:
    return f"lost {count}"


def until(is_so: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def read_to_the_end(fd: int) -> list[str]:
    with os.fdopen(fd) as reader:
        return reader.read().splitlines()


def test_lines_come_out_in_their_order_and_the_end_waits_for_them():
    reading, writing = os.pipe()
    writer = LineWriter(writing, told)
    for number in range(1_000):
        writer.put(f"line {number}")
    writer.end()
    os.close(writing)

    assert read_to_the_end(reading) == [f"line {number}" for number in range(1_000)]


def test_a_reader_that_stalls_delays_nobody_and_what_found_no_room_is_counted():
    reading, writing = os.pipe()
    held = fill(writing)
    writer = LineWriter(writing, told, most_bytes=1_000)
    for number in range(1_000):
        writer.put(f"line {number:04}")
    assert os.read(reading, held) == b"." * held
    writer.end()
    os.close(writing)

    lines = read_to_the_end(reading)
    counts = [int(line.removeprefix("lost ")) for line in lines if line.startswith("lost ")]
    written = [line for line in lines if not line.startswith("lost ")]
    assert written == [f"line {number:04}" for number in range(len(written))]
    assert (len(written), sum(counts)) == (100, 900)


def test_the_end_waits_for_a_reader_that_stalls_but_not_for_ever():
    reading, writing = os.pipe()
    held = fill(writing)
    writer = LineWriter(writing, told)
    writer.put("late")
    began_s = time.monotonic()
    writer.end(0.2)
    waited_s = time.monotonic() - began_s
    writer.put("too late")

    assert 0.1 < waited_s < PATIENCE_S
    assert os.read(reading, held) == b"." * held
    assert os.read(reading, 100).startswith(b"late\n")
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not DEV_FULL.exists(), reason="this system has no full device")
def test_a_write_that_is_refused_is_counted_and_said_when_writing_works_again(tmp_path: Path):
    full = os.open(DEV_FULL, os.O_WRONLY)
    writer = LineWriter(full, told)
    for number in range(3):
        writer.put(f"refused {number}")
    until(lambda: writer._refused == 3)  # noqa: SLF001 - nothing else tells that they were tried
    path = tmp_path / "log"
    with path.open("wb") as file:
        os.dup2(file.fileno(), full)
    writer.put("written")
    writer.end()
    os.close(full)

    assert path.read_text() == "lost 3\nwritten\n"


def test_without_a_reader_or_a_descriptor_all_is_lost_and_nothing_is_raised():
    reading, writing = os.pipe()
    os.close(reading)
    for fd in (writing, None):
        writer = LineWriter(fd, told)
        writer.put("nobody reads this")
        writer.end()

        assert not writer._thread.is_alive()  # noqa: SLF001 - that it ended is the point
    os.close(writing)


def test_a_pipe_that_does_not_let_writers_wait_is_waited_for():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = LineWriter(writing, told, most_bytes=10_000_000)
    line = "x" * 100_000
    for _ in range(10):
        writer.put(line)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(read_to_the_end(reading)))
    reader.start()
    writer.end(PATIENCE_S)
    os.close(writing)
    reader.join()

    assert lines == [line] * 10


LIMITED = """
import resource, signal, sys, time
from analytics.telemetry.lines import LineWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (15, resource.RLIM_INFINITY))
writer = LineWriter(1, lambda count: f"lost {count}")
for number in range(3):
    writer.put(f"line {number:04}")
while writer._refused < 2:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.put("whole")
writer.end()
"""


def test_a_line_that_was_begun_and_refused_does_not_spoil_the_next(tmp_path: Path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        subprocess.run([sys.executable, "-c", LIMITED], stdout=file, check=True, timeout=PATIENCE_S)

    assert path.read_text() == "line 0000\nline \nlost 2\nwhole\n"


SAYING = """
import os, signal, sys
from analytics.telemetry.lines import to_standard_error
writer, render = to_standard_error("here")
writer.put(render({"at": "2026-01-01T00:00:00.000Z", "level": "info", "process": "here", "event": "begun"}))
"""


def test_what_is_put_is_written_when_the_process_ends_also_by_an_error():
    program = f"{SAYING}sys.excepthook = lambda *_: writer.put('the last')\nraise ValueError"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    begun, last = done.stderr.splitlines()
    assert json.loads(begun)["event"] == "begun"
    assert (last, done.returncode) == ("the last", 1)


def test_a_signal_wakes_the_thread_that_waits_for_it():
    program = f"{SAYING}print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
    program += "os.kill(os.getpid(), signal.SIGTERM)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert done.returncode == -signal.SIGTERM


def test_a_process_whose_standard_error_was_closed_goes_on():
    command = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, f"{SAYING}print('went on')"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("went on\n", 0)


def test_the_fields_of_a_line_begin_with_when_how_bad_where_and_what():
    fields = fields_of("shipper", "info", "begun", {"count": 3})

    assert list(fields) == ["at", "level", "process", "event", "count"]
    assert fields["at"].endswith("Z")
    assert (fields["process"], fields["event"], fields["count"]) == ("shipper", "begun", 3)
