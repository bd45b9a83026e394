"""The official client notices nothing but another `base_url`: what it gets is what the model itself would have said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.acceptance.harness import BASE, CANDIDATE, ROLLOUT, SERVER, Installation, installed

OLD_KEY = "sk-proj-the-key-that-its-callers-send-today"
CONFIG = f"""{SERVER}
[upstreams.openai]
base_url = "$openai"
api_key = {{ env = "OPENAI_API_KEY" }}

[models."{BASE}"]
upstream = "openai"
price = {{ input = 0.15, output = 0.60 }}

[models."{CANDIDATE}"]
upstream = "openai"

[rollouts.{ROLLOUT}]
also_for = ["{BASE}"]
base = "{BASE}"
candidate = "{CANDIDATE}"

[applications.web]
accept = [{{ env = "OPENAI_API_KEY" }}]
"""
MODEL = """ttft_ms = 2
ms_per_token = 0.1
output_tokens = 30
reasoning_tokens = 5
cached_share = 0.5
"""
SIMULATED = {
    "openai": f"""keys = ["{OLD_KEY}"]
seed = 7

[models."{BASE}"]
{MODEL}
[models."{CANDIDATE}"]
{MODEL}"""
}
MESSAGES: Any = [{"role": "user", "content": "What does the Pro plan cost?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "look_up_price",
            "description": "Find a plan's price.",
            "parameters": {
                "type": "object",
                "properties": {"plan": {"type": "string"}, "seats": {"type": "integer"}},
                "required": ["plan", "seats"],
                "additionalProperties": False,
            },
        },
    }
]


class Quote(BaseModel):
    plan: str
    seats: int
    is_yearly: bool


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("openai")
    environment = {"OPENAI_API_KEY": OLD_KEY}
    with installed(folder, config=CONFIG, simulated=SIMULATED, environment=environment) as installation:
        yield installation


@pytest.fixture(params=["with its old key", "with a key of ours"])
def client(request: pytest.FixtureRequest, one: Installation) -> Iterator[openai.OpenAI]:
    key = OLD_KEY if request.param == "with its old key" else one.keys["application"]
    with openai.OpenAI(base_url=one.base_url, api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture
def straight(one: Installation) -> Iterator[openai.OpenAI]:
    """Yield the client as it was before: it calls the model's own server."""
    with openai.OpenAI(base_url=one.simulated["openai"].base_url, api_key=OLD_KEY, max_retries=0) as made:
        yield made


def plain(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model=BASE, messages=MESSAGES, user="ada", seed=1, **more)


def without_identity(answer: BaseModel) -> dict[str, Any]:
    """Return an answer without what differs between any two."""
    return answer.model_dump(exclude={"id", "created"})


CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "plain": plain,
    "several choices": lambda client: plain(client, n=3),
    "limited": lambda client: plain(client, max_completion_tokens=5),
    "tools": lambda client: plain(client, tools=TOOLS, tool_choice="required"),
    "JSON mode": lambda client: plain(client, response_format={"type": "json_object"}),
    "log probabilities": lambda client: plain(client, logprobs=True, top_logprobs=2),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_is_the_one_that_the_model_gives(call: str, client: openai.OpenAI, straight: openai.OpenAI):
    assert without_identity(CALLS[call](client)) == without_identity(CALLS[call](straight))


STREAMS: dict[str, dict[str, Any]] = {
    "usage not asked for": {},
    "usage asked for": {"stream_options": {"include_usage": True}},
    "usage refused": {"stream_options": {"include_usage": False}},
    "tools": {"tools": TOOLS, "tool_choice": "required"},
    "JSON mode": {"response_format": {"type": "json_object"}},
    "several choices with usage": {"n": 2, "stream_options": {"include_usage": True}},
}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_has_the_same_chunks_as_the_models(stream: str, client: openai.OpenAI, straight: openai.OpenAI):
    through, before = (
        [without_identity(chunk) for chunk in plain(each, stream=True, **STREAMS[stream])]
        for each in (client, straight)
    )

    assert through == before
    assert any(chunk["usage"] for chunk in through) == bool(
        STREAMS[stream].get("stream_options", {}).get("include_usage")
    )


def test_an_answer_by_a_schema_is_parsed(client: openai.OpenAI):
    answer = client.chat.completions.parse(model=BASE, messages=MESSAGES, user="ada", response_format=Quote)

    assert isinstance(answer.choices[0].message.parsed, Quote)


def test_a_parsed_stream_ends_with_the_parsed_answer(client: openai.OpenAI):
    with client.chat.completions.stream(
        model=BASE, messages=MESSAGES, user="ada", response_format=Quote, stream_options={"include_usage": True}
    ) as stream:
        stream.until_done()
        final = stream.get_final_completion()

    assert isinstance(final.choices[0].message.parsed, Quote)
    assert final.usage is not None


def test_a_tool_call_goes_there_and_back(client: openai.OpenAI):
    call = plain(client, tools=TOOLS, tool_choice="required").choices[0].message
    told = [*MESSAGES, call, {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "20 USD"}]

    answer = client.chat.completions.create(model=BASE, messages=told, tools=TOOLS, user="ada")

    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


