"""An erasure stands until what is still in a journal has come and is gone too; killed at any line, it ends the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.journal.writer import Writer
from analytics.lake.alone import CompactionRunningError, alone
from analytics.lake.compact import compact
from analytics.lake.directory import Directory
from analytics.lake.erase import erase, erase_standing
from analytics.lake.erasure import ELSEWHERE_S, ERASURES, LATE_S, Erasure, Erasures
from analytics.lake.layout import Heartbeat
from analytics.lake.place import Place
from analytics.lake.shipper import Shipper
from tests.fakes.erasable_lake import ANN, ASKED_US, BOB, CANARY, ErasableLake, erasure, holding, request
from tests.fakes.object_server import Bucket, serving_objects

LATE_US = ASKED_US + round(LATE_S * 1_000_000)
WORDS = (CANARY.encode(), ANN)


class State:
    """A state directory with a lake and one erasure that stands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = ErasableLake(root / "lake")
        self.place = Place(url=str(self.lake.root))
        self.erasures = Erasures(root / ERASURES)
        self.erasures.keep(erasure(self.place.name))

    def look(self, at: int, *, is_stopped: bool = False) -> Erasure:
        store, scratch = Directory(self.lake.root), self.root / "scratch"
        erase_standing(self.place.name, store, scratch, self.root, lambda: at, is_stopped=is_stopped)
        return self.erasures.every()[0]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def test_what_is_still_in_the_journal_is_erased_when_it_has_come(state: State) -> None:
    journal = state.root / "journal"
    writer = Writer(journal, "worker-0", "b9")
    writer.append(request(170_000, ANN))
    writer.append(request(170_001, BOB))
    first, second = state.look(ASKED_US), state.look(LATE_US)
    assert (first.requests, first.waits_for, second.ended_at) == (8, None, None)
    assert second.waits_for == ("worker-0-b9-000001.segment",)
    writer.close()
    shipper = Shipper(journal, state.lake.root, lambda: LATE_US)
    shipper.tick()
    shipper.close()
    assert holding(state.lake.root, ANN) != []
    last = state.look(LATE_US + 1)

    assert (last.requests, last.ended_at) == (9, LATE_US + 1)
    assert holding(state.lake.root, *WORDS) == []
    assert holding(state.root / ERASURES, ANN) == []


def test_a_stopped_installation_with_an_empty_journal_waits_for_nothing(state: State) -> None:
    done = state.look(ASKED_US, is_stopped=True)

    assert (done.requests, done.contents, done.ended_at) == (8, 3, ASKED_US)


def test_an_idle_worker_is_not_waited_for(state: State) -> None:
    writer = Writer(state.root / "journal", "worker-0", "b9")
    state.look(ASKED_US)
    done = state.look(LATE_US)
    writer.close()

    assert done.ended_at == LATE_US


def test_a_segment_that_cannot_be_read_is(state: State) -> None:
    (state.root / "journal").mkdir()
    (state.root / "journal" / "worker-0-b9-000001.segment").write_bytes(b"no head")
    state.look(LATE_US)

    assert state.look(LATE_US + 1).ended_at is None


def test_where_other_hosts_write_their_journals_are_waited_for(state: State) -> None:
    state.lake.lake.beat(Heartbeat(worker="worker-0", boot="b1", last_seq=1, at=ASKED_US, host="another", settled_to=1))
    state.look(LATE_US)

    assert state.look(LATE_US + 1).ended_at is None
    assert state.look(ASKED_US + round(ELSEWHERE_S * 1_000_000)).ended_at is not None


def test_a_compaction_looks_first_and_another_lake_is_left_alone(state: State, tmp_path: Path) -> None:
    other = ErasableLake(tmp_path / "other")
    compact(Place(url=str(other.root)), state.root)
    assert state.erasures.every()[0].looked_at is None
    compact(state.place, state.root)

    assert holding(state.lake.root, *WORDS) == []
    assert state.erasures.every()[0].requests == 8


