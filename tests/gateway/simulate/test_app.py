from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest

from gateway.simulate.config import SimulatedModel, Simulation
from gateway.simulate.server import Running, running

CONFIG = Simulation(keys=("sk-one", "sk-two"), keep_last=2, models={"m/1": SimulatedModel(ttft_ms=0, ms_per_token=0)})
BODY = '{"model": "m/1", "messages": [{"role": "user", "content": "grüße"}]}'


@pytest.fixture
async def server() -> AsyncGenerator[Running]:
    async with running(CONFIG) as started:
        yield started


@pytest.fixture
async def client(server: Running) -> AsyncGenerator[httpx.AsyncClient]:
    headers = {"authorization": "Bearer sk-two", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=server.base_url, headers=headers) as opened:
        yield opened


pytestmark = pytest.mark.anyio


async def test_models_are_listed_and_described(client: httpx.AsyncClient):
    listed = (await client.get("/models")).json()
    one = (await client.get("/models/m/1")).json()

    assert listed["object"] == "list"
    assert listed["data"] == [one]
    assert one == {"id": "m/1", "object": "model", "created": one["created"], "owned_by": "simulated"}


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/models/none", None, 404, "model_not_found"),
        ("GET", "/batches", None, 404, "unknown_url"),
        ("GET", "/chat/completions", None, 405, "method_not_allowed"),
        ("POST", "/chat/completions", "{", 400, "invalid_request"),
        ("POST", "/chat/completions", BODY.replace("m/1", "none"), 404, "model_not_found"),
    ],
)
async def test_errors_come_in_openais_envelope_and_are_counted(
    client: httpx.AsyncClient, server: Running, method: str, path: str, content: str | None, status: int, code: str
):
    answer = await client.request(method, path, content=content)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert server.tally.refused == {str(status): 1}


@pytest.mark.parametrize("given", ["", "Bearer sk-three", "sk-one"])
async def test_without_one_of_the_keys_nobody_is_answered(client: httpx.AsyncClient, given: str):
    answer = await client.post("/chat/completions", content=BODY, headers={"authorization": given})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_every_answer_has_a_request_id_of_its_own(client: httpx.AsyncClient):
    answers = [await client.post("/chat/completions", content=BODY) for _ in range(2)]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert answers[0].headers["openai-processing-ms"].isdigit()


async def test_the_last_requests_are_kept_as_they_came(client: httpx.AsyncClient):
    for number in range(3):
        await client.post("/chat/completions", content=BODY, headers={"x-number": str(number)})

    kept = (await client.get("../simulate/last")).json()

    assert [dict(one["headers"])["x-number"] for one in kept] == ["1", "2"]
    assert kept[0]["body"] == BODY


async def test_counts_are_shown_and_reset(client: httpx.AsyncClient):
    answer = await client.post("/chat/completions", content=BODY)

    counts = (await client.get("../simulate/counts")).json()
    reset = (await client.post("../simulate/reset")).json()

    assert counts["models"]["m/1"]["requests"] == 1
    assert counts["models"]["m/1"]["output_tokens"] == answer.json()["usage"]["completion_tokens"]
    assert reset["models"]["m/1"]["requests"] == 0
    assert (await client.get("../simulate/cancelled")).json() == []
