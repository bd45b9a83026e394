"""A telemetry backend that is away, silent, or always refuses: nobody notices, and what is lost is counted."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import CONFIG, PATIENCE_S, Installation, installed
from tests.acceptance.rounds import beating
from tests.fakes.otlp_backend import otlp_backend
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import closed_port

PER_S = 100.0
TELEMETRY = '\n[telemetry]\notlp_url = "{url}"\nsample = 1\nmetrics_every_s = 1\n'
GROWTH_MIB = 16.0
"""What the shipper may grow by once its waiting room is full."""


@contextmanager
def absent() -> Iterator[str]:
    yield f"http://127.0.0.1:{closed_port()}"


@contextmanager
def silent() -> Iterator[str]:
    """Connections are taken by the system, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def failing() -> Iterator[str]:
    with otlp_backend() as backend:
        backend.status = 500
        yield backend.url


def memory_mib(one: Installation) -> float:
    """Return what the shipper has in memory now."""
    status = Path(f"/proc/{one.pid('shipper')}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def pushed(one: Installation) -> dict[tuple[str, str], float]:
    """Return how many requests' spans and metrics' pushes met which fate."""
    url = json.loads((one.state_dir / "addresses.json").read_text())["metrics"] + "/metrics"
    text = httpx.get(url, trust_env=False, verify=PLAIN, timeout=PATIENCE_S).raise_for_status().text
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("turnout_telemetry_pushed_total{"):
            labels = dict(re.findall(r'(\w+)="(\w+)"', line))
            found[labels["signal"], labels["fate"]] = float(line.rpartition(" ")[2])
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="not exercised: this system has no /proc")
@pytest.mark.timeout(4_200)
@pytest.mark.parametrize("minutes", [2, pytest.param(60, id="an hour")])
@pytest.mark.parametrize(("backend", "fate"), [(absent, "dropped"), (silent, "dropped"), (failing, "refused")])
def test_requests_go_on_memory_stays_flat_and_what_is_lost_is_counted(
    tmp_path: Path, backend: Callable[[], AbstractContextManager[str]], fate: str, minutes: int
):
    users = [f"user-{number}" for number in range(16)]
    rounds = minutes * 2
    with backend() as url, installed(tmp_path, config=CONFIG + TELEMETRY.format(url=url)) as one:
        with beating([one], users) as beat:
            beat.round(60, PER_S)
            before_mib = memory_mib(one)
            for _ in range(rounds - 2):
                beat.round(30, PER_S)
            grown_mib = memory_mib(one) - before_mib
            assert not [head for head in beat.heads if not head.startswith(b"http/1.1 200")]
            sent = len(beat.heads)
        lost = pushed(one).get(("traces", fate), 0)
        found = one.settle()
        told = f"{sent} requests, {lost:.0f} {fate}, {before_mib:.1f} MiB grew by {grown_mib:+.1f} MiB"
        logging.getLogger("outage").info(told)
        assert lost >= 0.4 * sent, told
        assert grown_mib <= GROWTH_MIB, told
        assert (found.sound, found.records) == (True, sent), told
