from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.serve.running import Child
from gateway.serve.supervisor import Supervisor

PATIENCE_S = 20.0
RUN = """
import json, sys
from gateway.serve.running import Child
from gateway.serve.supervisor import Supervisor
from gateway.settings.logs import configure
configure("serve")
supervisor = Supervisor([Child(**child) for child in json.loads(sys.argv[1])])
supervisor.listen_to_signals()
supervisor.run()
print("over", flush=True)
"""
SAY = (
    "import os, sys, time, signal; diary = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
    "say = lambda words: os.write(diary, words.encode()); name = sys.argv[2]\n"
)
LIVE = "say(f'{name} lives {os.getpid()}\\n')\ntime.sleep(60)\n"
ENDS = f"{SAY}signal.signal(signal.SIGTERM, lambda *_: (say(f'{{name}} ends\\n'), os._exit(0)))\n{LIVE}"
SLOWLY = (
    f"{SAY}signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), say(f'{{name}} ends\\n'), os._exit(0)))\n{LIVE}"
)
NEVER = f"{SAY}signal.signal(signal.SIGTERM, lambda *_: say(f'{{name}} is told\\n'))\nwhile True:\n time.sleep(9)\n"
NEVER = NEVER.replace("while", "say(f'{name} lives {os.getpid()}\\n')\nwhile")


def child(diary: Path, name: str, program: str, *, turn: int = 0, grace_s: float = PATIENCE_S, **more: Any) -> Child:
    return Child(
        name=name,
        command=[sys.executable, "-c", program, str(diary), name],
        environment=more.pop("environment", {}),
        turn=turn,
        grace_s=grace_s,
        **more,
    )


