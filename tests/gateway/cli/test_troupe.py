from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.cli.troupe import BREAKING, Troupe, own_environment, together

TOLD_AT_A_FORK = """
import os, signal, sys
from pathlib import Path
from gateway.cli.troupe import Troupe

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
os.register_at_fork(before=lambda: [os.kill(os.getpid(), number) for number in (signal.SIGHUP, signal.SIGINT)])
troupe = Troupe()
try:
    troupe.start(("--help",), Path(sys.argv[1]))
except KeyboardInterrupt:
    troupe.end()
    print("broken off, and ended:", all(one.returncode is not None for one in troupe._started))
"""
NOBODY = ("simulate", "--port", "0", "--json")


def stuck(troupe: Troupe, folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that no signal reaches any more but the last one."""
    one = troupe.start(NOBODY, folder / "log")
    one.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, one.pid, os.WSTOPPED)
    return one


def test_processes_that_do_not_end_are_killed_and_all_share_one_deadline(tmp_path: Path):
    troupe = Troupe(end_s=1.0, again_s=0.5)
    running = [stuck(troupe, tmp_path) for _ in range(6)]
    began_s = time.monotonic()
    troupe.end()

    assert 1.5 <= time.monotonic() - began_s < 6.0
    assert [one.returncode for one in running] == [-signal.SIGKILL] * 6


def test_what_breaks_off_while_all_end_changes_nothing(tmp_path: Path):
    before = [signal.getsignal(number) for number in BREAKING]
    troupe = Troupe(end_s=1.0, again_s=0.5)
    stuck(troupe, tmp_path)
    again = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    again.start()
    troupe.end()
    again.join()

    assert [signal.getsignal(number) for number in BREAKING] == before


def test_whoever_was_started_has_ended_when_the_block_is_broken_off(tmp_path: Path):
    running: list[subprocess.Popen[bytes]] = []

    def broken_off() -> None:
        with together() as troupe:
            running.append(troupe.start(NOBODY, tmp_path / "log"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()

    assert running[0].returncode is not None


def test_what_breaks_off_while_a_process_is_started_is_not_lost(tmp_path: Path):
    told = subprocess.run(
        [sys.executable, "-c", TOLD_AT_A_FORK, tmp_path / "log"], capture_output=True, text=True, check=True, timeout=60
    )

    assert (told.stdout, told.stderr) == ("broken off, and ended: True\n", "")


def test_one_of_them_may_end_before_the_others(tmp_path: Path):
    with together() as troupe:
        first, other = (troupe.start(NOBODY, tmp_path / "log") for _ in range(2))
        troupe.end(first, by=signal.SIGKILL)

        assert first.returncode == -signal.SIGKILL
        assert other.poll() is None
    assert other.returncode is not None


def test_the_commands_of_the_story_never_reach_another_installation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TURNOUT_URL", "http://elsewhere")
    monkeypatch.setenv("ORDINARY", "x")

    assert "TURNOUT_URL" not in own_environment()
    assert own_environment()["ORDINARY"] == "x"
