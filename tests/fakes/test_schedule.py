"""The same seed gives the same faults, and a failing run says its seed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pytest

from tests.fakes.link import Fault, linked
from tests.fakes.schedule import SEED_VARIABLE, Happening, draw_happenings, play, seed_of
from tests.fakes.upstream import echoing, serving

ROOT = Path(__file__).parent.parent.parent
FAILING = """
from tests.fakes.schedule import fault_seed
def test_that_fails(fault_seed):
    assert fault_seed is None
"""


def test_the_same_seed_gives_the_same_schedule():
    assert draw_happenings(7, count=50) == draw_happenings(7, count=50)


def test_another_seed_gives_another_schedule():
    assert draw_happenings(7, count=5) != draw_happenings(8, count=5)


def test_every_fault_comes_up_in_both_directions_and_one_after_the_other():
    happenings = draw_happenings(1, count=200)

    ends_at = [one.at_s + one.lasts_s for one in happenings]
    assert all(end <= after.at_s for end, after in zip(ends_at, happenings[1:], strict=False))
    for faults in ([one.upward for one in happenings], [one.downward for one in happenings]):
        kinds = {field.name for field in fields(Fault) for one in faults if getattr(one, field.name) != field.default}
        assert kinds == {field.name for field in fields(Fault)}


def test_the_environment_names_the_seed_and_else_it_is_new():
    assert seed_of({SEED_VARIABLE: "42"}) == 42
    assert seed_of({}) != seed_of({})


def test_a_schedule_is_played_at_its_time_and_leaves_a_clean_link():
    with serving(echoing) as upstream, linked(upstream.port) as link, ThreadPoolExecutor(1) as pool:
        played = pool.submit(play, [Happening(at_s=0.0, lasts_s=0.6, downward=Fault(swallows=True))], link)
        time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(5)
            played.result()
            assert connection.recv(8) == b"HTTP/1.1"


def test_a_run_that_fails_prints_its_seed_and_plays_it_again(tmp_path: Path):
    (tmp_path / "test_failing.py").write_text(FAILING)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {SEED_VARIABLE: "4711", "PYTHONPATH": str(ROOT)}

    ended = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert f"Play this again with {SEED_VARIABLE}=4711" in ended.stdout