class Supervised:
    """A supervisor in a process of its own, and the diary that its children write."""

    def __init__(self, diary: Path, children: Sequence[Child]) -> None:
        self.diary = diary
        words = [{name: getattr(one, name) for name in one.__struct_fields__} for one in children]
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, json.dumps(words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def lines(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def pids(self) -> list[int]:
        return [int(line.split()[2]) for line in self.lines() if " lives " in line]

    def log(self) -> list[dict[str, Any]]:
        """End everything, and return the log."""
        _, text = self.process.communicate(timeout=PATIENCE_S)
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Callable[[Sequence[Child]], Supervised]]:
    started: list[Supervised] = []

    def start(children: Sequence[Child]) -> Supervised:
        started.append(Supervised(tmp_path / "diary", children))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
        for pid in one.pids():
            end_leftover(pid, one.diary)


def end_leftover(pid: int, diary: Path) -> None:
    try:
        if str(diary).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return


def until(is_so: Callable[[], object]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_end_turn_by_turn(supervised: Callable[..., Supervised], tmp_path: Path):
    diary = tmp_path / "diary"
    running = supervised(
        [
            child(diary, "last", ENDS, turn=2),
            child(diary, "first", SLOWLY, turn=0),
            child(diary, "also-first", ENDS, turn=0),
            child(diary, "second", SLOWLY, turn=1),
        ]
    )
    until(lambda: len(running.pids()) == 4)
    running.process.terminate()
    running.process.communicate(timeout=PATIENCE_S)

    assert [line for line in running.lines() if line.endswith(" ends")] == [
        "also-first ends",
        "first ends",
        "second ends",
        "last ends",
    ]
    assert running.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_ends_everything_in_order(
    supervised: Callable[..., Supervised], tmp_path: Path, number: signal.Signals
):
    running = supervised([child(tmp_path / "diary", "one", ENDS)])
    until(running.pids)
    running.process.send_signal(number)
    said, log = running.process.communicate(timeout=PATIENCE_S)

    assert (said, log) == ("over\n", "")
    assert running.lines()[-1] == "one ends"


def test_a_dead_child_starts_again(supervised: Callable[..., Supervised], tmp_path: Path):
    running = supervised([child(tmp_path / "diary", "one", ENDS)])
    until(running.pids)
    os.kill(running.pids()[0], signal.SIGKILL)
    until(lambda: len(running.pids()) == 2)
    running.process.terminate()

    (line,) = running.log()
    assert (line["event"], line["child"], line["status"]) == ("a process ended; it is started again", "one", -9)


def test_a_child_that_always_dies_is_started_less_and_less_often(supervised: Callable[..., Supervised], tmp_path: Path):
    diary = tmp_path / "diary"
    running = supervised([child(diary, "one", f"{SAY}say('died\\n'); sys.exit(3)")])
    until(lambda: len(running.lines()) == 5)
    running.process.terminate()

    delays = [line["restart_in_s"] for line in running.log() if line["status"] == 3]
    assert delays[:4] == [0.0, 0.1, 0.2, 0.5]


def test_a_command_that_cannot_be_run_is_tried_again(supervised: Callable[..., Supervised], tmp_path: Path):
    missing = tmp_path / "missing"
    one = Child(name="one", command=[str(missing)], environment={}, turn=0, grace_s=1)
    running = supervised([one, child(tmp_path / "diary", "other", ENDS)])
    until(running.pids)
    missing.write_text(f"#!/bin/sh\necho found lives $$ >> {tmp_path / 'diary'}\nexec sleep 60\n")
    missing.chmod(0o700)
    until(lambda: len(running.pids()) == 2)
    running.process.terminate()

    events = {(line["event"], line["child"], line["reason"]) for line in running.log()}
    assert ("a process could not be started; it is tried again", "one", "No such file or directory") in events


def test_a_child_that_does_not_end_in_time_is_killed_and_the_next_turn_still_ends_well(
    supervised: Callable[..., Supervised], tmp_path: Path
):
    diary = tmp_path / "diary"
    running = supervised([child(diary, "stubborn", NEVER, grace_s=0.6), child(diary, "good", SLOWLY, turn=1)])
    until(lambda: len(running.pids()) == 2)
    running.process.terminate()

    (line,) = running.log()
    assert (line["event"], line["child"]) == ("a process did not end in time and was killed", "stubborn")
    assert [one for one in running.lines() if " lives " not in one] == ["stubborn is told", "good ends"]
    assert not any(lives(pid) for pid in running.pids())


def test_a_second_signal_ends_everything_at_once(supervised: Callable[..., Supervised], tmp_path: Path):
    diary = tmp_path / "diary"
    running = supervised([child(diary, "a", NEVER, grace_s=600), child(diary, "b", NEVER, grace_s=600, turn=1)])
    until(lambda: len(running.pids()) == 2)
    running.process.send_signal(signal.SIGINT)
    until(lambda: "a is told" in running.lines())
    running.process.send_signal(signal.SIGINT)

    assert [line["child"] for line in running.log()] == ["a", "b"]
    assert not any(lives(pid) for pid in running.pids())
    assert running.process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_children_are_told_to_end_when_the_supervisor_is_killed(supervised: Callable[..., Supervised], tmp_path: Path):
    running = supervised([child(tmp_path / "diary", name, ENDS) for name in ("one", "two")])
    until(lambda: len(running.pids()) == 2)
    running.process.kill()
    running.process.wait()

    until(lambda: {"one ends", "two ends"} <= set(running.lines()))


def test_what_children_print_stays_out_of_the_supervisors_output(supervised: Callable[..., Supervised], tmp_path: Path):
    program = f"print('noise', flush=True); import sys; assert sys.stdin.read() == ''\n{ENDS}"
    running = supervised([child(tmp_path / "diary", "one", program)])
    until(running.pids)
    running.process.terminate()

    assert running.process.communicate(timeout=PATIENCE_S)[0] == "over\n"


def test_a_terminals_ctrl_c_reaches_the_supervisor_alone(supervised: Callable[..., Supervised], tmp_path: Path):
    running = supervised([child(tmp_path / "diary", "one", ENDS)])
    until(running.pids)

    assert os.getpgid(running.pids()[0]) == running.pids()[0]


def test_a_child_has_the_environment_it_was_given_and_nothing_else(
    supervised: Callable[..., Supervised], tmp_path: Path
):
    program = f"{SAY}say(' '.join(sorted(set(os.environ) - {{'LC_CTYPE'}})) + '\\n')\n{LIVE}"
    running = supervised([child(tmp_path / "diary", "one", program, environment={"A_NAME": "1"})])
    until(running.pids)

    assert running.lines()[0] == "A_NAME"


def test_an_error_in_what_is_done_each_time_still_ends_the_children(tmp_path: Path):
    diary = tmp_path / "diary"
    supervisor = Supervisor([child(diary, "one", ENDS)])

    def fail() -> None:
        until(lambda: diary.exists() and diary.read_text())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        supervisor.run(fail)

    assert diary.read_text().splitlines()[-1] == "one ends"


def test_ending_what_never_started_does_nothing():
    supervisor = Supervisor([Child(name="one", command=["/nowhere"], environment={}, turn=0, grace_s=1)])

    supervisor.stop()
    supervisor.tend()
    supervisor.stop()


TELLS = (
    "import os, signal, sys, time\n"
    "name, fd = (sys.argv[sys.argv.index(word) + 1] for word in ('--name', '--ready-fd'))\n"
    "diary = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
    "say = lambda words: os.write(diary, words.encode())\n"
    "signal.signal(signal.SIGTERM, lambda *_: (say(f'{name} ends\\n'), os._exit(0)))\n"
    "say(f'{name} lives {os.getpid()}\\n'); os.write(int(fd), b'.'); time.sleep(60)\n"
)


def test_sighup_replaces_the_children_that_roll_and_ends_each_only_then(
    supervised: Callable[..., Supervised], tmp_path: Path
):
    diary = tmp_path / "diary"
    running = supervised([child(diary, "worker-0", TELLS, rolls=True), child(diary, "alone", ENDS, turn=1)])
    until(lambda: len(running.pids()) == 2)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: "worker-0 ends" in running.lines())
    told = [line.split(" lives")[0] for line in running.lines()]
    running.process.terminate()
    events = [line["event"] for line in running.log()]

    assert told[2:] == ["worker-1", "worker-0 ends"]
    assert running.lines()[-2:] == ["worker-1 ends", "alone ends"]
    assert events == ["rolling restart begins", "rolling restart is over"]


def test_everything_ends_in_the_middle_of_a_rolling_restart(supervised: Callable[..., Supervised], tmp_path: Path):
    silent = TELLS.replace("os.write(int(fd), b'.'); ", "")
    running = supervised([child(tmp_path / "diary", "worker-0", silent, rolls=True)])
    until(running.pids)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: len(running.pids()) == 2)
    running.process.terminate()
    running.process.communicate(timeout=PATIENCE_S)

    assert sorted(running.lines()[2:]) == ["worker-0 ends", "worker-1 ends"]
    assert running.process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="not exercised: terminals hang up differently elsewhere")
def test_a_closed_terminal_ends_everything(tmp_path: Path):
    diary = tmp_path / "diary"
    one = child(diary, "one", ENDS)
    words = json.dumps([{name: getattr(one, name) for name in one.__struct_fields__}])
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", RUN, words], stdin=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    until(lambda: diary.exists() and diary.read_text())
    os.close(ours)
    process.send_signal(signal.SIGHUP)

    assert process.wait(PATIENCE_S) == 0
    assert diary.read_text().splitlines()[-1] == "one ends"


def test_a_signal_at_any_moment_ends_it():
    """At each line of Python that is run in the first rounds, those of the standard library too."""
    program = (
        "import os, signal, sys; from gateway.serve.supervisor import Supervisor\n"
        "for nth in range(1, 30):\n"
        "    one, count = Supervisor([]), 0\n"
        "    one.listen_to_signals()\n"
        "    def trace(frame, event, _):\n"
        "        global count\n"
        "        count += event == 'line'\n"
        "        if event == 'line' and count == nth: signal.raise_signal(signal.SIGTERM)\n"
        "        return trace\n"
        "    sys.settrace(trace); one.run(); sys.settrace(None)\n"
    )

    subprocess.run([sys.executable, "-c", program], timeout=PATIENCE_S, check=True)
