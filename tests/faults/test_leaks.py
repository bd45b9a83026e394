"""What callers, keys and upstreams say stays between them: nothing of it lies in a file, a log or an answer of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.harness import PATIENCE_S, SECRET, Installation, installed, until
from tests.bad_input.front import Answer, Front
from tests.fakes.parrot import KINDS, repeating
from tests.fakes.peer import Request
from tests.fakes.upstream import FakeUpstream, serving

PROMPT, EMAIL, USER, HEADER = "canary-prompt-7f3a", "canary-7f3a@mail.example", "canary-user-7f3a", "canary-header-7f3a"
UPSTREAM_A, UPSTREAM_B, ACCEPTED = "sk-canary-upstream-a", "sk-canary-upstream-b", "sk-canary-accepted"
FOREIGN = "sk-canary-foreign"
CONFIG = """
[server]
port = 0
console_port = 0
metrics_port = 0
workers = 1
[lake]
seal_every_s = 0.2
[logs]
level = "debug"
[upstreams.a]
base_url = "{a}/v1"
api_key = {{ env = "UP_A" }}
forward_headers = ["x-tenant"]
[upstreams.b]
base_url = "{b}/v1"
api_key = {{ env = "UP_B" }}
[models.base-model]
upstream = "a"
[models.tuned-model]
upstream = "b"
[rollouts.sales]
base = "base-model"
candidate = "tuned-model"
[applications.default]
accept = [{{ env = "ACCEPTED" }}]
user_header = "x-user-id"
expose = ["rollout", "model", "arm", "bucket"]
"""


@dataclass(kw_only=True)
class Scene:
    """An installation before two upstreams that repeat what they are sent; `said` are answers of the gateway's own."""

    one: Installation
    front: Front
    a: FakeUpstream
    b: FakeUpstream
    said: list[Answer] = field(default_factory=list[Answer])

    def ask(self, kind: str, *, model: str = "base-model", key: str | None = "", **changes: Any) -> Answer:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": f"{PROMPT} {EMAIL} {kind}"}]}
        body |= {"user": USER, "metadata": {"mail": EMAIL}, **changes}
        headers = {"x_tenant": HEADER, "x_other": HEADER, "cookie": HEADER}
        return self.front.post(json.dumps(body).encode(), key=key, **headers)

    def secrets(self) -> Mapping[str, bytes]:
        keys = {f"key {name}": key for name, key in self.one.keys.items()}
        words = {"prompt": PROMPT, "email": EMAIL, "user key": USER, "header": HEADER, "master secret": SECRET}
        credentials = {"a": UPSTREAM_A, "b": UPSTREAM_B, "accepted": ACCEPTED, "foreign": FOREIGN}
        return {name: text.encode() for name, text in (words | credentials | keys).items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("leaks")
    environment = {"UP_A": UPSTREAM_A, "UP_B": UPSTREAM_B, "ACCEPTED": ACCEPTED}
    with (
        serving(repeating) as a,
        serving(repeating) as b,
        installed(folder, config=CONFIG.format(a=a.url, b=b.url), simulated={}, environment=environment) as one,
        httpx.Client(trust_env=False, timeout=PATIENCE_S) as client,
    ):
        yield Scene(one=one, front=Front(one, client), a=a, b=b)


def last(upstream: FakeUpstream) -> Request:
    return upstream.requests[-1]


def names(request: Request) -> set[str]:
    return {name for name, _ in request.headers}


EVERY_UPSTREAM_GETS = {"host", "content-type", "content-length", "authorization"}


def test_of_two_hundred_headers_only_those_of_the_list_go_out(scene: Scene):
    lines = [f"x-h{number}: {HEADER}".encode() for number in range(80)]
    taken = [b"accept: text/plain", b"openai-beta: b1", b"idempotency-key: i1", b"X-Tenant: t1", b"x-user-id: u1"]
    foreign = [b"x-forwarded-for: 1.2.3.4", b"forwarded: for=1", b"cookie: c=1", b"x-api-key: k", b"via: x", b"te: x"]
    body = json.dumps({"model": "base-model", "messages": [{"role": "user", "content": "whole"}]}).encode()

    answer = scene.front.raw(*lines, *taken, *foreign, body=body)
    crowd = scene.front.raw(*lines, *lines, *lines[:40], body=body)

    assert answer.status == 200
    assert names(last(scene.a)) == EVERY_UPSTREAM_GETS | {"accept", "openai-beta", "idempotency-key", "x-tenant"}
    assert HEADER not in last(scene.a).head.decode()
    assert (crowd.status, crowd.error["code"]) == (431, "headers_too_large")


def test_headers_that_connection_names_stay_here(scene: Scene):
    body = json.dumps({"model": "base-model", "messages": [{"role": "user", "content": "whole"}]}).encode()

    answer = scene.front.raw(b"Connection: close, X-Tenant", b"x-tenant: t1", b"accept: text/plain", body=body)

    assert answer.status == 200
    assert names(last(scene.a)) == EVERY_UPSTREAM_GETS | {"accept"}


def test_header_values_keep_their_bytes_or_are_refused(scene: Scene):
    body = json.dumps({"model": "base-model", "messages": [{"role": "user", "content": "whole"}]}).encode()

    taken = scene.front.raw("x-tenant: größe".encode(), body=body)
    refused = scene.front.raw(b"x-tenant: a\xff", body=body)

    assert taken.status == 200
    assert "größe".encode() in last(scene.a).head
    assert (refused.status, refused.error["code"], refused.error["param"]) == (400, "invalid_header", "x-tenant")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"broken", "not-http"}])