def test_a_raw_answer_shows_who_answered(client: openai.OpenAI):
    raw = client.chat.completions.with_raw_response.create(model=BASE, messages=MESSAGES, user="ada")
    answer = raw.parse()

    assert raw.headers["x-turnout-arm"] == "base"
    assert raw.headers["x-turnout-model"] == answer.model == BASE
    assert raw.request_id == raw.headers["x-request-id"]
    assert raw.headers["x-upstream-request-id"].startswith("req_")
    assert float(raw.headers["x-turnout-latency-ms"]) > 0


def test_a_raw_stream_shows_who_answers(client: openai.OpenAI):
    with client.chat.completions.with_streaming_response.create(
        model=ROLLOUT, messages=MESSAGES, user="ada", stream=True
    ) as raw:
        lines = list(raw.iter_lines())

    assert raw.headers["x-turnout-model"] == BASE
    assert lines[-2] == "data: [DONE]"


def test_models_are_listed_and_retrieved(client: openai.OpenAI):
    names = [model.id for model in client.models.list()]

    assert names == sorted([BASE, CANDIDATE, ROLLOUT])
    assert [client.models.retrieve(name).id for name in names] == names


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["old", "ours"])
async def test_the_asynchronous_client_is_answered_too(key: str, one: Installation):
    sent = OLD_KEY if key == "old" else one.keys["application"]
    async with openai.AsyncOpenAI(base_url=one.base_url, api_key=sent, max_retries=0) as client:
        whole = await client.chat.completions.create(model=BASE, messages=MESSAGES, user="ada", seed=1)
        stream = await client.chat.completions.create(model=BASE, messages=MESSAGES, user="ada", seed=1, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        parsed = await client.chat.completions.parse(model=BASE, messages=MESSAGES, user="ada", response_format=Quote)
        raw = await client.chat.completions.with_raw_response.create(model=BASE, messages=MESSAGES, user="ada")
        names = [model.id async for model in client.models.list()]

    assert "".join(pieces) == whole.choices[0].message.content
    assert isinstance(parsed.choices[0].message.parsed, Quote)
    assert raw.headers["x-turnout-arm"] == "base"
    assert CANDIDATE in names


@pytest.mark.anyio
async def test_the_asynchronous_streams_helper_tells_its_events(one: Installation):
    async with openai.AsyncOpenAI(base_url=one.base_url, api_key=OLD_KEY, max_retries=0) as client:
        async with client.chat.completions.stream(model=BASE, messages=MESSAGES, user="ada", tools=TOOLS) as stream:
            kinds = {event.type async for event in stream}
            final = await stream.get_final_completion()
        raw = client.chat.completions.with_streaming_response
        async with raw.create(model=BASE, messages=MESSAGES, user="ada", stream=True) as streamed:
            lines = [line async for line in streamed.iter_lines() if line]

    assert {"chunk", "tool_calls.function.arguments.done"} <= kinds
    assert final.choices[0].message.tool_calls
    assert streamed.headers["x-turnout-arm"] == "base"
    assert lines[-1] == "data: [DONE]"


def test_only_the_environment_needs_to_change(one: Installation, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", OLD_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", one.base_url)

    with openai.OpenAI() as client:
        answer = client.chat.completions.create(model=BASE, messages=MESSAGES)

    assert answer.model == BASE


def test_errors_arrive_as_the_clients_own(one: Installation):
    with openai.OpenAI(base_url=one.base_url, api_key="sk-of-somebody-else", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError, match="turnout key create"):
            client.models.list()
        with pytest.raises(openai.AuthenticationError) as refused:
            plain(client)
    assert refused.value.code == "invalid_api_key"

    with openai.OpenAI(base_url=one.base_url, api_key=OLD_KEY, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(model="gpt-9", messages=MESSAGES)
        with pytest.raises(openai.BadRequestError) as wrong:
            client.chat.completions.create(model=BASE, messages=[], user="ada")
    assert unknown.value.code == "model_not_found"
    assert wrong.value.param == "messages"


def test_the_lake_has_the_usage_of_every_answer_though_the_caller_did_not_ask(one: Installation):
    server = one.simulated["openai"]
    server.reset()
    with openai.OpenAI(base_url=one.base_url, api_key=OLD_KEY, max_retries=0) as client:
        marked: Any = {"extra_headers": {"x-turnout-tags": "test=usage"}}
        for stream in (False, True, True):
            answer = plain(client, stream=stream, **marked)
            assert list(answer)

    [seen] = one.lake(
        "SELECT count(*) AS requests, sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, "
        "sum(output_tokens) AS output_tokens, sum(reasoning_tokens) AS reasoning_tokens "
        "FROM records WHERE tags['test'] = 'usage' AND usage_source = 'reported' AND outcome = 'ok'"
    )
    counts = server.counts()[BASE]
    assert seen == {name: counts[name] for name in seen}
    assert seen["reasoning_tokens"] == 15
