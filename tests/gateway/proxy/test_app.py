from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar

from gateway.proxy.app import Surface, create_app
from gateway.proxy.caller import WATCH
from gateway.proxy.capture import Contents
from gateway.proxy.endpoint import Inference
from gateway.proxy.feedback import Feedbacks
from gateway.proxy.ofrep import Evaluations
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from tests.fakes.proxy import (
    AUTHORIZED,
    BASE,
    BODY,
    CANDIDATE,
    KEY,
    MODELS,
    SALES,
    WHOLE,
    Caller,
    Counts,
    Journal,
    Moments,
    ScriptedAnswer,
    ScriptedUpstream,
    decisions,
)

pytestmark = pytest.mark.anyio


class Worker:
    """A worker's surface over an upstream in memory."""

    def __init__(self, **changes: Any) -> None:
        self.moments = Moments()
        self.journal = Journal(moments=self.moments)
        self.upstream = ScriptedUpstream(self.moments, ScriptedAnswer(self.moments, WHOLE))
        holder = Holder(View(decisions=decisions(**changes), source="ledger"))
        inference = Inference(holder, self.upstream, self.journal, Counts(), Throttle())
        feedbacks = Feedbacks(holder, self.journal, Contents(self.journal, Counts()), Throttle())
        self.surface = Surface(holder, inference, feedbacks, Evaluations(holder, Throttle()))

    async def asked(self, method: str, path: str, *, body: bytes = b"", authorized: bool = True) -> Caller:
        headers = [AUTHORIZED] if authorized else []
        caller = Caller(self.moments, body, headers=headers, method=method, path=path)
        await self.surface.answer(caller.connection())
        return caller


async def test_chat_completions_are_answered():
    worker = Worker()

    caller = await worker.asked("POST", "/v1/chat/completions", body=BODY)

    assert (caller.status, caller.body) == (200, WHOLE)
    assert worker.journal.record.outcome == "ok"


async def test_models_are_listed_by_their_public_names():
    caller = await Worker().asked("GET", "/v1/models")

    listed = httpx.Response(caller.status, content=caller.body, headers=caller.headers).json()
    assert [model["id"] for model in listed["data"]] == [BASE, SALES, CANDIDATE]
    assert listed["data"][0] | {"created": 0} == {"id": BASE, "object": "model", "created": 0, "owned_by": "turnout"}
    assert listed["object"] == "list"
    assert "x-request-id" in caller.headers


@pytest.mark.parametrize(
    ("name", "path"),
    [("gpt", "gpt"), ("ft:x:y::z", "ft:x:y::z"), ("ft:x", "ft%3Ax"), ("meta/llama", "meta%2Fllama"), ("a/b", "a/b")],
)
async def test_one_model_is_found_however_its_name_is_encoded(name: str, path: str):
    caller = await Worker(models={**MODELS, name: MODELS[BASE]}).asked("GET", f"/v1/models/{path}")

    assert caller.status == 200
    assert f'"id":"{name}"'.encode() in caller.body


async def test_a_model_that_does_not_exist_is_said():
    caller = await Worker().asked("GET", "/v1/models/nothing")

    assert (caller.status, caller.error["code"], caller.error["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt", "/v1/chat/completions", "/v1/feedback"])
