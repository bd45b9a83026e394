"""Forms and granted paths through a whole installation, with an upstream that tells what it was sent."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from tests.acceptance.harness import APPLICATION, PATIENCE_S, SERVER, Installation, installed, until
from tests.fakes.forms import KIND, field, file, form
from tests.fakes.peer import Peer, Request, head
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import FakeUpstream, chunk, serving

MIB = 1024 * 1024
BIG_BYTES = 64 * MIB
GROWN_BYTES = 16 * MIB
"""What a worker may grow by while 64 MiB pass through it: buffers of both sides, and an allocator's whims."""
PIECE = bytes(range(256)) * 256
CONFIG = (
    SERVER.replace("workers = 2", "workers = 1")
    + """
[upstreams.one]
base_url = "UPSTREAM/v1"
api_key = { env = "ACCOUNT" }

[models.base]
upstream = "one"

[models.tuned-model]
upstream = "one"

[rollouts.sounds]
base = "base"
candidate = "tuned-model"
"""
    + APPLICATION
    + """
passthrough = ["POST /v1/files", "GET /v1/files/{id}", "GET /v1/files/{id}/content", "DELETE /v1/files/{id}"]

[applications.other]
passthrough = ["GET /v1/batches"]
"""
)
EARLY = form(field("model", "sounds"), field("user", "ann"), file(b"noise" * 1000), field("language", "en"))
LATE = form(file(b"noise" * 1000), field("language", "en"), field("model", "sounds"))


async def answering(peer: Peer) -> None:
    """Answer by the path: files with their content, uploads with their hash, everything else with its request."""
    while True:
        request = await peer.read_head()
        if request.target.endswith("/content"):
            await peer.send(head(b"content-length: %d" % BIG_BYTES, b"content-type: application/octet-stream"))
            for _ in range(BIG_BYTES // len(PIECE)):
                while peer.transport.get_write_buffer_size() > MIB:
                    await peer.send(b"", pause_s=0.002)
                await peer.send(PIECE)
        elif "big" in request.target:
            await peer.answer(await hashed(peer, request), b"content-type: application/json")
        elif "refuse" in request.target:
            await peer.answer(b'{"error":{}}', b"connection: close", status=b"413 Too Large")
            await peer.gone()
        else:
            whole = await peer.read_rest(request.head)
            told = {"text": "hello", "target": whole.target, "headers": whole.headers, "size": len(whole.body)}
            await peer.answer(json.dumps(told).encode(), b"content-type: application/json", b"set-cookie: a=b")


async def hashed(peer: Peer, request: Request) -> bytes:
    """Read a body without keeping it, and return its length and hash."""
    digest, size_bytes = hashlib.sha256(), 0
    async for piece in pieces_of(peer, int(dict(request.headers)["content-length"])):
        digest.update(piece)
        size_bytes += len(piece)
    return json.dumps({"id": digest.hexdigest(), "bytes": size_bytes}).encode()


async def pieces_of(peer: Peer, size_bytes: int) -> AsyncIterator[bytes]:
    while size_bytes:
        taken = await peer.exactly(min(size_bytes, len(PIECE)))
        size_bytes -= len(taken)
        yield taken


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with serving(answering) as fake:
        yield fake


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Installation]:
    config = CONFIG.replace("UPSTREAM", upstream.url)
    folder = tmp_path_factory.mktemp("bodies")
    with installed(folder, config=config, simulated={}, environment={"ACCOUNT": "sk-account"}) as running:
        running.set_percent(100, "sounds")
        yield running


@pytest.fixture
def client(one: Installation) -> Iterator[httpx.Client]:
    key = {"authorization": f"Bearer {one.keys['application']}"}
    with httpx.Client(base_url=one.gateway, headers=key, trust_env=False, verify=PLAIN, timeout=PATIENCE_S) as made:
        yield made


