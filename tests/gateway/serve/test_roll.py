"""Rolling restarts of real processes; their clock is the test's."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.serve.roll import PATIENCE_S, Crew, Roll
from gateway.serve.running import Child, Running

WAIT_S = 30.0
PROGRAM = """
import os, pathlib, signal, sys, time
name, fd = (sys.argv[sys.argv.index(word) + 1] for word in ("--name", "--ready-fd"))
signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if not pathlib.Path("slow").exists() else None)
behaviour = pathlib.Path("behaviour").read_text()
if behaviour == "dies":
    sys.exit(3)
if behaviour == "ready":
    os.write(int(fd), b".")
time.sleep(60)
time.sleep(60)
"""
ALONE = "import time; time.sleep(60)"


class Stage:
    """Two children that roll and one that does not, in a folder that tells how new ones behave."""

    def __init__(self, folder: Path) -> None:
        (folder / "program.py").write_text(f"import os; os.chdir({str(folder)!r})\n{PROGRAM}")
        self.folder = folder
        self.behave("ready")
        rolling = [sys.executable, str(folder / "program.py")]
        self.crew = Crew(
            [
                *(Running(self.child(f"worker-{number}", rolling, rolls=True)) for number in range(2)),
                Running(self.child("console", [sys.executable, "-c", ALONE], rolls=False)),
            ]
        )
        self.first = list(self.crew.running)
        self.seen: list[Running] = []
        for one in self.crew.running:
            one.keep(0.0)
        until(lambda: all(one.is_ready() for one in self.crew.running))

    def child(self, name: str, command: list[str], *, rolls: bool) -> Child:
        return Child(name=name, command=command, environment={}, turn=0, grace_s=5.0, rolls=rolls)

    def behave(self, how: str) -> None:
        (self.folder / "behaviour").write_text(how)

    def names(self) -> list[str]:
        return [one.name for one in self.crew.running]

    def until_over(self, roll: Roll, now: float = 0.0) -> None:
        until(lambda: roll.step(now))

    def end(self) -> None:
        for one in (*self.first, *self.crew.running, *self.crew.leaving):
            if one.process is not None:
                one.process.kill()
                one.process.wait()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path)
    yield one
    one.end()


def until(is_so: Callable[[], object]) -> None:
    given_up_at = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


def test_each_child_that_rolls_is_replaced_and_then_told_to_end(stage: Stage):
    stage.until_over(Roll(stage.crew))

    assert stage.names() == ["worker-2", "worker-3", "console"]
    assert [one.name for one in stage.crew.leaving] == ["worker-0", "worker-1"]
    assert stage.crew.running[2] is stage.first[2]
    until(lambda: stage.crew.tend_leaving(0.0) or not stage.crew.leaving)


def test_names_that_nobody_has_any_more_are_given_again(stage: Stage):
    stage.until_over(Roll(stage.crew))
    until(lambda: stage.crew.tend_leaving(0.0) or not stage.crew.leaving)
    stage.until_over(Roll(stage.crew))

    assert stage.names()[:2] == ["worker-0", "worker-1"]


def test_one_that_is_still_at_work_keeps_its_name_and_its_grace(stage: Stage):
    (stage.folder / "slow").touch()
    stage.until_over(Roll(stage.crew))
    stage.crew.tend_leaving(4.9)
    assert stage.crew.names() == {"worker-0", "worker-1", "worker-2", "worker-3", "console"}

    stage.crew.tend_leaving(5.1)
    assert stage.crew.names() == {"worker-2", "worker-3", "console"}


def test_a_replacement_that_dies_leaves_everything_as_it_was(stage: Stage, caplog: pytest.LogCaptureFixture):
    stage.behave("dies")
    with caplog.at_level(logging.ERROR):
        stage.until_over(Roll(stage.crew))

    assert stage.names() == ["worker-0", "worker-1", "console"]
    assert not any(one.has_ended() for one in stage.crew.running)
    assert [record.message for record in caplog.records] == ["rolling restart given up; these stay as they are"]


def test_a_replacement_that_never_gets_ready_is_killed(stage: Stage):
    stage.behave("hangs")
    roll = Roll(stage.crew)
    assert not roll.step(0.0)
    assert not roll.step(PATIENCE_S - 1)

    assert roll.step(PATIENCE_S + 1)
    assert stage.names() == ["worker-0", "worker-1", "console"]


def test_a_replacement_that_cannot_be_started_ends_the_restart(stage: Stage, caplog: pytest.LogCaptureFixture):
    missing = Running(stage.child("worker-0", [str(stage.folder / "missing")], rolls=True))

    assert Roll(Crew([missing])).step(0.0)
    assert caplog.records[-1].__dict__["reason"].endswith("could not be started: No such file or directory")


def test_a_replacement_that_is_not_ready_ends_with_everything(stage: Stage):
    stage.behave("hangs")
    roll = Roll(stage.crew)
    roll.step(0.0)
    roll.end(0.0)

    assert [one.name for one in stage.crew.leaving] == ["worker-2"]
    until(stage.crew.leaving[0].has_ended)