async def test_nothing_is_told_without_a_key(path: str):
    method = "GET" if "models" in path else "POST"

    caller = await Worker().asked(method, path, authorized=False)

    assert (caller.status, caller.error["code"]) == (401, "invalid_api_key")
    assert "x-request-id" in caller.headers


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt", "/v1/chat/completions", "/v1/feedback"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
async def test_other_methods_are_refused_with_the_one_that_is_possible(method: str, path: str):
    worker = Worker()

    caller = await worker.asked(method, path, body=BODY)

    assert (caller.status, caller.error["code"]) == (405, "method_not_allowed")
    assert caller.headers["allow"] == ("GET" if "models" in path else "POST")
    assert not worker.upstream.calls


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/%2e%2e/chat/completions",
        "/v1/chat/completions/..",
        "/v1/models/..",
        "/v1/models/%2e%2e/x",
        "/v1/models/a%2f..%2fb",
    ],
)
async def test_a_dot_segment_is_refused_and_not_forwarded(path: str):
    worker = Worker()

    caller = await worker.asked("POST", path, body=BODY)

    assert (caller.status, caller.error["code"]) == (400, "bad_path")
    assert not worker.upstream.calls


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/files",
        "/v1/fine_tuning/jobs",
        "/v1/realtime/client_secrets",
        "/v1/responses/resp_1/cancel",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/",
        "/v1/Chat/Completions",
    ],
)
async def test_an_unknown_path_is_said_and_not_forwarded(path: str):
    worker = Worker()

    caller = await worker.asked("POST", path, body=BODY)

    assert (caller.status, caller.error["code"]) == (404, "unknown_url")
    assert path in caller.error["message"]
    assert not worker.upstream.calls
    assert not worker.journal.frames


async def test_a_very_long_path_is_not_repeated():
    caller = await Worker().asked("POST", "/v1/" + "x" * 100_000)

    assert len(caller.body) < 500


@asynccontextmanager
async def serving(worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    lived: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        lived.append("started")
        yield
        lived.append("ended")

    app = create_app(worker.surface, [lifespan])

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "extensions": {WATCH: lambda _: None}}, receive, send)  # type: ignore[arg-type] # Litestar types ASGI more narrowly

    transport = httpx.ASGITransport(served)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://w") as client:
        yield client
    assert lived == ["started", "ended"]


async def test_the_whole_application_answers_what_the_surface_answers():
    async with serving(Worker()) as client:
        answer = await client.post("/v1/chat/completions", content=BODY, headers={"authorization": f"Bearer {KEY}"})

    assert (answer.status_code, answer.content) == (200, WHOLE)


@pytest.mark.parametrize(("path", "text"), [("/healthz", "ok"), ("/readyz", "ready")])
async def test_probes_are_answered_without_a_key(path: str, text: str):
    async with serving(Worker()) as client:
        answer = await client.get(path)

    assert (answer.status_code, answer.text) == (200, text)


@pytest.mark.parametrize("path", ["/", "/v11/chat/completions", "/v1x", "/schema", "/healthz/x", "/V1/models"])
async def test_everything_outside_is_unknown_in_openais_envelope(path: str):
    worker = Worker()
    async with serving(worker) as client:
        answer = await client.post(path, content=BODY, headers={"authorization": f"Bearer {KEY}"})

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_url"
    assert not worker.upstream.calls


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("/chat/completions", "Paths begin with /v1: /v1/chat/completions; the base_url of a client ends in /v1."),
        ("/embeddings/", "Paths begin with /v1: /v1/embeddings;"),
        ("/models", "Paths begin with /v1: /v1/models;"),
        ("/v1/chat/completions/", "Drop the slash at its end: /v1/chat/completions."),
        ("/v1/feedback//", "Drop the slash at its end: /v1/feedback."),
        ("/chat", "Here are the endpoints that take a model"),
    ],
)
async def test_a_path_that_is_nearly_one_of_ours_names_the_one_that_was_meant(path: str, remedy: str):
    async with serving(Worker()) as client:
        answer = await client.post(path, content=BODY, headers={"authorization": f"Bearer {KEY}"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
    assert remedy in answer.json()["error"]["message"]


async def test_flags_are_evaluated_beside_the_models():
    async with serving(Worker()) as client:
        answer = await client.post("/ofrep/v1/evaluate/flags/f", json={}, headers={"authorization": f"Bearer {KEY}"})

    assert (answer.status_code, answer.json()["value"]) == (200, 50.0)


async def test_the_bare_prefix_is_unknown_too():
    async with serving(Worker()) as client:
        answer = await client.get("/v1")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")


async def test_a_probe_answers_one_method():
    async with serving(Worker()) as client:
        answer = await client.post("/healthz")

    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
