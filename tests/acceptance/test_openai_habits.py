"""The official client's own habits work through Turnout: retries, timeouts, raw and streamed answers, bytes, pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.acceptance.harness import BASE, SERVER, Installation, installed, until
from tests.fakes.peer import Peer
from tests.fakes.upstream import FakeUpstream, serving

JSON = b"content-type: application/json"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
SOUND = bytes(range(256)) * 40
LATER = "later"
NEVER = "never"
BUSY = "busy"
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": BASE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CONFIG = f"""{SERVER}
[upstreams.fake]
base_url = "$fake/v1"

[models."{BASE}"]
upstream = "fake"

[models.{LATER}]
upstream = "fake"

[models.{NEVER}]
upstream = "fake"

[models.{BUSY}]
upstream = "fake"

[applications.default]
user_header = "x-user-id"
"""


class Script:
    """Answers by the model that is asked for; `later` fails once for each question, `busy` always."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, peer: Peer) -> None:
        while True:
            request = await peer.read()
            if request.target.endswith("/audio/speech"):
                await peer.answer(SOUND, b"content-type: audio/mpeg")
                continue
            if request.target.endswith("/images/generations"):
                picture = {"created": 1, "data": [{"b64_json": "aGVsbG8="}]}
                await peer.answer(json.dumps(picture).encode(), JSON)
                continue
            await self._chat(peer, json.loads(request.body))

    async def _chat(self, peer: Peer, asked: dict[str, Any]) -> None:
        text = asked["messages"][0]["content"]
        self.seen.append(text)
        if asked["model"] == NEVER:
            await peer.gone()
        elif asked["model"] == BUSY or (asked["model"] == LATER and self.seen.count(text) == 1):
            trouble = {"error": {"message": "Slow down.", "type": "requests", "param": None, "code": "slow_down"}}
            await peer.answer(json.dumps(trouble).encode(), JSON, b"retry-after-ms: 1", status=b"429 Too Many Requests")
        else:
            await peer.answer(json.dumps({**ANSWER, "model": asked["model"]}).encode(), JSON)


@pytest.fixture(scope="module")
def script() -> Script:
    return Script()


@pytest.fixture(scope="module")
def upstream(script: Script) -> Iterator[FakeUpstream]:
    with serving(script) as fake:
        yield fake


@pytest.fixture(scope="module")
def one(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    config = CONFIG.replace("$fake", upstream.url)
    with installed(tmp_path_factory.mktemp("habits"), config=config, simulated={}) as installation:
        yield installation


@pytest.fixture(scope="module")
def client(one: Installation) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=one.base_url, api_key=one.keys["application"], max_retries=0) as made:
        yield made


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_the_client_tries_again_by_itself_when_the_model_says_later(client: openai.OpenAI, script: Script):
    answer = client.with_options(max_retries=2).chat.completions.with_raw_response.create(
        model=LATER, messages=say("try me again")
    )

    assert answer.parse().choices[0].message.content == "hello"
    assert answer.retries_taken == 1
    assert script.seen.count("try me again") == 2


def test_without_retries_the_models_own_error_arrives_with_its_headers(client: openai.OpenAI, script: Script):
    with pytest.raises(openai.RateLimitError, match="Slow down") as refused:
        client.chat.completions.create(model=BUSY, messages=say("once"))

    assert refused.value.code == "slow_down"
    assert refused.value.response.headers["retry-after-ms"] == "1"
    assert script.seen.count("once") == 1


def test_a_clients_own_timeout_ends_the_question_at_the_model(client: openai.OpenAI, upstream: FakeUpstream):
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=3).chat.completions.create(model=NEVER, messages=MESSAGES)

    asked = [peer for peer in upstream.peers if any(NEVER.encode() in request.body for request in peer.requests)]
    assert asked
    until(lambda: all(peer.closed_at is not None for peer in asked), "the model's connection is closed")


@pytest.mark.anyio
async def test_the_asynchronous_client_tries_again_too(one: Installation, script: Script):
    async with openai.AsyncOpenAI(base_url=one.base_url, api_key=one.keys["application"], max_retries=2) as client:
        answer = await client.chat.completions.create(model=LATER, messages=say("and me"))

    assert answer.choices[0].message.content == "hello"
    assert script.seen.count("and me") == 2


def test_a_streaming_response_is_read_line_by_line_or_not_at_all(client: openai.OpenAI):
    made = client.chat.completions.with_streaming_response
    with made.create(model=BASE, messages=MESSAGES) as read:
        text = "".join(read.iter_text())
    with made.create(model=BASE, messages=MESSAGES) as unread:
        headers = unread.headers

    assert json.loads(text)["id"] == "chatcmpl-1"
    assert headers["x-turnout-model"] == BASE


def test_speech_arrives_byte_for_byte(client: openai.OpenAI):
    whole = client.audio.speech.create(model=BASE, voice="alloy", input="hello")
    with client.audio.speech.with_streaming_response.create(model=BASE, voice="alloy", input="hello") as streamed:
        pieces = b"".join(streamed.iter_bytes())

    assert whole.content == pieces == SOUND


def test_a_picture_is_made(client: openai.OpenAI):
    made = client.images.generate(model=BASE, prompt="A plan for five.")

    assert made.data is not None
    assert made.data[0].b64_json == "aGVsbG8="


def test_models_come_as_one_page(client: openai.OpenAI):
    page = client.models.list()

    assert [model.id for model in page] == sorted([BASE, LATER, NEVER, BUSY])
    assert not page.has_next_page()


def test_unknown_fields_and_headers_of_the_caller_pass(client: openai.OpenAI, upstream: FakeUpstream):
    extra: Any = {"extra_body": {"field_of_tomorrow": {"deep": [1, 2.50]}}, "extra_query": {"v": "2"}}
    client.chat.completions.create(model=BASE, messages=say("tomorrow"), **extra)

    [body] = [request.body for request in upstream.requests if b"tomorrow" in request.body]
    assert json.loads(body)["field_of_tomorrow"] == {"deep": [1, 2.50]}
