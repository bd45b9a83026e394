"""An installation that is sent four times what it may do at once: what it answers, how fast, and what is recorded."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.acceptance.callers import quantile, spread
from tests.acceptance.harness import APPLICATION, BASE, CANDIDATE, MODELS, SERVER, SPLIT, Installation, installed

log = logging.getLogger("faults")
AT_ONCE = 16
QUEUE = AT_ONCE // 2
"""Who is at its end waits for half an answer's time, so that nobody who is let in takes twice as long."""
ANSWER_S = 0.2
QUEUE_TIMEOUT_S = 0.3
CAPACITY = AT_ONCE / ANSWER_S
TIMES = 4
PER_MINUTE = 60
LIMITED = (
    SERVER.replace(
        "[server]\n", f"[server]\nmax_concurrent = {AT_ONCE}\nqueue = {QUEUE}\nqueue_timeout_s = {QUEUE_TIMEOUT_S}\n"
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


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What is measured for how long, and what it may be at worst.

    Shares are of what can be done at once, and of what was done by as many callers as there are places. Who is let in
    may take so many times as long as those did, and a refusal so many milliseconds: 99 of 100, by any clock.
    """

    for_s: float
    peak_share: float
    goodput_share: float
    times_as_long: float
    rejected_p99_ms: float


BUSY = Bounds(for_s=3.0, peak_share=0.4, goodput_share=0.4, times_as_long=10, rejected_p99_ms=1_000)
"""With room for a busy machine: a line that does not move, or places that are lost, miss it by far."""
PROMISED = Bounds(for_s=20.0, peak_share=0.9, goodput_share=0.9, times_as_long=2, rejected_p99_ms=10)


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


async def closed_loop(one: Installation, key: str, callers: int, for_s: float) -> list[Seen]:
    """Let so many callers ask one question after the other, and return every answer."""
    until_at = time.monotonic() + for_s

    async def keep_asking() -> list[Seen]:
        seen: list[Seen] = []
        while time.monotonic() < until_at:
            seen.append(await ask(one, key))
        return seen

    return list(itertools.chain(*await asyncio.gather(*(keep_asking() for _ in range(callers)))))


@dataclass(frozen=True, kw_only=True)
class Load:
    """The answers to one load: those that were let in and those that were refused, and the seconds that it lasted."""

    admitted: list[Seen]
    shed: list[Seen]
    lasted_s: float

    @property
    def goodput(self) -> float:
        """Return answers per second."""
        return len(self.admitted) / self.lasted_s

    @property
    def offered(self) -> float:
        """Return requests per second."""
        return (len(self.admitted) + len(self.shed)) / self.lasted_s


def measured(sending: Coroutine[None, None, list[Seen]]) -> Load:
    """Play a load to its end."""
    began = time.monotonic()
    seen = asyncio.run(sending)
    lasted_s = time.monotonic() - began
    shed = [answer for answer in seen if answer.status == 503]
    admitted = [answer for answer in seen if answer.status == 200]
    assert len(shed) + len(admitted) == len(seen), Counter(answer.status for answer in seen)
    return Load(admitted=admitted, shed=shed, lasted_s=lasted_s)


def p99_ms(answers: Sequence[Seen]) -> float:
    return quantile(milliseconds(answers), 0.99)


def milliseconds(answers: Sequence[Seen]) -> list[float]:
    return [answer.took_s * 1000 for answer in answers]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("overload"), config=LIMITED, simulated=SIMULATED) as running:
        yield running


@pytest.mark.parametrize("bounds", [BUSY, pytest.param(PROMISED, marks=pytest.mark.slow)], ids=["busy", "promised"])
def test_four_times_the_load_is_refused_at_once_and_what_is_let_in_is_as_good_as_ever(
    bounds: Bounds, one: Installation
):
    key = one.keys["application"]
    peak = measured(closed_loop(one, key, AT_ONCE, bounds.for_s / 3))
    before = recorded(one)
    flood = measured(open_loop(one, key, TIMES * CAPACITY, bounds.for_s))

    told(peak, flood)
    assert not peak.shed
    assert peak.goodput >= bounds.peak_share * CAPACITY
    assert {(answer.code, answer.retry_after) for answer in flood.shed} == {("overloaded", "1")}
    assert flood.goodput >= bounds.goodput_share * peak.goodput
    assert p99_ms(flood.admitted) <= bounds.times_as_long * p99_ms(peak.admitted)
    assert p99_ms(flood.shed) <= bounds.rejected_p99_ms
    assert recorded(one) - before == {"ok": len(flood.admitted), "shed": len(flood.shed)}
    assert p99_of_refusals_ms(one) <= bounds.rejected_p99_ms


def told(peak: Load, flood: Load) -> None:
    """Log what was measured."""
    share = flood.goodput / peak.goodput
    log.info("%d at once: %.1f answers/s of %.1f possible", AT_ONCE, peak.goodput, CAPACITY)
    log.info("%.0f requests/s offered: %.1f answers/s, %.1f %%", flood.offered, flood.goodput, share * 100)
    log.info("let in: %s; at its peak: %s", spread(milliseconds(flood.admitted)), spread(milliseconds(peak.admitted)))
    log.info("refused: %s", spread(milliseconds(flood.shed)))


def recorded(one: Installation) -> Counter[str]:
    """Count the records by outcome."""
    return Counter(
        {row["outcome"]: row["n"] for row in one.lake("SELECT outcome, count(*) AS n FROM records GROUP BY 1")}
    )


def p99_of_refusals_ms(one: Installation) -> float:
    """Return within what time workers refused 99 of 100 for whom the line had no room."""
    took_ms = [row["latency_ms"] for row in one.lake("SELECT latency_ms FROM records WHERE error_class = 'queue_full'")]
    late = sum(each > PROMISED.rejected_p99_ms for each in took_ms)
    log.info("refused, by the workers' clocks: %s; %d later than promised", spread(took_ms), late)
    return quantile(took_ms, 0.99)


def test_after_the_flood_every_place_is_free_again(one: Installation):
    async def together() -> list[Seen]:
        return list(await asyncio.gather(*(ask(one, one.keys["application"]) for _ in range(AT_ONCE // 4))))

    assert {answer.status for answer in asyncio.run(together())} == {200}


def test_an_application_sends_no_more_than_its_rate_allows(one: Installation):
    key = one.new_key("metered")
    began = time.monotonic()
    seen = asyncio.run(open_loop(one, key, 60.0, 2.0))
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
