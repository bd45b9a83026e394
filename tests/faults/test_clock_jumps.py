"""A wall clock that jumps by days: durations stay durations, and the journal does not notice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from analytics.journal.reader import SegmentReader
from analytics.journal.segment import segments
from analytics.record import Frame, Record
from gateway.settings.schema import Configuration, Model, Upstream
from tests.acceptance.harness import SIMULATED, simulating, until
from tests.fakes.console import opened

DAY_S = 86_400
JUMPS = ("+2d", "-2d", "+0", "-2d", "+2d")
REQUESTS = 60
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/lib")
DURATIONS = ("latency_ms", "ttft_ms", "upstream_ms", "overhead_ms", "output_ms")


class WallClock:
    """The wall clock of the processes that run in `environment`."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._offset = folder / "wall-clock"
        self.turn("+0")
        still = dict.fromkeys(("FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC", "FAKETIME_NO_CACHE"), "1")
        faked = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self._offset)}
        self.environment: Mapping[str, str] = {**os.environ, **still, **faked}

    def turn(self, offset: str) -> None:
        unfinished = self._offset.with_suffix(".tmp")
        unfinished.write_text(offset)
        unfinished.replace(self._offset)


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    found = [path for folder in LIBRARIES if (path := Path(folder) / "faketime/libfaketime.so.1").exists()]
    if not found:
        pytest.skip("not exercised: libfaketime is not installed")
    return WallClock(found[0], tmp_path)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def frames_of(journal: Path) -> list[Frame]:
    frames: list[Frame] = []
    for name in segments(journal):
        with SegmentReader(journal / name.file_name) as segment:
            frames += [frame for _, frame in segment.frames()]
            assert segment.ending == "end"
    return frames


def ask(client: httpx.Client, number: int) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "stream": bool(number % 2)}
    assert client.post("/v1/chat/completions", json=body).status_code == 200


def test_a_worker_whose_clock_jumps_by_days_measures_no_negative_duration(
    tmp_path: Path, wall_clock: WallClock, listener: socket.socket
):
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    with ExitStack() as running:
        upstream = running.enter_context(simulating(tmp_path / "base.toml", SIMULATED["base"]))
        models = {"gpt-4o-mini": Model(upstream="one")}
        wanted = Configuration(upstreams={"one": Upstream(base_url=upstream.base_url)}, models=models)
        control = running.enter_context(opened(state_dir, wanted))
        key = control.keys.create_key("app", "default", "test", actor="test").key
        words = ["--name", "worker-0", "--fd", str(listener.fileno()), "--state-dir", str(state_dir)]
        command = [sys.executable, "-m", "gateway.proxy", *words]
        worker = subprocess.Popen(command, env=wall_clock.environment, pass_fds=[listener.fileno()])
        running.callback(worker.wait)
        running.callback(worker.kill)
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=20,
        )
        running.enter_context(client)
        until(lambda: client.get("/readyz").status_code == 200, "the worker is ready")
        for number, offset in zip(range(REQUESTS), cycle(JUMPS), strict=False):
            wall_clock.turn(offset)
            ask(client, number)
        client.close()
        worker.terminate()
        assert worker.wait(20) == 0

    frames = frames_of(state_dir / "journal")
    records = [frame for frame in frames if isinstance(frame, Record)]
    started_at = [record.started_at for record in records]
    assert [record.seq for record in records] == list(range(1, REQUESTS + 1))
    assert max(started_at) - min(started_at) > 3 * DAY_S * 1_000_000, "the clock did jump"
    durations = [value for record in records for name in DURATIONS if (value := getattr(record, name)) is not None]
    assert len(durations) >= 3 * REQUESTS
    assert all(0 <= duration < 20_000 for duration in durations)
    assert len(segments(state_dir / "journal")) == 1


ROTATING = """
import sys, time
from pathlib import Path
from analytics.journal.syncer import Syncer
from analytics.journal.writer import Writer
from analytics.record import Opened
writer = Writer(Path(sys.argv[1]), "w0", "b1", segment_s=0.3)
with Syncer(writer, every_s=0.05):
    for seq in range(1, 101):
        print(time.time_ns(), flush=True)
        sys.stdin.readline()
        writer.append(Opened(request_id="r", seq=seq, started_at=time.time_ns() // 1000))
writer.close()
print(writer.lost, writer.sync_errors)
"""


def test_segments_end_by_time_that_passed_and_not_by_the_clock_on_the_wall(tmp_path: Path, wall_clock: WallClock):
    journal = tmp_path / "journal"
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", ROTATING, str(journal)],
        env=wall_clock.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _, offset in zip(range(100), cycle(JUMPS), strict=False):
            writer.stdout.readline()
            wall_clock.turn(offset)
            time.sleep(0.012)
            writer.stdin.write("\n")
            writer.stdin.flush()
        assert writer.stdout.readline().split() == ["0", "0"]
    passed_s = time.monotonic() - began

    assert [frame.seq for frame in frames_of(journal)] == list(range(1, 101))
    assert [name.number for name in segments(journal)] == list(range(1, len(segments(journal)) + 1))
    assert 3 <= len(segments(journal)) <= passed_s / 0.3 + 1
