from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout.notice import Notice
from rollout.notify.heartbeat import HEARTBEAT_FILE, Heartbeat, read_sign, silence, write_sign


@dataclass(kw_only=True)
class Console:
    """A controller's sign of life, on clocks of the test's; it keeps what is announced."""

    path: Path
    now_s: float = 100.0
    wall_us: int = 5_000_000
    told: list[Notice] = field(default_factory=list)

    def announce(self, notice: Notice) -> None:
        self.told.append(notice)

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.path, self, silent_s=60.0, clock=lambda: self.now_s, now_us=lambda: self.wall_us)


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(path=tmp_path / "run" / HEARTBEAT_FILE)


def test_a_silence_is_told_once_and_its_end_too(console: Console):
    heartbeat = console.heartbeat()
    heartbeat.beat()
    for console.now_s in (159.9, 160.0, 161.0, 500.0):
        heartbeat.look()

    [silent] = console.told
    assert (silent.what, silent.mark) == ("controller_silent", "5000000")
    assert "has decided nothing for 60 s" in silent.words
    heartbeat.beat()
    heartbeat.look()
    assert [notice.what for notice in console.told] == ["controller_silent", "controller_back"]
    console.now_s = 560.0
    heartbeat.look()
    assert len(console.told) == 3


def test_nothing_is_expected_before_the_first_sign(console: Console):
    console.now_s = 1e6
    console.heartbeat().look()

    assert console.told == []


def test_a_clock_on_the_wall_that_jumps_is_no_silence(console: Console):
    heartbeat = console.heartbeat()
    for console.wall_us in (5_000_000, 172_805_000_000, 0):
        heartbeat.beat()
        heartbeat.look()
        console.now_s += 5.0

    assert console.told == []


def test_the_sign_is_written_once_a_second(console: Console):
    heartbeat = console.heartbeat()
    heartbeat.beat()
    console.wall_us, console.now_s = 6_000_000, 100.5
    heartbeat.beat()
    assert read_sign(console.path) == "5000000"

    console.now_s = 101.0
    heartbeat.beat()
    assert read_sign(console.path) == "6000000"


def test_whoever_notices_the_same_silence_tells_of_the_same_event():
    assert silence("5", 60.0, 1).identity == silence("5", 90.0, 2).identity
    assert silence("5", 60.0, 1).identity != silence("6", 60.0, 1).identity


def break_folder(path: Path) -> None:
    path.parent.write_text("in the way")


def leave(path: Path) -> None:
    del path


@pytest.mark.parametrize("prepare", [break_folder, leave])
def test_a_sign_that_is_not_there_is_none_and_one_that_cannot_be_written_stops_nobody(
    console: Console, prepare: Callable[[Path], None]
):
    prepare(console.path)
    assert read_sign(console.path) is None
    console.heartbeat().beat()


def test_a_sign_replaces_the_last_one(tmp_path: Path):
    write_sign(tmp_path / "sign", "1")
    write_sign(tmp_path / "sign", "22")

    assert read_sign(tmp_path / "sign") == "22"
    assert [path.name for path in tmp_path.iterdir()] == ["sign"]
