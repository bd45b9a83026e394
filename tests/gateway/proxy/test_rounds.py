from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import pytest

from gateway.proxy.rounds import Guard
from gateway.settings.schema import Server


class Connection:
    """Notes when it was looked at; one that is busy makes no way."""

    def __init__(self, guard: Guard | None = None, *, is_busy: bool = False) -> None:
        self.looked: list[float] = []
        self._guard = guard
        self._is_busy = is_busy

    def make_way(self) -> bool:
        if self._guard is not None and not self._is_busy:
            self._guard.connections.pop(self)
        return not self._is_busy

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
    assert all(guard.admit(connection) for connection in connections)
    began = time.monotonic()

    await watched(guard, 0.6)

    assert len({len(connection.looked) for connection in connections}) == 1
    assert all(began < moment < time.monotonic() for moment in connections[0].looked)
    assert len(connections[0].looked) >= 2


@pytest.mark.anyio
async def test_what_was_ended_is_said_in_one_line_and_the_rest_at_the_end(caplog: pytest.LogCaptureFixture):
    guard = Guard(Server(head_timeout_s=0.2))
    guard.ended.update(["invalid_http"] * 3 + ["invalid_host"])
    asyncio.get_running_loop().call_later(0.3, guard.ended.update, ["invalid_http"])

    with caplog.at_level(logging.WARNING, "turnout.proxy"):
        await watched(guard, 0.6)

    assert [(record.message, vars(record)["ended"], vars(record)["codes"]) for record in caplog.records] == [
        ("connections ended by the guard", 4, {"invalid_http": 3, "invalid_host": 1}),
        ("connections ended by the guard", 1, {"invalid_http": 1}),
    ]


def test_when_there_are_too_many_the_oldest_without_a_request_makes_way():
    guard = Guard(Server(), max_connections=3)
    busy, old, young, late = (Connection(guard, is_busy=number == 0) for number in range(4))

    admitted = [guard.admit(connection) for connection in (busy, old, young, late)]

    assert admitted == [True] * 4
    assert list(guard.connections) == [busy, young, late]


def test_when_all_are_busy_one_more_is_not_admitted():
    guard = Guard(Server(), max_connections=2)

    assert [guard.admit(Connection(guard, is_busy=True)) for _ in range(3)] == [True, True, False]
