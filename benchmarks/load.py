"""Drive one server with wrk for a while, and read from the operating system what its processes spent."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import Server

_SCRIPT = Path(__file__).parent / "chat.lua"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CONNECTIONS = 32


@dataclass(frozen=True, kw_only=True)
class Load:
    """One round: requests answered, errors, CPU µs (user + system) per request of the serving processes."""

    server: str
    seconds: float
    requests: int
    errors: int
    cpu_us: float
    requests_per_s: float


def drive(server: Server, seconds: float) -> Load:
    """Send as much as 32 connections can for `seconds`; a second of warm-up is not counted."""
    _wrk(server, 1.0)
    before = _cpu_s(server.pids)
    output = _wrk(server, seconds)
    spent_s = _cpu_s(server.pids) - before
    requests = int(_found(r"(\d+) requests in", output))
    errors = sum(
        int(number) for number in re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |timeout )(\d+)", output)
    )
    return Load(
        server=server.name,
        seconds=seconds,
        requests=requests,
        errors=errors,
        cpu_us=spent_s / max(requests, 1) * 1e6,
        requests_per_s=requests / seconds,
    )


def _wrk(server: Server, seconds: float) -> str:
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds:g}s", "-s", str(_SCRIPT), server.url]
    environment = {**os.environ, "BENCH_KEY": server.key}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def _cpu_s(pids: tuple[int, ...]) -> float:
    return sum(_ticks(pid) for pid in pids) / _TICKS_PER_S


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        message = f"wrk did not say {pattern!r}: {text}"
        raise RuntimeError(message)
    return match[1]
