from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import pytest

from gateway.proxy.rounds import Guard
from gateway.settings.schema import Server


class Connection:
    """Notes when it was looked at."""

    def __init__(self) -> None:
        self.looked: list[float] = []

    def look(self, now: float) -> None:
        self.looked.append(now)


async def watched(guard: Guard, for_s: float) -> None:
    watching = asyncio.create_task(guard.watch())
    await asyncio.sleep(for_s)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


@pytest.mark.anyio
async def test_every_connection_is_looked_at_in_every_round():
    guard = Guard(Server(head_timeout_s=0.2))
    connections = [Connection() for _ in range(500)]
    guard.connections.update(connections)
    began = time.monotonic()

    await watched(guard, 0.6)

    assert len({len(connection.looked) for connection in connections}) == 1
    assert all(began < moment < time.monotonic() for moment in connections[0].looked)
    assert len(connections[0].looked) >= 2


@pytest.mark.anyio
async def test_what_was_refused_is_said_in_one_line_and_the_rest_at_the_end(caplog: pytest.LogCaptureFixture):
    guard = Guard(Server(head_timeout_s=0.2))
    guard.refused.update(["invalid_http"] * 3 + ["invalid_host"])
    asyncio.get_running_loop().call_later(0.3, guard.refused.update, ["invalid_http"])

    with caplog.at_level(logging.WARNING, "turnout.proxy"):
        await watched(guard, 0.6)

    assert [vars(record)["codes"] for record in caplog.records] == [
        {"invalid_http": 3, "invalid_host": 1},
        {"invalid_http": 1},
    ]
