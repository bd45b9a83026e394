from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.proxy.names import Names, UnknownHostError


class Loop(asyncio.SelectorEventLoop):
    """A loop whose names are a table; `asked` counts the look-ups."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.table = dict(table)
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        self.asked += 1
        await asyncio.sleep(0.01)
        if host not in self.table:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.table[host]]


def run(coroutine: Any, loop: Loop) -> Any:
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def test_who_asks_at_the_same_time_shares_one_look_up_and_addresses_take_turns():
    loop = Loop({"a.test": ["10.0.0.1", "10.0.0.2", "10.0.0.1"]})

    async def ask() -> Any:
        names = Names(10.0)
        first = await asyncio.gather(*(names.addresses("a.test") for _ in range(3)))
        return first, await names.addresses("a.test")

    first, second = run(ask(), loop)

    assert loop.asked == 1
    assert min(map(tuple, first)) == ("10.0.0.1", "10.0.0.2")
    assert {tuple(one) for one in first} == {("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")}
    assert second == ["10.0.0.2", "10.0.0.1"]


@pytest.mark.parametrize("is_forgotten", [True, False])
def test_a_host_is_looked_up_again_when_its_time_is_over_or_when_it_is_forgotten(is_forgotten: bool):  # noqa: FBT001 - pytest passes it by name
    loop = Loop({"a.test": ["10.0.0.1"]})

    async def ask() -> list[str]:
        names = Names(10.0 if is_forgotten else 0.0)
        await names.addresses("a.test")
        loop.table["a.test"] = ["10.0.0.9"]
        names.forget("a.test") if is_forgotten else await asyncio.sleep(0.01)
        return await names.addresses("a.test")

    assert run(ask(), loop) == ["10.0.0.9"]


def test_a_host_without_an_address_is_unknown_and_asked_for_again():
    loop = Loop({"empty.test": []})

    async def ask() -> int:
        names = Names(10.0)
        for host in ("empty.test", "none.test", "none.test"):
            with pytest.raises(UnknownHostError):
                await names.addresses(host)
        return loop.asked

    assert run(ask(), loop) == 3


def test_who_gives_up_waiting_takes_the_look_up_from_nobody():
    loop = Loop({"a.test": ["10.0.0.1"]})

    async def ask() -> list[str]:
        names = Names(10.0)
        impatient = asyncio.create_task(names.addresses("a.test"))
        patient = asyncio.create_task(names.addresses("a.test"))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert run(ask(), loop) == ["10.0.0.1"]


def test_its_close_ends_what_is_asked_for():
    loop = Loop({"a.test": ["10.0.0.1"]})

    async def ask() -> bool:
        names = Names(10.0)
        asking = asyncio.create_task(names.addresses("a.test"))
        await asyncio.sleep(0.001)
        names.close()
        await asyncio.wait([asking])
        return asking.cancelled()

    assert run(ask(), loop)
