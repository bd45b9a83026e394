"""An installation that is sent four times what it may do at once: what it answers, how fast, and what is recorded."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.acceptance.harness import APPLICATION, BASE, CANDIDATE, MODELS, SERVER, SPLIT, Installation, installed

AT_ONCE = 16
ANSWER_S = 0.2
QUEUE_TIMEOUT_S = 0.3
FOR_S = 4.0
REJECTED_WITHIN_S = 4.0
USED_SHARE = 0.4
"""Both with room for a busy machine: a line that does not move, or places that are lost, miss them by far."""
PER_MINUTE = 60
LIMITED = (
    SERVER.replace(
        "[server]\n", f"[server]\nmax_concurrent = {AT_ONCE}\nqueue = {AT_ONCE}\nqueue_timeout_s = {QUEUE_TIMEOUT_S}\n"
    )
    + MODELS
    + SPLIT
    + APPLICATION
    + f"\n[applications.metered]\nrequests_per_minute = {PER_MINUTE}\n"
)
BEHAVIOUR = f"ttft_ms = {ANSWER_S * 1000}\nttft_sigma = 0\nms_per_token = 0\noutput_tokens = 8\n"
SIMULATED = {"base": f'[models."{BASE}"]\n{BEHAVIOUR}', "tuned": f'[models."{CANDIDATE}"]\n{BEHAVIOUR}'}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One answer: status, `retry-after` and the error's code where there are any, and the seconds that it took."""

    status: int
    retry_after: str | None
    code: str | None
    took_s: float


async def ask(one: Installation, key: str, model: str = BASE) -> Seen:
    """Send one request through a connection of its own and read the answer to its end."""
    target = urlsplit(one.gateway)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {target.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    writer.write(head.encode() + body)
    answered = await reader.read()
    took_s = time.monotonic() - began
    writer.close()
    head, _, content = answered.partition(b"\r\n\r\n")
    retry_after = re.search(rb"\r\nretry-after: (\S+)", head)
    return Seen(
        status=int(head.split(b" ", 2)[1]),
        retry_after=retry_after[1].decode() if retry_after else None,
        code=json.loads(content).get("error", {}).get("code"),
        took_s=took_s,
    )


async def open_loop(one: Installation, key: str, rate: float, for_s: float) -> list[Seen]:
    """Send at this rate whatever becomes of what was sent before, and return every answer."""
    began, sent = time.monotonic(), list[asyncio.Task[Seen]]()
    while (due_s := len(sent) / rate) < for_s:
        await asyncio.sleep(max(0.0, began + due_s - time.monotonic()))
        sent.append(asyncio.create_task(ask(one, key)))
    return list(await asyncio.gather(*sent))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("overload"), config=LIMITED, simulated=SIMULATED) as running:
        yield running


def test_four_times_the_load_is_answered_with_200_or_503_and_the_capacity_is_used(one: Installation):
    capacity = AT_ONCE / ANSWER_S
    began = time.monotonic()
    seen = asyncio.run(open_loop(one, one.keys["application"], 4 * capacity, FOR_S))
    lasted_s = time.monotonic() - began

    statuses = Counter(answer.status for answer in seen)
    shed = [answer for answer in seen if answer.status == 503]
    assert statuses.keys() == {200, 503}
    assert {(answer.code, answer.retry_after) for answer in shed} == {("overloaded", "1")}
    assert max(answer.took_s for answer in shed) <= REJECTED_WITHIN_S
    assert statuses[200] >= USED_SHARE * capacity * lasted_s
    recorded = one.lake("SELECT outcome, error_class, count(*) AS n FROM records GROUP BY ALL")
    by_outcome = Counter[str]()
    for row in recorded:
        by_outcome[row["outcome"]] += row["n"]
    assert by_outcome == {"ok": statuses[200], "shed": statuses[503]}


def test_after_the_flood_every_place_is_free_again(one: Installation):
    async def together() -> list[Seen]:
        return list(await asyncio.gather(*(ask(one, one.keys["application"]) for _ in range(AT_ONCE // 4))))

    assert {answer.status for answer in asyncio.run(together())} == {200}


def test_an_application_sends_no_more_than_its_rate_allows(one: Installation):
    key = one.new_key("metered")
    began = time.monotonic()
    seen = asyncio.run(open_loop(one, key, 60.0, 3.0))
    lasted_s = time.monotonic() - began

    limited = [answer for answer in seen if answer.status == 429]
    admitted = len(seen) - len(limited)
    assert PER_MINUTE / 2 <= admitted <= PER_MINUTE * (1 + lasted_s / 60)
    assert {answer.code for answer in limited} == {"rate_limit_exceeded"}
    assert all(1 <= int(answer.retry_after or 0) <= 2 for answer in limited)
    (row,) = one.lake(
        "SELECT count(*) AS n FROM records WHERE application = 'metered' AND outcome = 'rejected' "
        "AND error_class = 'rate_limit_exceeded' AND status = 429"
    )
    assert row["n"] == len(limited)
