"""What the console's process says when it cannot start; `test_process.py` runs it when it can."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path


def run(*words: str, fd: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.console", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, pass_fds=[fd] if fd else [], timeout=30, env={}
    )


def test_without_its_arguments_it_is_a_usage_error():
    done = run()

    assert done.returncode == 2
    assert "--fd, --state-dir, --config" in done.stderr


def test_what_keeps_it_from_starting_is_told_in_json_with_exit_code_1(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        fd = bound.fileno()
        done = run(
            *("--fd", str(fd), "--state-dir", str(tmp_path / "state"), "--config", str(tmp_path / "missing.toml")),
            fd=fd,
        )

    refused, critical = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert "there is no such file" in refused["reason"]
    assert (critical["level"], critical["process"], critical["event"]) == (
        "critical",
        "console",
        "console cannot start",
    )
