"""Crowds of callers that take their time, at the limits that are the default: bounded, and nobody else notices them."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import CANDIDATE, CONFIG, SIMULATED, Installation, installed, until
from tests.bad_input.front import BODY
from tests.faults.conftest import LONG
from tests.faults.slow_callers import ENDLESS, HEAD, connected, dripping

pytestmark = pytest.mark.slow

NEVER_READ = 500
BYTE_A_SECOND = 1000
ASKED_PER_S = 40
LASTS_S = 15
IN_TIME_S = 2.0
STUCK_MIB = 4

_log = logging.getLogger(__name__)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Installation]:
    simulated = {**SIMULATED, "tuned": f'[models."{CANDIDATE}"]\n{LONG}'}
    with installed(tmp_path, config=CONFIG, simulated=simulated) as running:
        yield running


def goodput(one: Installation) -> float:
    """Ask so many times a second, whatever comes back, and return which share was answered whole and in time."""
    waits = asyncio.run(_ask(one))
    in_time = sorted(wait for wait in waits if wait is not None)
    _log.info("%d asked, %d answered, p99 %.3f s", len(waits), len(in_time), in_time[int(0.99 * len(in_time)) - 1])
    return sum(wait <= IN_TIME_S for wait in in_time) / len(waits)


async def _ask(one: Installation) -> list[float | None]:
    headers = {"authorization": f"Bearer {one.keys['application']}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    client = httpx.AsyncClient(base_url=one.gateway, headers=headers, trust_env=False, timeout=20, limits=limits)

    async def ask() -> float | None:
        began = time.monotonic()
        try:
            answer = await client.post("/v1/chat/completions", json=BODY)
        except httpx.HTTPError:
            return None
        return time.monotonic() - began if answer.status_code == 200 else None

    async with client:
        asking: list[asyncio.Task[float | None]] = []
        began = time.monotonic()
        for number in range(ASKED_PER_S * LASTS_S):
            await asyncio.sleep(began + number / ASKED_PER_S - time.monotonic())
            asking.append(asyncio.create_task(ask()))
        return await asyncio.gather(*asking)


@contextmanager
def crowd(
    one: Installation, size: int, sent: bytes, *, reads_bytes: int | None = None
) -> Iterator[list[socket.socket]]:
    """Connect so many callers that have sent this much."""
    with ExitStack() as held:
        callers = [held.enter_context(connected(one, reads_bytes=reads_bytes)) for _ in range(size)]
        for caller in callers:
            caller.sendall(sent.replace(b"KEY", one.keys["application"].encode()))
        yield callers


def rss_mib(one: Installation) -> float:
    lines = [
        line
        for page in one.pages().values()
        for line in Path(f"/proc/{page.pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024


def counted(one: Installation, code: str) -> int:
    return sum(line.get("codes", {}).get(code, 0) for line in one.log())


def test_five_hundred_that_never_read_are_bounded_and_cut_off(one: Installation):
    quiet = goodput(one)
    empty_mib = rss_mib(one)
    head = HEAD + b"Authorization: Bearer KEY\r\nContent-Length: %d\r\n\r\n" % len(ENDLESS)

    with crowd(one, NEVER_READ, head + ENDLESS, reads_bytes=4096):
        crowded = goodput(one)
        stuck_mib = (rss_mib(one) - empty_mib) / NEVER_READ
        until(lambda: counted(one, "write_stall") == NEVER_READ, "all are cut off", within_s=90)
        until(lambda: not any(page.in_flight for page in one.pages().values()), "none is in flight")

    _log.info("goodput %.3f, before %.3f; %.2f MiB per stuck stream", crowded, quiet, stuck_mib)
    assert crowded >= 0.95 * quiet
    assert stuck_mib <= STUCK_MIB
    assert one.settle().outcomes["client_cancelled"] == NEVER_READ


@pytest.mark.parametrize(
    ("begun", "text"),
    [
        (b"", HEAD + b"x-slow: " + b"y" * 200),
        (HEAD + b"Authorization: Bearer KEY\r\nContent-Length: 5000\r\n\r\n", b" " * 200),
    ],
    ids=["heads", "bodies"],
)
def test_a_thousand_that_send_a_byte_a_second_are_refused(one: Installation, begun: bytes, text: bytes):
    quiet = goodput(one)

    with crowd(one, BYTE_A_SECOND, begun) as callers, dripping(callers, text):
        crowded = goodput(one)
        until(lambda: counted(one, "request_timeout") == BYTE_A_SECOND, "all are refused", within_s=90)
        answers = [caller.recv(65536) for caller in callers]

    _log.info("goodput %.3f, before %.3f", crowded, quiet)
    assert crowded >= 0.95 * quiet
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