def test_of_an_answers_headers_only_those_of_the_list_come_back(scene: Scene, kind: str):
    answer = scene.ask(kind, stream=kind in {"streamed", "cut"})

    ours = {"content-type", "content-length", "transfer-encoding", "date", "x-request-id", "connection"}
    ours |= {"x-turnout-model", "x-turnout-latency-ms", "x-turnout-cost-usd"}
    assert set(answer.headers) - ours == {
        "x-ratelimit-remaining-requests",
        "x-upstream-request-id",
        "openai-version",
    }
    assert answer.headers["x-upstream-request-id"] == "up-1"
    assert answer.headers["x-request-id"] != "up-1"


def test_a_redirect_is_handed_back_and_not_followed(scene: Scene):
    before = len(scene.a.requests)

    answer = scene.ask("moved")

    assert (answer.status, len(scene.a.requests)) == (307, before + 1)
    assert "location" not in answer.headers


def test_each_upstream_gets_its_own_credential_and_nobody_elses(scene: Scene):
    for model in ("base-model", "tuned-model"):
        for key in ("", ACCEPTED):
            assert scene.ask("whole", model=model, key=key).status == 200
            assert scene.ask("failing", model=model, key=key).status == 500

    for upstream, own in ((scene.a, UPSTREAM_A), (scene.b, UPSTREAM_B)):
        for request in upstream.requests:
            assert dict(request.headers)["authorization"] == f"Bearer {own}"
            others = [secret for name, secret in scene.secrets().items() if name in {"a", "b", "accepted"}]
            others = [secret for secret in others if secret != own.encode()]
            others += [secret for name, secret in scene.secrets().items() if name.startswith("key ")]
            assert not [secret for secret in others if secret in request.head + request.body]


@pytest.mark.parametrize("name", ["api_base", "base_url", "api_key", "extra_headers"])
def test_a_body_cannot_say_where_it_goes(scene: Scene, name: str):
    before = len(scene.a.requests)

    answer = scene.ask("whole", **{name: FOREIGN})

    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "field_not_allowed", name)
    assert len(scene.a.requests) == before


@pytest.mark.parametrize("header", [b"x-base-url", b"x-portkey-custom-host", b"openai-base-url", b"x-forwarded-host"])
def test_a_header_cannot_say_where_it_goes(scene: Scene, header: bytes):
    before = len(scene.a.requests)
    body = json.dumps({"model": "base-model", "messages": [{"role": "user", "content": "whole"}]}).encode()

    answer = scene.front.raw(header + b": http://127.0.0.1:9/v1", body=body)

    assert (answer.status, len(scene.a.requests)) == (200, before + 1)
    assert dict(last(scene.a).headers)["host"] == urlsplit(scene.a.url).netloc


