"""The walls, each from inside: a process builds them and then tries what it must not be able to do.

These processes know nothing of their surroundings, so they are not measured for coverage: they could not write it down.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analytics.warehouse.walls import landlock_version

BUILD = """
import os, socket, sys, threading
from analytics.warehouse.walls import Bounds, close_in, confine
empty_network = confine(Bounds(memory_bytes=2**31, cpu_s={cpu_s}))
landlock = close_in()
def tried(act):
    try:
        return repr(act())
    except BaseException as error:
        return type(error).__name__
"""


def told(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", program, *words]
    return subprocess.run(command, env={}, capture_output=True, text=True, check=False, timeout=60)


def inside(tmp_path: Path, act: str, *, cpu_s: int = 20) -> subprocess.CompletedProcess[str]:
    return told(BUILD.format(cpu_s=cpu_s) + act, str(tmp_path))


def is_alive(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def require_landlock() -> None:
    if not landlock_version():
        pytest.skip("not exercised: this kernel has no Landlock")


@pytest.mark.parametrize(
    "act",
    [
        "open(sys.argv[1] + '/secret').read()",
        "open('/proc/self/environ').read()",
        "open(sys.argv[1] + '/new', 'w')",
        "open(sys.argv[1] + '/secret', 'a')",
        "os.listdir(sys.argv[1])",
        "os.unlink(sys.argv[1] + '/secret')",
        "os.mkdir(sys.argv[1] + '/new')",
        "os.rename(sys.argv[1] + '/secret', sys.argv[1] + '/new')",
        "os.symlink('secret', sys.argv[1] + '/new')",
        "os.truncate(sys.argv[1] + '/secret', 0)",
        "os.execv('/bin/true', ['true'])",
    ],
)
def test_no_file_can_be_read_written_made_or_run(tmp_path: Path, act: str):
    require_landlock()
    if "truncate" in act and landlock_version() < 3:
        pytest.skip("not exercised: this kernel's Landlock does not know of cutting files")
    (tmp_path / "secret").write_text("canary")

    found = inside(tmp_path, f"print(tried(lambda: {act}))")

    assert found.stdout.strip() == "PermissionError", found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").read_text() == "canary"


def test_no_address_can_be_reached_by_tcp(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        act = f"print(landlock, empty_network, tried(lambda: socket.create_connection({listener.getsockname()})))"
        landlock, empty_network, error = inside(tmp_path, act).stdout.split()

    if int(landlock) < 4 and empty_network == "False":
        pytest.skip("not exercised: neither Landlock governs TCP here nor is there an empty network")
    assert error in {"PermissionError", "OSError"}


def test_nothing_arrives_by_udp_where_the_network_is_empty(tmp_path: Path):
    act = """
wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(empty_network, tried(lambda: wire.sendto(b'canary', ('127.0.0.1', 9))))
"""
    found = inside(tmp_path, act)

    empty_network, sent = found.stdout.split()
    if empty_network == "False":
        pytest.skip("not exercised: no network namespace may be made here")
    assert sent == "OSError"


def test_nothing_can_be_written_even_without_landlock(tmp_path: Path):
    program = (
        "import sys; from analytics.warehouse.walls import Bounds, confine; "
        "confine(Bounds(memory_bytes=2**31, cpu_s=20)); "
        "open(sys.argv[1] + '/new', 'wb', buffering=0).write(b'canary')"
    )
    found = told(program, str(tmp_path))

    assert "File too large" in found.stderr
    assert (tmp_path / "new").read_bytes() == b""


def test_memory_ends_where_it_was_said(tmp_path: Path):
    assert inside(tmp_path, "print(tried(lambda: bytes(2**31)))").stdout.strip() == "MemoryError"


def test_processor_time_ends_where_it_was_said(tmp_path: Path):
    assert inside(tmp_path, "while True: pass", cpu_s=1).returncode < 0


def test_a_process_with_several_threads_has_no_wall_around_its_files(tmp_path: Path):
    program = """
import threading, time
from analytics.warehouse.walls import close_in
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
print(close_in())
"""
    found = told(program)

    assert found.stdout.strip() == "0"


@pytest.mark.skipif(sys.platform != "linux", reason="not exercised: only Linux tells a process of its parent's death")
def test_a_confined_process_ends_with_its_parent():
    inner = """
import sys, time
from analytics.warehouse.walls import Bounds, confine
confine(Bounds(memory_bytes=2**31, cpu_s=20))
print('ready', flush=True)
time.sleep(60)
"""
    outer = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-I', '-c', {inner!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
"""
    stat = Path(f"/proc/{int(told(outer).stdout)}/stat")
    give_up_s = time.monotonic() + 20
    while is_alive(stat) and time.monotonic() < give_up_s:
        time.sleep(0.02)

    assert not is_alive(stat)
