from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Iterator
from random import Random

import anyio
import pytest

from gateway.cli import Abort
from gateway.cli.sending import Pace, check, send_all
from gateway.cli.target import Target
from gateway.simulate.config import SimulatedModel, Simulation
from gateway.simulate.results import Result
from gateway.simulate.server import Running, running
from gateway.simulate.trace import Row
from gateway.simulate.traffic import Planned, Wording, plan

CONFIG = Simulation(
    keys=("sk-1",),
    models={
        "quick": SimulatedModel(ttft_ms=0, ms_per_token=0),
        "paced": SimulatedModel(ttft_ms=100, ttft_sigma=0, ms_per_token=1, tokens_per_chunk=1),
        "failing": SimulatedModel(ttft_ms=0, errors={503: 1.0}),
    },
)
ROWS = [Row(at_s=number / 10, input_tokens=50, output_tokens=20) for number in range(40)]

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncGenerator[Running]:
    async with running(CONFIG) as started:
        yield started


def planned(rows: list[Row] = ROWS, stream_share: float = 0.5) -> Iterator[Planned]:
    return plan(rows, users=10, stream_share=stream_share, rng=Random(1))


def wording(model: str) -> Wording:
    return Wording(model=model, users=10, most_prompt_bytes=512)


async def sent(server: Running, model: str, requests: Iterator[Planned], *, speed: float | None = None) -> list[Result]:
    results: list[Result] = []
    target = Target(url=server.base_url, key="sk-1")
    await send_all(requests, wording(model), target, Pace(speed=speed, concurrency=4), results.append)
    return results


async def test_both_sides_count_the_same(server: Running):
    results = await sent(server, "quick", planned())

    tally = server.tally.models["quick"]
    assert [result.failure for result in results] == [None] * 40
    assert tally.answered == 40
    assert tally.streamed == sum(result.stream for result in results)
    assert (tally.input_tokens, tally.output_tokens) == (40 * 50, 40 * 20)
    assert {result.output_tokens for result in results if not result.stream} == {20}
    assert {result.output_tokens for result in results if result.stream} == {20, None}
    assert {result.arm for result in results} == {None}


async def test_time_to_first_token_is_that_of_the_first_content(server: Running):
    results = await sent(server, "paced", planned(ROWS[:4], 1.0))

    assert all(result.ttft_ms is not None and 95 <= result.ttft_ms < result.latency_ms for result in results)


async def test_arrivals_keep_the_traces_distances(server: Running):
    began = anyio.current_time()

    results = await sent(server, "quick", planned(ROWS[:11]), speed=2.0)

    assert anyio.current_time() - began >= 0.49
    assert min(result.late_ms for result in results) >= 0


async def test_an_answer_other_than_200_is_a_failure_by_its_status(server: Running):
    assert {result.failure for result in await sent(server, "failing", planned())} == {"503"}


async def test_a_gateway_that_is_gone_is_a_failure_of_each_request():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    gone = Running(base_url=url, tally=None)  # pyright: ignore[reportArgumentType] - nobody counts where nobody is

    assert {result.failure for result in await sent(gone, "quick", planned())} == {"not connected"}


ANSWERS = {
    "stream broken off": b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
    "not a completion": b"<html>",
    "connection lost": None,
}


@pytest.mark.parametrize("failure", list(ANSWERS))
async def test_a_broken_answer_is_a_failure(failure: str):
    content = ANSWERS[failure]
    kind = b"text/event-stream" if failure.startswith("stream") else b"application/json"

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if content is not None:
                head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, len(content))
                await stream.send(head + content)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    stand_in = Running(base_url=f"http://127.0.0.1:{port}/v1", tally=None)  # pyright: ignore[reportArgumentType] - as above
    results: list[Result] = []
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        results = await sent(stand_in, "any", planned(ROWS[:1], 0.0))
        tasks.cancel_scope.cancel()

    assert [result.failure for result in results] == [failure]


async def test_a_wrong_address_or_key_is_one_sentence_before_anything_is_sent(server: Running):
    wrong = {
        "refuses the key": Target(url=server.base_url, key="no"),
        "answers 404": Target(url=server.base_url.replace("/v1", "/v2"), key="sk-1"),
        "no gateway answers": Target(url="http://127.0.0.1:1/v1", key=None),
    }
    for said, target in wrong.items():
        with pytest.raises(Abort, match=said):
            await anyio.to_thread.run_sync(check, target)

    await anyio.to_thread.run_sync(check, Target(url=server.base_url, key="sk-1"))
