"""`turnout demo`, run as a newcomer runs it; and its table, computed once more from the files that it keeps."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.serve.demo import ROLLOUT
from tests.fakes.recomputation import read_lake, recompute, same

log = logging.getLogger("acceptance")
TURNOUT = (sys.executable, "-m", "gateway")


def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a person whose shell speaks to another installation."""
    elsewhere = {"TURNOUT_URL": "http://127.0.0.1:9", "TURNOUT_KEY": "tn_admin_x", "TURNOUT_STATE_DIR": "/nowhere"}
    return {**os.environ, **elsewhere, "TMPDIR": str(tmp_path)}


def without(ignored: Sequence[signal.Signals], *words: str) -> list[str]:
    """Return a command that begins with signals ignored, as those of a script's background do."""
    names = "".join(f"signal.signal({number:d}, signal.SIG_IGN); " for number in ignored)
    return [sys.executable, "-c", f"import os, signal, sys; {names}os.execv(sys.argv[1], sys.argv[1:])", *words]


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of living processes that name a folder."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def turnout(*words: str) -> str:
    return subprocess.run([*TURNOUT, *words], capture_output=True, text=True, check=True, timeout=60).stdout


def played(story: str, folder: Path) -> str:
    """Play a story to its end, and return what it told."""
    command = [*TURNOUT, "demo", "--story", story, "--keep", str(folder)]
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=840, env=environment(folder.parent)
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert f'Story "{story}" ended as declared' in told.stdout
    assert "the audit chain is whole" in told.stdout
    assert " missing, 0 twice." in told.stdout
    assert not processes_in(folder)
    return told.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_equal_candidate_reaches_ga_and_every_number_of_its_table_recomputes_from_the_lake(tmp_path: Path):
    kept = tmp_path / "kept"
    told = played("equal", kept)

    moves = [line for line in told.splitlines() if "The controller" in line]
    assert [words in line for words, line in zip(("canary", "beta", "general availability"), moves, strict=True)]
    again = ("report", "compare", "--step", "2", "--direct", "--state-dir", str(kept))
    table, _, _ = turnout(*again).partition("Everything that")
    assert table.strip() in told
    found = json.loads(turnout(*again, "--json"))
    assert found["base"]["ratings"] > 0
    assert list(same(found, recompute(*read_lake(kept / "lake"), ROLLOUT, 1, 2))) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", ["slow", "failing"])
def test_a_candidate_that_is_worse_is_rolled_back_in_canary(tmp_path: Path, story: str):
    told = played(story, tmp_path / "kept")

    assert "The controller rolls back: 30 % > 0 %" in told
    assert "The controller begins beta" not in told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_candidate_that_users_like_less_never_leaves_beta(tmp_path: Path):
    told = played("unhappy", tmp_path / "kept")

    assert "The controller begins beta" in told
    assert "general availability: " not in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "ignored"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGTERM, (signal.SIGINT,)), (signal.SIGINT, (signal.SIGINT,))],
    ids=["interrupted", "told", "told-in-a-scripts-background", "interrupted-in-a-scripts-background"],
)
def test_broken_off_it_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals, ignored: Sequence[signal.Signals]
):
    demo = subprocess.Popen(
        without(ignored, *TURNOUT, "demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        process_group=0,
    )
    with demo:
        assert demo.stdout is not None
        while b"of the answers are rated" not in demo.stdout.readline():
            assert demo.poll() is None
        assert processes_in(tmp_path)
        began_s = time.monotonic()
        os.killpg(demo.pid, number)
        demo.stdout.read()
        assert demo.wait(90) == 130
        log.warning("broken off by %s: ended after %.1f s", number.name, time.monotonic() - began_s)
        assert demo.stderr is not None
        assert "the demonstration was broken off; everything of it was removed\n" in demo.stderr.read().decode()
    given_up_at = time.monotonic() + 20
    while processes_in(tmp_path) and time.monotonic() < given_up_at:
        time.sleep(0.1)

    assert processes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_taken(tmp_path: Path):
    told = subprocess.run([*TURNOUT, "demo", "--keep", str(tmp_path)], capture_output=True, text=True, check=False)

    assert told.returncode == 2
    assert "--keep" in told.stderr
