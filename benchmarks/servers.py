"""The servers that are measured, and the upstream that both send to: all on loopback, ended when their block ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.upstream import whole_answer

_READY_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server under test: `url` without path, the key to send, the serving processes' ids."""

    name: str
    url: str
    key: str
    pids: tuple[int, ...]


@contextmanager
def whole_upstream(folder: Path) -> Generator[Server]:
    """Give a model server that answers at once with 1.4 KB: nginx, so that it is never what limits."""
    port = _free_port()
    location = f"location / {{ default_type application/json; return 200 '{whole_answer()}'; }}"
    with _nginx(folder / "whole", f"server {{ listen 127.0.0.1:{port}; {location} }}") as process:
        yield Server(name="direct", url=f"http://127.0.0.1:{port}", key="-", pids=_children(process.pid))


@contextmanager
def streaming_upstream(folder: Path) -> Generator[Server]:
    """Give a model server that streams as a query asks."""
    port = folder / "streaming-port"
    with _ended(subprocess.Popen([sys.executable, "-m", "benchmarks.upstream", str(port)])) as process:
        yield Server(name="direct", url=f"http://127.0.0.1:{_awaited(port)}", key="-", pids=(process.pid,))


@contextmanager
def peers(folder: Path, upstream: Server) -> Generator[tuple[Server, Server]]:
    """Give what is compared: nginx and Turnout, both before the same upstream."""
    folder.mkdir()
    with nginx_proxy(folder, upstream.url) as nginx, turnout(folder, upstream.url) as ours:
        yield nginx, ours


@contextmanager
def nginx_proxy(folder: Path, upstream: str) -> Generator[Server]:
    """Give nginx as a reverse proxy with `split_clients`: the least that a split can cost."""
    port = _free_port()
    target = upstream.removeprefix("http://")
    config = f"""
    upstream base {{ server {target}; keepalive 1024; }}
    upstream candidate {{ server {target}; keepalive 1024; }}
    split_clients "$request_id" $arm {{ 10% candidate; * base; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://$arm; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
        }}
    }}"""
    with _nginx(folder / "proxy", config) as process:
        yield Server(name="nginx", url=f"http://127.0.0.1:{port}", key="-", pids=_children(process.pid))


@contextmanager
def turnout(folder: Path, upstream: str) -> Generator[Server]:
    """Give `turnout serve` with one worker and everything on; its workers' CPU alone is counted."""
    state = folder / "turnout"
    state.mkdir()
    config = folder / "turnout.toml"
    config.write_text(f"""
[upstreams.mock]
base_url = "{upstream}/v1"
[models.base]
upstream = "mock"
price = {{ input = 0.15, output = 0.6 }}
[models.candidate]
upstream = "mock"
price = {{ input = 0.3, output = 1.2 }}
[rollouts.sales-companion]
base = "base"
candidate = "candidate"
""")
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config), "--state-dir", str(state)]
    command += ["--port", "0", "--console-port", "0", "--workers", "1"]
    with _ended(subprocess.Popen(command, stdout=subprocess.PIPE)) as process:
        addresses = json.loads(_awaited(state / "addresses.json"))
        _wait_until_ready(f"{addresses['gateway']}/readyz")
        keys = dict(line.split()[:2] for line in (state / "first-keys").read_text().splitlines())
        _set_percent(addresses["console"], keys["admin"])
        workers = tuple(pid for pid in _children(process.pid) if "gateway.proxy" in _command(pid))
        yield Server(name="turnout", url=addresses["gateway"], key=keys["application"], pids=workers)


def _set_percent(console: str, key: str) -> None:
    _wait_until_ready(f"{console}/healthz")
    url = f"{console}/api/v1/rollouts/sales-companion/percent"
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    body = json.dumps({"percent": 10, "version": 1}).encode()
    urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers, method="PUT")).close()


@contextmanager
def _nginx(folder: Path, http: str) -> Generator[subprocess.Popen[bytes]]:
    folder.mkdir()
    config = folder / "nginx.conf"
    paths = "".join(f"{kind}_temp_path {folder}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    events = "events { worker_connections 4096; }"
    head = f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {events}"
    config.write_text(
        f"{head} http {{ access_log off; client_body_buffer_size 1m; keepalive_requests 10000000; {paths} {http} }}"
    )
    command = ["nginx", "-c", str(config), "-p", str(folder)]
    with _ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)) as process:
        _awaited(folder / "pid")
        yield process


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Generator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _children(pid: int) -> tuple[int, ...]:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if found:
            return tuple(int(child) for child in found)
        time.sleep(0.05)
    message = f"process {pid} has no children"
    raise RuntimeError(message)


def _command(pid: int) -> Sequence[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def _awaited(path: Path) -> str:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.05)
    message = f"{path} did not appear"
    raise RuntimeError(message)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    message = f"{url} did not answer"
    raise RuntimeError(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