def test_nothing_that_was_said_lies_in_a_file_a_log_or_an_answer_of_ours(scene: Scene):
    own = [*upstream_failures(scene), *refusals(scene), *guard_refusals(scene)]
    for kind, stream in (("whole", False), ("streamed", True), ("cut", True), ("failing", False), ("bad", False)):
        for model in ("sales", "tuned-model", "base-model"):
            scene.ask(kind, model=model, stream=stream)
    scene.one.settle()
    until(lambda: any(line["event"] == "request" for line in scene.one.log()), "requests are logged")

    secrets = scene.secrets()
    places = dict(files(scene.one.folder))
    places |= {f"answer {number}": str(answer).encode() for number, answer in enumerate(own)}
    places |= console_answers(scene.one)
    places["the lake"] = str(scene.one.lake()).encode()
    found = [
        (place, name) for place, content in places.items() for name, secret in secrets.items() if secret in content
    ]
    assert not found
    assert PROMPT.encode() in last(scene.a).body


def upstream_failures(scene: Scene) -> list[Answer]:
    """Return the gateway's own answers to upstreams that break off."""
    answers = [scene.ask(kind, model=model) for kind in ("broken", "not-http") for model in ("sales", "base-model")]
    assert {answer.status for answer in answers} == {502}
    return answers


def refusals(scene: Scene) -> list[Answer]:
    """Return the answers to requests that were read and refused."""
    answers = [
        scene.ask("whole", key=FOREIGN),
        scene.ask("whole", key="tn_app_0123456789ab_" + FOREIGN),
        scene.ask("whole", model="no-such-model"),
        scene.ask("whole", stream=PROMPT),
        scene.ask("whole", user=[USER]),
        scene.ask("whole", user=USER * 100),
        scene.ask("whole", api_key=FOREIGN),
        scene.front.post(json.dumps({"messages": PROMPT}).encode()),
        scene.front.post(f'{{"model": "base-model", "user": "{USER}", {PROMPT}'.encode()),
        scene.front.post(b'{"model": "base-model", "user": "a", "x": "' + PROMPT.encode() + b'\xff"}'),
        scene.front.post(x_user_id=USER * 100),
        scene.front.post(x_turnout_purpose=HEADER),
        scene.front.post(x_turnout_tags=HEADER),
        scene.front.post(content_encoding=HEADER),
    ]
    assert all(400 <= answer.status < 500 for answer in answers)
    return answers


def guard_refusals(scene: Scene) -> list[Answer]:
    """Return the answers to bytes that never became requests."""
    key = scene.front.key.encode()
    secret = b"Authorization: Bearer " + key + b"\r\nCookie: " + HEADER.encode()
    heads = [
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: " + HEADER.encode() + b"\r\n" + secret,
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\nX: " + HEADER.encode() + b"\r\n" + secret,
        b"POST /v1/chat/completions HTTP/3.7\r\nHost: localhost\r\n" + secret,
        b"POST /v1/" + HEADER.encode() * 1000 + b" HTTP/1.1\r\nHost: localhost\r\n" + secret,
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
        + HEADER.encode()
        + b"\r\n"
        + secret,
        HEADER.encode() + b" " + PROMPT.encode() + b"\r\n" + secret,
    ]
    answers = [scene.front.bytes(head + b"\r\n\r\n") for head in heads]
    assert all(400 <= answer.status <= 505 for answer in answers)
    return answers


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that was written, but for the file that is there to hold keys."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "first-keys":
            yield str(path.relative_to(folder)), path.read_bytes()


def console_answers(one: Installation) -> dict[str, bytes]:
    """Return what the console shows, and what it says of what it refuses."""
    paths = ["rollouts", "rollouts/sales", "rollouts/sales/history", "status", "audit", "keys"]
    shown = {f"console {path}": one.ask("GET", path).content for path in paths}
    return {**shown, "console, wrong key": one.ask("GET", "status", key=FOREIGN).content}
