"""What a worker's process says when it cannot start; `test_worker.py` runs it when it can."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from gateway.proxy.board import FOLDER
from tests.fakes.console import opened


def run(*words: str, fd: int | None = None) -> subprocess.CompletedProcess[str]:
    passed = [fd] if fd is not None else []
    return subprocess.run(
        [sys.executable, "-m", "gateway.proxy", *words],
        capture_output=True,
        text=True,
        check=False,
        pass_fds=passed,
        timeout=30,
        env={},
    )


def test_without_its_arguments_it_is_a_usage_error():
    done = run()

    assert done.returncode == 2
    assert "--name, --fd, --state-dir" in done.stderr


def test_a_worker_without_its_secret_says_so_in_one_line_and_ends(tmp_path: Path):
    with opened(tmp_path):
        pass
    (tmp_path / "secret").unlink()

    with socket.create_server(("127.0.0.1", 0)) as bound:
        words = ["--name", "worker-0", "--fd", str(bound.fileno()), "--state-dir", str(tmp_path)]
        done = run(*words, fd=bound.fileno())

    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert (line["level"], line["process"], line["event"]) == ("critical", "worker-0", "worker cannot start")
    assert "restore it" in line["reason"]


def test_a_socket_that_is_none_is_said(tmp_path: Path):
    done = run("--name", "worker-0", "--fd", "99", "--state-dir", str(tmp_path))

    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, line["event"], line["reason"]) == (
        1,
        "worker cannot start",
        "[Errno 9] Bad file descriptor",
    )


def test_a_worker_that_cannot_share_limits_says_so_and_goes_on(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FOLDER).write_text("no folder")
    done = run("--name", "worker-0", "--fd", "99", "--state-dir", str(tmp_path))

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["limits are divided, not shared", "worker cannot start"]
    assert "File exists" in lines[0]["reason"]