@pytest.mark.parametrize("body", [EARLY, LATE], ids=["model first", "model last"])
@pytest.mark.parametrize("by", ["content-length", "chunks"])
def test_a_form_goes_to_its_users_arm_with_that_arms_model_and_else_byte_for_byte(
    one: Installation, upstream: FakeUpstream, client: httpx.Client, body: bytes, by: str
):
    content = body if by == "content-length" else iter([body[:700], body[700:]])

    answer = client.post(
        "/v1/audio/transcriptions", content=content, headers={"content-type": KIND.decode(), "x-user-id": "ann"}
    )

    sent = upstream.requests[-1]
    assert answer.json()["text"] == "hello"
    assert sent.body == body.replace(b"sounds", b"tuned-model")
    assert dict(sent.headers)["content-type"] == KIND.decode()
    assert dict(sent.headers)["authorization"] == "Bearer sk-account"
    record = one.record(answer.headers["x-request-id"])
    assert (record["endpoint"], record["model_served"]) == ("audio.transcriptions", "tuned-model")
    assert (record["arm_assigned"], record["outcome"], record["user_source"]) == ("candidate", "ok", "header")


def test_the_official_client_sends_sounds_images_and_files(one: Installation, upstream: FakeUpstream):
    asking = openai.OpenAI(api_key=one.keys["application"], base_url=one.base_url, max_retries=0)
    with asking:
        sound = asking.audio.transcriptions.create(model="sounds", file=("a.wav", b"sound"), language="en")
        asking.images.edit(model="sounds", image=[b"one", b"two"], prompt="x", user="ann", n=2)
        asking.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        asking.files.retrieve("file-1")
        asking.files.delete("file-1")
        with pytest.raises(openai.NotFoundError, match="passthrough"):
            asking.batches.list()

    sound_sent, images_sent, *files = upstream.requests[-5:]
    assert sound.text == "hello"
    assert re.search(rb'name="model"\r\n\r\n(base|tuned-model)\r\n', sound_sent.body)
    assert re.search(rb'name="model"\r\n\r\ntuned-model\r\n', images_sent.body)
    assert [request.lines[0].split(" ")[:2] for request in files] == [
        ["POST", "/v1/files"],
        ["GET", "/v1/files/file-1"],
        ["DELETE", "/v1/files/file-1"],
    ]


def test_what_was_granted_passes_as_it_is_and_is_recorded_by_its_line(
    one: Installation, upstream: FakeUpstream, client: httpx.Client
):
    body = b"\x00\xff" * 10
    headers = {"content-type": "Application/X-Thing", "x-canary": "1", "cookie": "a=b", "openai-beta": "x=1"}

    answer = client.post("/v1/files?after=%2F&x=1", content=body, headers=headers)

    sent = upstream.requests[-1]
    names = dict(sent.headers)
    assert (sent.target, sent.body) == ("/v1/files?after=%2F&x=1", body)
    assert (names["content-type"], names["openai-beta"]) == ("Application/X-Thing", "x=1")
    assert names["authorization"] == "Bearer sk-account"
    assert not names.keys() & {"x-canary", "cookie", "user-agent"}
    assert answer.json()["size"] == 20
    assert "set-cookie" not in answer.headers
    record = one.record(answer.headers["x-request-id"])
    assert (record["endpoint"], record["outcome"], record["upstream"]) == ("POST /v1/files", "ok", "one")
    assert (record["model_requested"], record["model_served"], record["arm_assigned"]) == (None, None, None)
    assert (record["cost_usd"], record["application"]) == (None, "default")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/batches"),
        ("GET", "/v1/files"),
        ("PUT", "/v1/files/a"),
        ("GET", "/v1/files/a/b"),
        ("GET", "/v1/files/a%2Fcontent"),
        ("GET", "/v1/files/a/content/"),
        ("DELETE", "/v1/models/sounds"),
    ],
)
def test_no_application_reaches_what_it_was_not_granted(
    upstream: FakeUpstream, client: httpx.Client, method: str, path: str
):
    before = len(upstream.requests)

    answer = client.request(method, path)

    assert answer.status_code in {404, 405}
    assert len(upstream.requests) == before


