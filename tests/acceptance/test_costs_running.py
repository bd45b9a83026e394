"""Every recorded usage through a whole installation, at the endpoint that has its shape: its cost is the bill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import httpx
import msgspec
import pytest

from analytics.journal.reader import SegmentReader
from analytics.record import Record
from tests.acceptance.harness import PATIENCE_S, Installation, installed
from tests.acceptance.recorded_usages import CASES, Bill
from tests.fakes.peer import Peer, head
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import CHUNKED, chunk, serving

CONFIG = """
[server]
workers = 1

[lake]
seal_every_s = 3600

[upstreams.all]
base_url = "$url/v1"
models = "*"
prices = "all"

[applications.default]
"""
EVENTS = b"content-type: text/event-stream"
NUMBER = re.compile(rb"case-(\d+)")
FIRST_WORDS = {
    "embedding": "/v1/embeddings",
    "moderation": "/v1/moderations",
    "completion": "/v1/completions",
    "image": "/v1/images/generations",
    "speech": "/v1/audio/speech",
    "transcription": "/v1/audio/transcriptions",
    "duration": "/v1/audio/transcriptions",
}


def path_of(name: str, sent: dict[str, Any]) -> str:
    if sent.get("object") == "response" or "response" in sent:
        return "/v1/responses"
    return FIRST_WORDS.get(re.split(r"[ ,]", name)[0], "/v1/chat/completions")


def is_event(sent: dict[str, Any]) -> bool:
    return "type" in sent or sent.get("object") == "chat.completion.chunk"


async def answering(peer: Peer) -> None:
    """Answer with what the case says that the request names, as one event of a stream where it is one."""
    while True:
        request = await peer.read()
        found = NUMBER.search(request.body)
        assert found is not None
        sent = CASES[int(found[1])][2]
        said = json.dumps(sent).encode()
        if not is_event(sent):
            await peer.answer(said, b"content-type: application/json")
            continue
        await peer.send(head(CHUNKED, EVENTS), chunk(b"data: " + said + b"\n\n"))
        await peer.send(chunk(b"data: [DONE]\n\n"), chunk(b""))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with serving(answering) as upstream:
        config = CONFIG.replace("$url", upstream.url)
        with installed(tmp_path_factory.mktemp("costs"), config=config, simulated={}) as one:
            yield one


def recorded(one: Installation, path: str, model: str, number: int, *, streamed: bool) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {one.keys['application']}"}
    fields: dict[str, Any] = {"model": model, "user": f"case-{number}"}
    body: dict[str, Any] = {"json": {**fields, "stream": streamed}}
    if path == "/v1/audio/transcriptions":
        body = {"data": fields, "files": {"file": ("a.wav", b"RIFF")}}
    got = httpx.post(f"{one.gateway}{path}", headers=headers, timeout=PATIENCE_S, trust_env=False, verify=PLAIN, **body)
    assert got.status_code == 200
    found: list[dict[str, Any]] = []
    for segment in (one.state_dir / "journal").glob("*.segment"):
        with SegmentReader(segment) as frames:
            found += [msgspec.structs.asdict(frame) for _, frame in frames.frames() if isinstance(frame, Record)]
    (record,) = [each for each in found if each["request_id"] == got.headers["x-request-id"]]
    return record


@pytest.mark.parametrize(
    ("number", "name", "model", "sent", "bill"),
    [(number, *case) for number, case in enumerate(CASES)],
    ids=[case[0] for case in CASES],
)
def test_a_requests_record_has_the_bill_that_was_written_by_hand(
    running: Installation, number: int, name: str, model: str, sent: dict[str, Any], bill: Bill
):
    record = recorded(running, path_of(name, sent), model, number, streamed=is_event(sent))

    assert record["price_version"]
    if isinstance(bill, str):
        assert (record["cost_usd"], record["cost_unknown"]) == (None, bill)
    else:
        owed = sum((Fraction(count) * Fraction(price) for count, price in bill), Fraction(0)) / 1_000_000
        assert abs(Fraction(record["cost_usd"]) - owed) <= Fraction(1, 10**9)
