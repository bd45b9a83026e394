"""`turnout demo`, run as a newcomer runs it; and its table, computed once more from the files that it keeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.serve.demo import ROLLOUT
from tests.fakes.recomputation import read_lake, recompute, same

TURNOUT = (sys.executable, "-m", "gateway")
SMALL = ("--rows", "100", "--users", "80")


def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a person whose shell speaks to another installation."""
    elsewhere = {"TURNOUT_URL": "http://127.0.0.1:9", "TURNOUT_KEY": "tn_admin_x", "TURNOUT_STATE_DIR": "/nowhere"}
    return {**os.environ, **elsewhere, "TMPDIR": str(tmp_path)}


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


def test_the_demo_tells_the_story_and_every_number_of_its_table_recomputes_from_the_lake(tmp_path: Path):
    kept = tmp_path / "kept"
    command = [*TURNOUT, "demo", *SMALL, "--keep", str(kept)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110, env=environment(tmp_path))

    assert told.returncode == 0, told.stdout + told.stderr
    steps = [line.split()[2:4] for line in told.stdout.splitlines() if line.startswith("   $ turnout ")]
    assert steps == [["rollout", "set"]] * 3 + [["report", "compare"], ["lake", "verify"]] + [
        ["report", "compare"],
        ["lake", "verify"],
    ]
    assert "400 requests recorded, 0 missing, 0 twice." in told.stdout
    assert not processes_in(kept)
    again = ("report", "compare", "--step", "3", "--direct", "--state-dir", str(kept))
    table, _, _ = turnout(*again).partition("Everything that")
    assert table.strip() in told.stdout
    found = json.loads(turnout(*again, "--json"))
    assert found["base"]["requests"] + found["candidate"]["requests"] == 200
    assert found["base"]["ratings"] > 0
    assert list(same(found, recompute(*read_lake(kept / "lake"), ROLLOUT, 1, 3))) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broken_off_it_leaves_no_process_and_no_file(tmp_path: Path, number: signal.Signals):
    demo = subprocess.Popen(
        [*TURNOUT, "demo", "--rows", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        process_group=0,
    )
    with demo:
        assert demo.stdout is not None
        while b"a fifth of the answers" not in demo.stdout.readline():
            assert demo.poll() is None
        assert processes_in(tmp_path)
        os.killpg(demo.pid, number)
        demo.stdout.read()
        assert demo.wait(90) == 130
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
