"""What one child is told and tells; `test_supervisor.py` has many of them, in a supervisor of their own."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.serve.running import Child, Running, free_name

PATIENCE_S = 30.0
TELL = "import os, sys, time; fd = int(sys.argv[sys.argv.index('--ready-fd') + 1])\n"
READY = f"{TELL}os.write(fd, b'.'); os.close(fd); time.sleep(60)"
UNREADY = f"{TELL}time.sleep(60)"


def child(program: str, **more: object) -> Child:
    given = {"name": "worker-0", "turn": 0, "grace_s": 5.0, "rolls": True, **more}
    return Child(command=[sys.executable, "-c", program], environment={}, **given)  # pyright: ignore[reportArgumentType] - a few fields of several types


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(program: str, name: str | None = None, **more: object) -> Running:
        one = Running(child(program, **more), name)
        started.append(one)
        one.start(time.monotonic())
        return one

    yield begin
    for one in started:
        if one.process is not None:
            one.process.kill()
            one.process.wait()


def until(is_so: Callable[[], object]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


def test_a_child_is_ready_when_it_says_so(start: Callable[..., Running]):
    one = start(READY)

    until(one.is_ready)
    assert one.is_ready()


def test_a_child_that_says_nothing_is_not_ready(start: Callable[..., Running]):
    assert not start(UNREADY).is_ready()


def test_a_child_that_ended_before_it_was_ready_is_not_ready(start: Callable[..., Running]):
    one = start("pass")
    until(one.has_ended)

    assert not one.is_ready()
    assert not one.is_ready()


def test_a_child_that_does_not_roll_is_ready_once_it_runs(start: Callable[..., Running]):
    assert not Running(child("pass", rolls=False)).is_ready()
    assert start("import sys, time; assert len(sys.argv) == 1; time.sleep(60)", rolls=False).is_ready()


def test_a_replacement_is_told_its_own_name(start: Callable[..., Running]):
    one = start("import sys; sys.exit(sys.argv[sys.argv.index('--name') + 1] != 'worker-7')", "worker-7")
    until(one.has_ended)

    assert one.process is not None
    assert one.process.returncode == 0


def test_the_grace_runs_from_the_first_time_it_is_told(start: Callable[..., Running]):
    one = start(UNREADY)
    before = one.killed_at
    one.tell_to_end(100.0)
    one.tell_to_end(200.0)

    assert before == math.inf
    assert one.killed_at == 105.0
    until(one.has_ended)


def test_what_never_started_has_ended():
    one = Running(child(UNREADY))
    one.tell_to_end(1.0)
    one.kill()

    assert one.has_ended()


def test_a_free_name_is_the_lowest_number_that_nobody_has():
    assert free_name(child(""), {"worker-0", "worker-1", "worker-3", "shipper"}) == "worker-2"
    assert free_name(child(""), {"worker-1"}) == "worker-0"
