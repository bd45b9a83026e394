from __future__ import annotations

import itertools
import random
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.directory import Directory
from analytics.lake.host import host_name
from analytics.lake.layout import Heartbeat, Lake
from analytics.lake.shipper import Shipper, ShipperRunningError, wall_clock
from analytics.lake.verify import verify
from analytics.record import SCHEMA, Opened, Record

Ask = Callable[[str], list[Any]]
Open = Callable[[int], Opened]
Close = Callable[[int], Record]


def test_two_shippers_cannot_work_on_one_journal(state: Path, shipper: Shipper) -> None:
    with pytest.raises(ShipperRunningError, match="another shipper"):
        Shipper(state / "journal", state / "lake")


def test_every_worker_has_a_heartbeat_and_a_living_boot_counts_before_a_dead_one(
    state: Path, shipper: Shipper, opened: Open, closed: Close
) -> None:
    dead = Writer(state / "journal", "w0", "zzz")
    dead.append(closed(7))
    living = Writer(state / "journal", "w0", "aaa")
    living.append(closed(3))
    other = Writer(state / "journal", "w1", "bbb")
    shipper.tick()
    dead.close()
    shipper.tick()
    at, host = 1_790_000_000_000_000, host_name(state / "journal")

    beats = Lake(state / "lake").all_heartbeats()
    assert [replace(beat, sealed={}) for beat in beats] == [
        Heartbeat(worker="w0", boot="aaa", last_seq=3, at=at, host=host, settled_to=3, fresh_to=at),
        Heartbeat(worker="w1", boot="bbb", last_seq=0, at=at, host=host, settled_to=0, fresh_to=at),
    ]
    assert [list(beat.sealed) for beat in beats] == [[1], [1]]
    living.close()
    other.close()


def test_a_heartbeat_of_an_earlier_version_is_gone_on_from_and_gives_way_to_the_hosts_own(state: Path) -> None:
    Lake(state / "lake").prepare()
    Lake(state / "lake").beat(Heartbeat(worker="w0", boot="b1", last_seq=9, at=1))
    writer = Writer(state / "journal", "w0", "b1")
    shipper = Shipper(state / "journal", state / "lake")
    shipper.tick()
    shipper.close()
    writer.close()

    assert [(one.name, beat.last_seq) for one, beat in beats_in(state / "lake")] == [
        (f"{host_name(state / 'journal')}-w0.json", 9)
    ]


def beats_in(lake: Path) -> list[tuple[Path, Heartbeat]]:
    files = sorted((lake / "incoming" / "heartbeats").iterdir())
    return list(zip(files, Lake(lake).all_heartbeats(), strict=True))


