"""What every upstream client promises of names: they are looked up again, and a look-up counts as connecting."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.proxy.upstream import Fault, RefusedFault, StalledFault, Upstream
from tests.fakes.clients import Make
from tests.fakes.named_loop import NamedLoop
from tests.fakes.peer import Peer
from tests.fakes.upstream import FakeUpstream, Script, call_to, serving, whole

pytestmark = pytest.mark.anyio

NAME = "models.test"
HERE, THERE = "127.0.0.1", "127.0.0.2"
LATE_S = 4.0


def saying(word: bytes, *headers: bytes) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.answer(word, *headers)

    return script


@contextlib.contextmanager
def a_second_address() -> Iterator[None]:
    """Skip where the system has one loopback address alone: not exercised."""
    with socket.socket() as probe:
        try:
            probe.bind((THERE, 0))
        except OSError:
            pytest.skip(f"not exercised: this system has no {THERE}")
    yield


@contextlib.contextmanager
def one_port_at_both(here: Script, there: Script) -> Iterator[tuple[FakeUpstream, FakeUpstream]]:
    with a_second_address(), serving(here) as first, serving(there, host=THERE, port=first.port) as second:
        yield first, second


async def ask(upstream: Upstream, port: int) -> bytes | Fault:
    try:
        return await whole(await upstream.send(call_to(f"http://{NAME}:{port}")))
    except Fault as fault:
        return fault


async def asked_until(upstream: Upstream, port: int, wanted: Callable[[bytes | Fault], bool]) -> list[bytes | Fault]:
    """Ask every 20 ms until an answer is as wanted; return all answers."""
    answers: list[bytes | Fault] = []
    async with asyncio.timeout(30.0):
        while not answers or not wanted(answers[-1]):
            answers.append(await ask(upstream, port))
            await asyncio.sleep(0.02)
    return answers


async def moved_after_s(make: Make, loop: NamedLoop, names_s: int) -> float:
    """Return after how long a client that keeps names for so long leaves a server that goes on answering."""
    upstream = make(names_s=names_s)
    with one_port_at_both(saying(b"old", b"connection: close"), saying(b"new")) as (old, _):
        loop.names[NAME] = [HERE]
        assert await ask(upstream, old.port) == b"old"
        loop.names[NAME] = [THERE]
        changed_at = time.monotonic()
        answers = await asked_until(upstream, old.port, lambda answer: answer == b"new")
        await upstream.close()

    assert set(answers) <= {b"old", b"new"}
    return time.monotonic() - changed_at


async def test_a_changed_name_is_noticed_though_its_old_server_goes_on_answering(make: Make, loop: NamedLoop):
    assert await moved_after_s(make, loop, names_s=1) <= 1 + LATE_S


@pytest.mark.slow
async def test_a_changed_name_is_noticed_within_ten_seconds(loop: NamedLoop, make: Make):
    assert await moved_after_s(make, loop, names_s=10) <= 10 + LATE_S


async def test_a_server_that_moved_away_is_found_by_the_request_after_the_first_that_was_refused(
    upstream: Upstream, loop: NamedLoop
):
    with a_second_address():
        loop.names[NAME] = [HERE]
        with serving(saying(b"old", b"connection: close")) as old:
            first = await ask(upstream, old.port)
        loop.names[NAME] = [THERE]
        with serving(saying(b"new"), host=THERE, port=old.port) as new:
            between = await ask(upstream, new.port)
            last = await ask(upstream, new.port)

    assert (first, last) == (b"old", b"new")
    assert between == b"new" or isinstance(between, RefusedFault)


async def test_a_kept_connection_goes_on_though_its_name_has_changed(upstream: Upstream, loop: NamedLoop):
    with one_port_at_both(saying(b"old"), saying(b"new")) as (old, new):
        loop.names[NAME] = [HERE]
        first = await ask(upstream, old.port)
        loop.names[NAME] = [THERE]
        second = await ask(upstream, old.port)

    assert (first, second) == (b"old", b"old")
    assert not new.peers


async def test_the_second_address_of_a_name_is_tried_when_the_first_refuses(upstream: Upstream, loop: NamedLoop):
    loop.names[NAME] = [THERE, HERE]

    with a_second_address(), serving(saying(b"here")) as fake:
        answers = [await ask(upstream, fake.port) for _ in range(4)]

    assert answers == [b"here"] * 4


async def test_a_name_that_is_gone_is_an_unknown_host_and_is_looked_up_again(upstream: Upstream, loop: NamedLoop):
    with serving(saying(b"here")) as fake:
        with pytest.raises(RefusedFault) as caught:
            await upstream.send(call_to(f"http://nowhere.invalid:{fake.port}"))
        loop.names["nowhere.invalid"] = [HERE]
        answer = await whole(await upstream.send(call_to(f"http://nowhere.invalid:{fake.port}")))

    assert (caught.value.kind, answer) == ("unknown_host", b"here")


async def test_a_look_up_that_hangs_is_a_hanging_connect_and_harms_no_later_request(
    upstream: Upstream, loop: NamedLoop
):
    loop.names[NAME] = [HERE]
    loop.answering.clear()

    with serving(saying(b"here")) as fake:
        started = loop.time()
        with pytest.raises(StalledFault) as caught:
            await upstream.send(call_to(f"http://{NAME}:{fake.port}", connect_s=0.4))
        took_s = loop.time() - started
        loop.answering.set()
        answer = await ask(upstream, fake.port)

    assert caught.value.limit == "connect"
    assert took_s <= 0.4 + LATE_S
    assert answer == b"here"


async def test_a_look_up_that_hangs_holds_up_no_other_host(upstream: Upstream, loop: NamedLoop):
    loop.names[NAME] = [HERE]
    loop.answering.clear()

    with serving(saying(b"here")) as fake:
        waiting = asyncio.create_task(ask(upstream, fake.port))
        await asyncio.sleep(0.05)
        answer = await whole(await upstream.send(call_to(f"http://localhost:{fake.port}")))
        assert not waiting.done()
        loop.answering.set()

        assert await waiting == b"here"
    assert answer == b"here"


async def test_a_storm_over_look_ups_leaves_the_client_whole(upstream: Upstream, loop: NamedLoop):
    loop.names[NAME] = [HERE]
    loop.answering.clear()
    before = asyncio.all_tasks()

    with serving(saying(b"here")) as fake:
        tasks = [asyncio.create_task(ask(upstream, fake.port)) for _ in range(100)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        loop.answering.set()
        answers = await asyncio.gather(*(ask(upstream, fake.port) for _ in range(100)))

    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert answers == [b"here"] * 100
    await upstream.close()
    await asyncio.sleep(0.05)
    assert not asyncio.all_tasks() - before
