"""Both sides of a handover in this process, over a real socket.

`tests/faults/test_restart.py` does it with all processes.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.serve.handover import PATIENCE_S, SOCKET_FILE, Estate, HandoverError, Inheritance, Offer, inherit
from gateway.serve.roll import Crew
from gateway.serve.running import Child, Running

WAIT_S = 30.0
PROGRAM = """
import os, sys, time
os.write(int(sys.argv[sys.argv.index("--ready-fd") + 1]), b".")
time.sleep(60)
"""


def child(name: str, program: str, *, rolls: bool) -> Child:
    return Child(
        name=name, command=[sys.executable, "-c", program], environment={}, turn=0, grace_s=WAIT_S, rolls=rolls
    )


def crew(*names: str) -> Crew:
    working = [Running(child(name, PROGRAM, rolls=True)) for name in names]
    return Crew([*working, Running(child("console", "import time; time.sleep(60)", rolls=False))])


def until(is_so: Callable[[], object]) -> None:
    given_up_at = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


class Stage:
    """A giving side with one worker and a console, and whoever takes over from it."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        self.folder, self.held = folder, held
        self.port = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.lock_file = folder / "lock"
        self.lock = self.lock_file.open("wb")
        held.callback(self.lock.close)
        self.estate = Estate(lock=self.lock.fileno(), gateway=self.port.fileno(), console=self.port.fileno())
        self.offer = Offer(folder, self.estate)
        self.offer.listen()
        held.callback(self.offer.close)
        self.crew = self.started(crew("worker-0"))

    def started(self, one: Crew) -> Crew:
        for running in one.running:
            running.start(0.0)
            self.held.callback(self.end, running)
        return one

    def end(self, running: Running) -> None:
        if running.process is not None:
            running.process.kill()
            running.process.wait()

    def take(self) -> Inheritance:
        """Take over, as far as the descriptors."""
        with ThreadPoolExecutor(1) as pool:
            taking = pool.submit(inherit, self.folder, WAIT_S)
            until(lambda: self.offer.step(self.crew, 0.0) or taking.done())
            inheritance = self.held.enter_context(taking.result())
        for one in inheritance.estate.descriptors:
            self.held.callback(os.close, one)
        return inheritance


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as held:
        yield Stage(tmp_path, held)


def test_without_a_port_of_metrics_none_goes_over(stage: Stage):
    assert stage.take().estate.metrics == -1


def test_a_port_of_metrics_goes_over(tmp_path: Path):
    with ExitStack() as held:
        stage = Stage(tmp_path, held)
        metrics = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        stage.offer.close()
        stage.offer = Offer(tmp_path, replace(stage.estate, metrics=metrics.fileno()))
        stage.offer.listen()
        held.callback(stage.offer.close)
        estate = stage.take().estate

        assert os.path.sameopenfile(estate.metrics, metrics.fileno())


def test_what_must_not_run_twice_has_ended_before_anything_goes_over(stage: Stage):
    console = stage.crew.running[1]
    inheritance = stage.take()

    assert console.has_ended()
    assert [one.name for one in stage.crew.running] == ["worker-0"]
    assert "worker-0" in inheritance.estate.names
    assert os.path.samestat(os.fstat(inheritance.estate.lock), os.fstat(stage.lock.fileno()))
    with socket.socket(fileno=os.dup(inheritance.estate.gateway)) as passed:
        assert passed.getsockname() == stage.port.getsockname()
    assert not os.get_inheritable(inheritance.estate.gateway)


def test_the_former_one_lets_go_when_the_new_workers_are_ready_and_its_names_are_free_when_it_has_ended(stage: Stage):
    inheritance = stage.take()
    new = stage.started(Crew(crew("worker-1").running, inheritance.estate.names))
    assert stage.offer.is_busy
    until(lambda: inheritance.step(new) and inheritance.is_taken)

    assert stage.lock_file.read_text() == f"{os.getpid()}\n"
    until(lambda: stage.offer.step(stage.crew, 1.0))
    assert inheritance.step(new)
    assert "worker-0" in new.names()
    stage.offer.close()
    until(lambda: inheritance.step(new) and "worker-0" not in new.names())
    assert inheritance.step(new)


def test_everything_is_taken_back_when_the_new_one_is_gone(stage: Stage, caplog: pytest.LogCaptureFixture):
    with stage.take(), caplog.at_level(logging.ERROR):
        pass
    until(lambda: stage.offer.step(stage.crew, 1.0) or not stage.offer.is_busy)

    assert [one.name for one in stage.crew.running] == ["worker-0", "console"]
    assert stage.crew.running[1].has_ended()
    stage.started(Crew(stage.crew.running[1:]))
    stage.take()


def test_one_that_goes_before_anything_went_over_changes_nothing(stage: Stage):
    with socket.socket(socket.AF_UNIX) as hasty:
        hasty.connect(str(stage.folder / SOCKET_FILE))
    until(lambda: not stage.offer.step(stage.crew, 1.0) and stage.offer.is_busy)
    until(lambda: not stage.offer.step(stage.crew, 1.0) and not stage.offer.is_busy)

    assert [one.name for one in stage.crew.running] == ["worker-0", "console"]


def test_a_new_one_that_takes_too_long_has_to_give_everything_back(stage: Stage):
    inheritance = stage.take()
    slow = Crew([Running(child("worker-1", PROGRAM, rolls=True))])
    assert inheritance.step(slow)

    assert not stage.offer.step(stage.crew, PATIENCE_S + 1)
    until(lambda: not inheritance.step(slow))
    assert stage.offer.is_busy


def test_one_that_ends_before_it_let_go_leaves_everything_to_the_new_one(stage: Stage):
    inheritance = stage.take()
    new = Crew([Running(child("worker-1", PROGRAM, rolls=True))], inheritance.estate.names)
    stage.offer.close()

    until(lambda: inheritance.step(new) and inheritance.is_taken)
    assert stage.lock_file.read_text() == f"{os.getpid()}\n"
    assert "worker-0" not in new.names()


def test_only_the_owner_may_take_over_and_a_new_offer_takes_the_place_of_a_former_one(stage: Stage):
    path = stage.folder / SOCKET_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    successor = Offer(stage.folder, Estate(lock=0, gateway=0, console=0))
    with stage.take():
        pass
    successor.listen()
    successor.close()
    with pytest.raises(HandoverError, match="Connection refused"):
        inherit(stage.folder)


def test_without_anybody_who_hands_over_it_is_said_what_to_do(tmp_path: Path):
    with pytest.raises(HandoverError, match=r"hands over .*; start without --takeover"):
        inherit(tmp_path)


def test_one_that_ends_instead_of_handing_over_is_nobody(tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / SOCKET_FILE))
        listening.listen()

        def refuse() -> None:
            listening.accept()[0].close()

        closing = threading.Thread(target=refuse)
        closing.start()
        with pytest.raises(HandoverError, match="start without --takeover"):
            inherit(tmp_path, WAIT_S)
        closing.join()