def test_a_heartbeat_never_goes_back_although_segments_are_gone(state: Path, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1", segment_bytes=300)
    for seq in range(1, 10):
        writer.append(closed(seq))
    last: list[int] = []
    for _ in range(3):
        shipper = Shipper(state / "journal", state / "lake")
        shipper.tick()
        shipper.close()
        last += [beat.last_seq for beat in Lake(state / "lake").all_heartbeats()]

    assert last == [9, 9, 9]
    writer.close()


def test_a_segment_that_was_removed_and_put_back_is_shipped_once(
    state: Path, shipper: Shipper, ask: Ask, opened: Open, closed: Close
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(opened(1))
    writer.append(closed(2))
    shipper.tick()
    for path in (state / "journal").glob("*.segment"):
        path.unlink()
    shipper.tick()
    writer.append(closed(3))
    writer.sync()
    writer.append(closed(1))
    writer.tend()
    shipper.tick()
    writer.append(closed(4))
    writer.close()
    shipper.tick()

    assert ask("SELECT seq, outcome FROM records ORDER BY seq") == [(seq, "ok") for seq in (1, 2, 3, 4)]
    assert writer.lost == 0
    assert not segments(state / "journal")


def test_a_lake_that_refuses_is_counted_and_tried_again_without_a_record_lost_or_doubled(
    state: Path, shipper: Shipper, ask: Ask, opened: Open, closed: Close
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    shipper.tick()
    moved = (state / "lake").rename(state / "moved")
    writer.append(closed(2))
    writer.append(opened(3))
    refused = shipper.tick()
    moved.rename(state / "lake")
    writer.append(closed(3))

    assert refused == 0
    assert shipper.counts.failures > 0
    assert shipper.tick() == 2
    assert sorted(ask("SELECT seq FROM records")) == [(1,), (2,), (3,)]
    writer.close()


class Hanging(Directory):
    waits_s = 5.5


def test_a_store_that_leaves_a_call_unanswered_is_away_before_the_call_has_failed(state: Path) -> None:
    shipper = Shipper(state / "journal", Hanging(state / "lake"))

    assert shipper.is_away
    shipper.close()


def test_a_heartbeat_that_cannot_be_written_is_counted_and_said(state: Path, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    said: list[str] = []
    shipper = Shipper(state / "journal", state / "lake", log=lambda level, event, fields: said.append(event))
    (state / "lake" / "incoming" / "heartbeats").rmdir()

    assert shipper.tick() == 1
    assert (said, shipper.counts.failures) == (["heartbeat_failed"], 1)
    shipper.close()
    writer.close()


def test_a_segment_of_a_later_schema_is_left_where_it_is_and_said_once(state: Path, closed: Close) -> None:
    start = struct.pack("<4sHBB", b"TNJL", SCHEMA + 1, 2, 2) + b"w0b1"
    path = state / "journal" / "w0-b1-000001.segment"
    path.parent.mkdir()
    path.write_bytes(start + struct.pack("<I", zlib.crc32(start)))
    said: list[str] = []
    shipper = Shipper(state / "journal", state / "lake", log=lambda level, event, fields: said.append(event))
    shipper.tick()
    shipper.tick()
    shipper.close()

    assert path.exists()
    assert said == ["segment_unreadable"]


def test_running_ends_after_everything_left_was_shipped(state: Path, ask: Ask, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    shipper = Shipper(state / "journal", state / "lake")
    stop = threading.Event()
    running = threading.Thread(target=shipper.run, args=(stop,), kwargs={"seal_every_s": 0.01})
    running.start()
    for seq in range(1, 201):
        writer.append(closed(seq))
    writer.close()
    stop.set()
    running.join()
    shipper.close()

    assert ask("SELECT count(*), count(DISTINCT seq) FROM records") == [(200, 200)]
    assert segments(state / "journal") == []


def test_the_clock_is_the_wall_in_microseconds() -> None:
    assert abs(wall_clock() - time.time() * 1e6) < 5e6


def shipping(state: Path, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "analytics.lake", "--state-dir", str(state), "--seal-every-s", "0.005"]
    return subprocess.Popen(command, stderr=errors)


def write_some(writer: Writer, numbers: Iterator[int], chance: random.Random) -> int:
    """Append forty requests, of which some stay open; return how many were closed."""
    still_open: list[Opened] = []
    settled = 0
    for _ in range(40):
        request = Opened(
            request_id=f"0199b0c0-0000-7000-8000-{next(numbers):012x}", seq=writer.next_seq(), started_at=1
        )
        writer.append(request)
        still_open.append(request)
        while still_open and chance.random() < 0.6:
            done = still_open.pop(chance.randrange(len(still_open)))
            writer.append(Record(request_id=done.request_id, seq=done.seq, started_at=1, outcome="ok"))
            settled += 1
        time.sleep(0.001)
    return settled


SERVING = """
import sys
from pathlib import Path
from analytics.journal.writer import Writer
from analytics.record import Opened, Record
writer = Writer(Path(sys.argv[1], "journal"), "w0", sys.argv[2], segment_bytes=20_000)
for number in range(10**9):
    seq = writer.next_seq()
    request = {"request_id": f"0199b0c0-0000-7000-{sys.argv[2]}-{seq:012x}", "seq": seq, "started_at": 1}
    writer.append(Opened(**request))
    print(seq, flush=True)
    writer.append(Record(**request, outcome="ok"))
    print(-seq, flush=True)
"""


def test_workers_killed_again_and_again_lose_nothing_that_they_had_closed(state: Path, ask: Ask) -> None:
    acknowledged: set[tuple[str, int]] = set()
    with shipping(state) as shipper:
        for boot in range(8001, 8009):
            command = [sys.executable, "-c", SERVING, str(state), str(boot)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
                assert worker.stdout is not None
                said = [worker.stdout.readline() for _ in range(random.Random(boot).randrange(1, 2000))]
                worker.kill()
                said += list(worker.stdout)
            acknowledged |= {(str(boot), int(line)) for line in said if line.endswith("\n")}
        shipper.terminate()
    found = verify(state / "lake", state / "journal")
    rows = ask("SELECT boot, seq, outcome FROM records")

    assert found.sound
    assert {(boot, -seq) for boot, seq in acknowledged if seq < 0} <= {
        (b, s) for b, s, outcome in rows if outcome == "ok"
    }
    assert {(boot, seq) for boot, seq in acknowledged if seq > 0} <= {(b, s) for b, s, _ in rows}
    assert found.outcomes.get("interrupted", 0) <= 8
    assert found.quarantined <= 8


def test_a_shipper_killed_again_and_again_loses_nothing_and_doubles_nothing(
    state: Path,
) -> None:
    chance, numbers = random.Random(20), itertools.count(1)
    settled = 0
    writer = Writer(state / "journal", "w0", "boot0", segment_bytes=4000)
    shippers = [shipping(state)]
    for kill in range(1, 26):
        settled += write_some(writer, numbers, chance)
        writer.sync()
        if kill % 5 == 0:
            writer.close()
            writer = Writer(state / "journal", "w0", f"boot{kill}", segment_bytes=4000)
        time.sleep(chance.random() * 0.35)
        shippers[-1].kill()
        shippers[-1].wait()
        shippers.append(shipping(state))
    writer.close()
    shippers[-1].kill()
    shippers[-1].wait()
    with shipping(state, subprocess.PIPE) as last:
        assert last.stderr is not None
        assert b"shipper_started" in last.stderr.readline()
        last.send_signal(signal.SIGTERM)
        last.stderr.read()
    assert last.returncode == 0
    found = verify(state / "lake", state / "journal")

    assert found.sound
    assert found.outcomes == {"ok": settled, "interrupted": 1000 - settled}
    assert (found.waiting, found.open, found.quarantined) == (0, 0, 0)
    assert segments(state / "journal") == []
    assert list((state / "lake" / "incoming").glob("*.tmp")) == []
