"""Drive one server with wrk for a while: as much as it can take."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from benchmarks.accounting import cpu_s
from benchmarks.measure import Figures
from benchmarks.servers import Server

_SCRIPT = Path(__file__).parent / "chat.lua"
_CONNECTIONS = 32
_WARM_UP_S = 1.0


def saturated(server: Server, seconds: float, body_kib: int) -> Figures:
    """Send as much as 32 connections can for `seconds`; a second of warm-up is not counted."""
    _wrk(server, _WARM_UP_S, body_kib)
    before_s = cpu_s(server.pids)
    output = _wrk(server, seconds, body_kib)
    spent_s = cpu_s(server.pids) - before_s
    requests = int(_found(r"(\d+) requests in", output))
    refused = re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |timeout )(\d+)", output)
    return {
        "cpu_us": spent_s / max(requests, 1) * 1e6,
        "per_s": requests / seconds,
        "errors": sum(int(number) for number in refused),
    }


def _wrk(server: Server, seconds: float, body_kib: int) -> str:
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds:g}s", "-s", str(_SCRIPT), server.url]
    environment = {**os.environ, "BENCH_KEY": server.key, "BENCH_BODY_KIB": str(body_kib)}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        message = f"wrk did not say {pattern!r}: {text}"
        raise RuntimeError(message)
    return match[1]
