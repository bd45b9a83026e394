"""What a form says behind its file, through a whole installation: no answer is cut short, no user refused by chance."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.harness import APPLICATION, PATIENCE_S, SERVER, Installation, installed
from tests.fakes.forms import KIND, field, file, form
from tests.fakes.peer import Peer, head
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import FakeUpstream, chunk, serving

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

[rollouts.images]
base = "base"
candidate = "tuned-model"
"""
    + APPLICATION
)
IMAGES = 3
PAUSE_S = 1.2
"""Between two images: longer than a relay waits for what comes behind a stream's end."""
ENDED = json.dumps({"type": "image_edit.completed", "b64_json": "AAAA"})
EVENT = f"event: image_edit.completed\ndata: {ENDED}\n\n".encode()
COUNT, STREAM = field("n", str(IMAGES)), field("stream", "true")


async def answering(peer: Peer) -> None:
    while True:
        await peer.read()
        await peer.send(head(b"content-type: text/event-stream", b"transfer-encoding: chunked"))
        for at in range(IMAGES):
            await peer.send(chunk(EVENT), pause_s=PAUSE_S if at else 0)
        await peer.send(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with serving(answering) as fake:
        yield fake


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Installation]:
    config = CONFIG.replace("UPSTREAM", upstream.url)
    folder = tmp_path_factory.mktemp("late")
    with installed(folder, config=config, simulated={}, environment={"ACCOUNT": "sk-account"}) as running:
        yield running


def edited(one: Installation, *parts: bytes, is_cut: bool) -> httpx.Response:
    """Send a form, in one piece or each of its parts as one."""
    whole = form(*parts)
    content = iter([*parts, whole[len(b"".join(parts)) :]]) if is_cut else whole
    headers = {"authorization": f"Bearer {one.keys['application']}", "content-type": KIND.decode(), "x-user-id": "ann"}
    with httpx.Client(base_url=one.gateway, headers=headers, trust_env=False, verify=PLAIN, timeout=PATIENCE_S) as to:
        return to.post("/v1/images/edits", content=content)


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize(
    ("model", "size_bytes", "late"),
    [("base", 2_000, [COUNT, STREAM]), ("images", 400_000, [COUNT, STREAM, field("user", "bob")])],
)
def test_all_images_come_and_a_lesser_user_is_no_fault_behind_the_file(
    one: Installation, model: str, size_bytes: int, late: list[bytes], *, is_cut: bool
):
    answer = edited(one, field("model", model), file(b"\x89" * size_bytes, "image[]"), *late, is_cut=is_cut)

    assert answer.status_code == 200, answer.text
    assert answer.content == EVENT * IMAGES
    record = one.record(answer.headers["x-request-id"])
    assert (record["outcome"], record["stream"], record["model_requested"]) == ("ok", True, model)