def test_another_applications_grant_is_its_own(one: Installation, client: httpx.Client):
    other = {"authorization": f"Bearer {one.new_key('other')}"}

    assert client.get("/v1/batches", headers=other).status_code == 200
    assert client.get("/v1/files/a", headers=other).status_code == 404
    assert client.get("/v1/batches").status_code == 404


def test_large_bodies_pass_in_both_directions_while_the_worker_stays_as_small_as_it_was(
    one: Installation, client: httpx.Client
):
    def pieces() -> Iterator[bytes]:
        for _ in range(BIG_BYTES // len(PIECE)):
            yield PIECE

    assert client.get("/v1/models").status_code == 200
    before = most_bytes(one)
    length = {"content-length": str(BIG_BYTES)}
    up = client.post("/v1/files?big", content=pieces(), headers=length)
    digest, down_bytes = hashlib.sha256(), 0
    with client.stream("GET", "/v1/files/file-1/content") as down:
        for piece in down.iter_raw():
            digest.update(piece)
            down_bytes += len(piece)
        assert down.headers["content-length"] == str(BIG_BYTES)

    assert up.json() == {"id": digest.hexdigest(), "bytes": BIG_BYTES}
    assert down_bytes == BIG_BYTES
    assert most_bytes(one) - before < GROWN_BYTES


def most_bytes(one: Installation) -> int:
    """Return the most memory that the worker ever had."""
    status = Path(f"/proc/{one.pid('worker-0')}/status")
    if not status.exists():
        pytest.skip("no /proc here")
    (found,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(found) * 1024


def test_an_upstream_that_refuses_early_is_heard_while_the_caller_still_sends(one: Installation):
    with sending(one, b"content-length: 50000000\r\n", path=b"/v1/files?refuse") as connection:
        connection.sendall(b"x" * 100_000)
        received = connection.recv(65536)

    assert received.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("framing", [b"content-length: 1000000\r\n", b"transfer-encoding: chunked\r\n"])
@pytest.mark.parametrize("path", [b"/v1/files", b"/v1/audio/transcriptions"])
def test_a_body_that_is_cut_off_never_becomes_a_request_and_is_recorded(
    one: Installation, upstream: FakeUpstream, framing: bytes, path: bytes
):
    before, whole = len(upstream.peers), len(upstream.requests)
    begun = form(field("model", "base"), file(b"x" * 200_000))[:150_000]
    sent = begun if b"length" in framing else chunk(begun)
    cut = one.lake("SELECT count(*) AS n FROM records WHERE outcome = 'client_cancelled'")[0]["n"]

    with sending(one, framing, path=path) as connection:
        connection.sendall(sent)
        until(lambda: len(upstream.peers) > before or bool(reached(upstream)), "the upstream is reached")
        until(lambda: any(peer.received_bytes > 100_000 for peer in upstream.open_peers()), "most has arrived")

    until(lambda: not [peer for peer in upstream.open_peers() if peer.received_bytes > 100_000], "it is closed")
    assert len(upstream.requests) == whole
    rows = one.lake("SELECT count(*) AS n FROM records WHERE outcome = 'client_cancelled'")
    assert rows[0]["n"] == cut + 1


def reached(upstream: FakeUpstream) -> list[Peer]:
    return [peer for peer in upstream.open_peers() if peer.received_bytes > 100_000]


def sending(one: Installation, *headers: bytes, path: bytes) -> socket.socket:
    """Begin a request, and leave its body to the test."""
    address = urlsplit(one.gateway)
    connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE_S)
    key = one.keys["application"].encode()
    lines = b"POST %b HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer %b\r\ncontent-type: %b\r\n%b\r\n"
    connection.sendall(lines % (path, key, KIND, b"".join(headers)))
    return connection
