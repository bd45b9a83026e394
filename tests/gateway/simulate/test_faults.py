from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import openai
import pytest

from gateway.simulate.config import Fault, SimulatedModel, Simulation
from gateway.simulate.faults import SimulatedError, halved
from gateway.simulate.reply import Bill, Frame, Reply
from gateway.simulate.server import Running, running

FAULTS: tuple[Fault, ...] = (
    *("stall_head", "stall_stream", "malformed", "early_error", "cut", "reset_head", "reset_stream"),
)
CONFIG = Simulation(
    seed=1,
    models={
        **{name: SimulatedModel(ttft_ms=0, ms_per_token=0, faults={name: 1.0}) for name in FAULTS},
        "slow": SimulatedModel(ttft_ms=60, ttft_sigma=0, ms_per_token=0, faults={"slow": 1.0}),
        "mixed": SimulatedModel(ttft_ms=0, ms_per_token=0, errors={401: 0.3}, faults={"early_error": 0.3, "cut": 0.2}),
        "busy": SimulatedModel(ttft_ms=0, errors={429: 1.0}, retry_after_s=7),
    },
)
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 40}

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncGenerator[Running]:
    async with running(CONFIG) as started:
        yield started


async def received(server: Running, model: str, *, stream: bool, path: str = "chat/completions") -> tuple[str, bytes]:
    """Return how an exchange ended and the body that came, with a second's patience for a silent server."""
    asked = {**CHAT, "input": "hello", "model": model, "stream": stream}
    body = b""
    timeout = httpx.Timeout(20.0, read=1.0 if "stall" in model else 20.0)
    async with httpx.AsyncClient(timeout=timeout) as http:
        try:
            async with http.stream("POST", f"{server.base_url}/{path}", json=asked) as response:
                async for piece in response.aiter_raw():
                    body += piece
            return str(response.status_code), body
        except httpx.HTTPError as error:
            return type(error).__name__, body


@pytest.mark.parametrize(
    ("model", "plain", "streamed"),
    [
        ("stall_head", "ReadTimeout", "ReadTimeout"),
        ("stall_stream", "ReadTimeout", "ReadTimeout"),
        ("malformed", "200", "200"),
        ("early_error", "200", "200"),
        ("cut", "RemoteProtocolError", "200"),
        ("reset_head", "ReadError", "ReadError"),
        ("reset_stream", "ReadError", "ReadError"),
    ],
)
async def test_each_fault_ends_the_exchange_in_its_way(server: Running, model: str, plain: str, streamed: str):
    ended = await received(server, model, stream=False), await received(server, model, stream=True)

    assert (ended[0][0], ended[1][0]) == (plain, streamed)
    tally = server.tally.models[model]
    assert (tally.faults, tally.answered) == ({model: 2}, 0)
    if "head" in model:
        assert ended[0][1] == ended[1][1] == b""


async def test_a_caller_who_gives_up_on_silence_is_a_cancelled_one(server: Running):
    await received(server, "stall_stream", stream=True)

    with anyio.fail_after(10):
        while not server.tally.cancelled:  # noqa: ASYNC110 - the server has no event for this
            await anyio.sleep(0.01)
    assert 0 < server.tally.cancelled[0].tokens_sent < 40
    assert server.tally.models["stall_stream"].open_streams == 0


async def test_a_dropped_connection_is_no_cancelled_one(server: Running):
    await received(server, "reset_stream", stream=True)
    await received(server, "malformed", stream=False)

    assert not server.tally.cancelled
    assert server.tally.crashes == 0


async def test_a_malformed_stream_is_good_up_to_the_broken_event(server: Running):
    _, body = await received(server, "malformed", stream=True)
    events = [line[6:] for line in body.split(b"\n\n") if line.startswith(b"data: ")]

    assert json.loads(events[0])
    assert events[-1] == b"[DONE]"
    broken = [one for one in events[:-1] if not one.endswith(b"}")]
    assert len(broken) == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken[0])


async def test_a_cut_stream_lacks_its_end(server: Running):
    _, body = await received(server, "cut", stream=True)

    assert body.endswith(b"\n\n")
    assert b"[DONE]" not in body


async def test_an_early_error_is_the_clients_own_error(server: Running):
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client:
        stream: Any = await client.chat.completions.create(model="early_error", stream=True, **CHAT)
        with pytest.raises(openai.APIError, match="Simulated: the server had an error"):
            _ = [chunk async for chunk in stream]
        events = await client.responses.create(model="early_error", input="hello", stream=True)
        said = [one async for one in events]

    assert [one.type for one in said] == ["response.failed"]


async def test_a_slow_answer_takes_its_factor_longer(server: Running):
    began = anyio.current_time()
    ended = await received(server, "slow", stream=False)

    assert anyio.current_time() - began >= 0.59
    assert ended[0] == "200"
    assert server.tally.models["slow"].answered == 1


async def test_the_same_seed_draws_the_same_errors_and_faults(server: Running):
    async with running(CONFIG) as other:
        ended = [[(await received(one, "mixed", stream=True))[0] for _ in range(30)] for one in (server, other)]
        assert server.tally.models["mixed"].faults == other.tally.models["mixed"].faults

    assert ended[0] == ended[1]
    assert server.tally.models["mixed"].faults.keys() == {"early_error", "cut"}
    assert set(ended[0]) == {"200", "401"}


async def test_who_is_refused_for_the_rate_is_told_when_to_come_again(server: Running):
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client:
        with pytest.raises(openai.RateLimitError, match="try again in 7s") as caught:
            await client.chat.completions.create(model="busy", **CHAT)

    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, "invalid_request_error", "invalid_api_key"),
        (404, "invalid_request_error", "model_not_found"),
        (418, "invalid_request_error", "invalid_request"),
        (599, "server_error", "server_error"),
    ],
)
def test_each_status_is_worded_as_openai_words_it(status: int, kind: str, code: str):
    error = json.loads(SimulatedError(status).envelope())["error"]

    assert (error["type"], error["code"]) == (kind, code)
    assert error["message"].startswith("Simulated: ")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_has_said_at_most_half(fault: Fault):
    frames = [Frame(b"%d" % n, n, n + 1) for n in range(10)]
    broken = halved(fault, Reply(bill=Bill(), frames=frames))

    assert broken.tokens <= 5
    assert fault == "early_error" or broken.content == b"01234"