def test_it_waits_for_a_compaction_to_end(state: State) -> None:
    with alone(state.lake.root / "merged"):
        with pytest.raises(CompactionRunningError):
            erase(state.place, state.root, wait_s=0.0)
        waiting = threading.Thread(target=erase, args=(state.place, state.root))
        waiting.start()
    waiting.join(30)

    assert state.erasures.every()[0].requests == 8


def test_the_consoles_process_looks_once_and_says_what_is_wrong(state: State) -> None:
    words = [sys.executable, "-m", "analytics.lake.erase", "--state-dir", str(state.root), "--lake"]
    subprocess.run([*words, str(state.lake.root)], check=True, timeout=120)
    assert state.erasures.every()[0].requests == 8

    failed = subprocess.run(
        [*words, str(state.root / "none")], capture_output=True, text=True, check=False, timeout=120
    )
    assert (failed.returncode, failed.stderr.startswith("there is no lake")) == (1, True)


DYING = """
import os, signal, sys
from pathlib import Path
from analytics.lake.directory import Directory
from analytics.lake.erase import erase_standing
state, left = Path(sys.argv[1]), int(sys.argv[2])
def trace(frame, event, argument):
    global left
    if "/analytics/" not in frame.f_code.co_filename:
        return None
    left -= event == "line"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace
sys.settrace(trace)
erase_standing(sys.argv[4], Directory(state / "lake"), state, state, lambda: int(sys.argv[3]), is_stopped=True)
sys.settrace(None)
print(int(sys.argv[2]) - left)
"""


def run_until(line: int, root: Path, name: str) -> tuple[int, str]:
    command = [sys.executable, "-c", DYING, str(root), str(line), str(ASKED_US), name]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("steps", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_a_look_that_is_killed_anywhere_ends_in_the_same_state(state: State, tmp_path: Path, steps: int) -> None:
    name = state.place.name
    shutil.copytree(state.root, tmp_path / "whole")
    status, lines = run_until(-1, tmp_path / "whole", name)
    assert status == 0
    expected = Erasures(tmp_path / "whole" / ERASURES).every()
    for step in range(steps):
        root = tmp_path / f"dead-{step}"
        shutil.copytree(tmp_path / "lake", root / "lake")
        Erasures(root / ERASURES).keep(erasure(name))
        assert run_until(int(lines) * (2 * step + 1) // (2 * steps), root, name)[0] == -9
        assert run_until(-1, root, name)[0] == 0

        assert Erasures(root / ERASURES).every() == expected
        assert holding(root, *WORDS) == []
        assert not [path for path in root.rglob("*.tmp") if path.is_file()]


@pytest.fixture(scope="module")
def object_port() -> Iterator[int]:
    with serving_objects() as port:
        yield port


def copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def test_objects_are_erased_as_files_are(state: State, tmp_path: Path, object_port: int) -> None:
    bucket = Bucket(f"t-{uuid.uuid4()}", object_port)
    bucket.ask("PUT")
    store, copies = bucket.store("/lake", tmp_path / "outbox"), tmp_path / "copies"
    store.prepare("incoming")
    names = [str(path.relative_to(state.lake.root)) for path in state.lake.root.rglob("*") if path.is_file()]
    for name in names:
        store.place(name, partial(copy, state.lake.root / name))
    state.erasures.keep(replace(state.erasures.every()[0], lake="s3://it"))
    hours_later = ASKED_US + round(ELSEWHERE_S * 1_000_000)
    erase_standing("s3://it", store, tmp_path / "near", state.root, lambda: hours_later)
    [done] = state.erasures.every()

    assert (done.requests, done.contents, done.ended_at is None) == (8, 3, False)
    for name in names:
        path = copies / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(name) or b"")
    assert holding(copies, *WORDS) == []
    assert holding(state.lake.root, *WORDS) != []
    assert json.loads(store.read("merged/manifest-000002.json") or b"{}")
