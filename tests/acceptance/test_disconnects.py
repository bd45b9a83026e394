"""A caller that hangs up stops the model at once, before the first byte and in mid-stream; nothing is left behind."""

from __future__ import annotations

import json
import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.callers import ask_all, failures, now_us, quantile, spread
from tests.acceptance.harness import BASE, CONFIG, SIMULATED, Installation, installed, until

log = logging.getLogger("acceptance")
SILENT = "silent-model"
DRIPPING = "dripping-model"
CONTENDED = "contended-model"
SLOTS = 4
MODELS = f"""
[models."{CONTENDED}"]
upstream = "base"
max_concurrent = {SLOTS}

[models."{SILENT}"]
upstream = "base"

[models."{DRIPPING}"]
upstream = "base"
price = {{ input = 1, output = 1 }}
"""
QUEUE = "[server]\nqueue = 1000\nqueue_timeout_s = 30\n"
BEHAVIOUR = f"""
[models."{SILENT}"]
ttft_ms = 60000
ttft_sigma = 0

[models."{CONTENDED}"]
ttft_ms = 60000
ttft_sigma = 0

[models."{DRIPPING}"]
ttft_ms = 5
ttft_sigma = 0
ms_per_token = 100
output_tokens = 5000
output_sigma = 0
tokens_per_chunk = 1
"""
EARLY, MIDWAY, WAITING = 70, 70, 60
"""Callers who hang up in one round: before the first byte, in mid-stream, and in line for a model."""
ROUNDS = [(1, 1_000), pytest.param(10, 100, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
"""How many rounds, and within how many milliseconds 99 of 100 upstreams are closed."""
AT_MOST_MS = 2_000


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    simulated = {**SIMULATED, "base": SIMULATED["base"] + BEHAVIOUR}
    with installed(
        tmp_path_factory.mktemp("disconnects"), config=CONFIG.replace("[server]\n", QUEUE) + MODELS, simulated=simulated
    ) as installation:
        yield installation


def hang(one: Installation, mark: str, model: str, *, stream: bool, missing_bytes: int = 0) -> socket.socket:
    """Send a request, but for its last bytes, and return the socket on which its answer may come."""
    target = urlsplit(one.gateway)
    fields = {"model": model, "stream": stream, "user": mark, "metadata": {"simulate_id": mark}}
    body = json.dumps({**fields, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        f"host: {target.netloc}",
        f"authorization: Bearer {one.keys['application']}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    )
    opened = socket.create_connection((target.hostname or "", target.port or 0), timeout=20)
    opened.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body[: len(body) - missing_bytes])
    return opened


def read_until(opened: socket.socket, word: bytes) -> None:
    """Read until something has come."""
    seen = b""
    while word not in seen:
        piece = opened.recv(65_536)
        assert piece, seen
        seen += piece


def descriptors(one: Installation) -> dict[str, int]:
    """Return how many file descriptors each worker has open."""
    if not Path("/proc").exists():
        pytest.skip("not exercised: this system does not show the descriptors of other processes")
    return {name: len(list(Path(f"/proc/{page.pid}/fd").iterdir())) for name, page in one.pages().items()}


def closed_ms(one: Installation, closed_at: dict[str, int]) -> list[float]:
    """Wait until the model has seen every caller go; return the milliseconds that each took to be noticed."""
    server = one.simulated["base"]

    def noticed() -> dict[str, int]:
        return {gone["mark"]: gone["noticed_at"] for gone in server.cancelled() if gone["mark"] in closed_at}

    until(lambda: len(noticed()) == len(closed_at), "the model has seen every caller go", within_s=10, pause_s=0.1)
    seen = noticed()
    return [(seen[mark] - at) / 1000 for mark, at in closed_at.items()]


def hang_up(one: Installation, times: int, model: str, *, streams: bool) -> dict[str, int]:
    """Have so many callers wait for an answer at once, then hang up one after the other; return when each did."""
    marks = [f"{model}-{time.monotonic_ns()}-{number}" for number in range(times)]
    with ExitStack() as held:
        waiting = {
            mark: held.enter_context(hang(one, mark, model, stream=streams or number % 2 == 0))
            for number, mark in enumerate(marks)
        }
        if streams:
            for opened in waiting.values():
                read_until(opened, b'"content":"')
        if model == CONTENDED:
            until(lambda: in_flight(one) == times, "all are in the gateway")
            until(lambda: 0 < open_requests(one, model) <= SLOTS, "the model works on some")
        else:
            until(lambda: open_requests(one, model) == times, "the model works on all of them")
        return leave(waiting)


def leave(waiting: dict[str, socket.socket]) -> dict[str, int]:
    """Hang up one after the other, in any order; return when each did, in microseconds since 1970 UTC."""
    closed_at: dict[str, int] = {}
    for mark, opened in random.Random(len(waiting)).sample(list(waiting.items()), len(waiting)):
        closed_at[mark] = now_us()
        opened.close()
        time.sleep(0.002)
    return closed_at


def open_requests(one: Installation, model: str) -> int:
    """Return how many requests the model works on."""
    return one.simulated["base"].counts()[model]["open_requests"]


def in_flight(one: Installation) -> int:
    """Return how many requests the workers have."""
    return sum(page.in_flight for page in one.pages().values())


def contend(one: Installation) -> list[float]:
    """Have many callers wait in line for one model and hang up; return the milliseconds of those that it worked on."""
    closed_at = hang_up(one, WAITING, CONTENDED, streams=False)
    until(lambda: in_flight(one) == 0 and open_requests(one, CONTENDED) == 0, "none is left in line", within_s=10)
    reached = {gone["mark"] for gone in one.simulated["base"].cancelled()}
    return closed_ms(one, {mark: at for mark, at in closed_at.items() if mark in reached})


def rest(one: Installation) -> dict[str, int]:
    """Wait until nothing is in flight and no connection closes any more; return the workers' open descriptors."""
    seen = [descriptors(one)]

    def is_quiet() -> bool:
        seen.append(descriptors(one))
        return seen[-1] == seen[-2] and not any(page.in_flight for page in one.pages().values())

    until(is_quiet, "nothing is in flight", pause_s=0.3)
    return seen[-1]


def warm_up(one: Installation) -> None:
    """Let every worker have made what it makes once."""
    for number in range(20):
        assert not failures(ask_all(one, [f"warm-{number}"], at_once=1))


@pytest.mark.parametrize(("rounds", "within_ms"), ROUNDS)
def test_hanging_up_at_any_moment_stops_the_model_and_leaks_nothing(rounds: int, within_ms: float, one: Installation):
    warm_up(one)
    before = rest(one)
    took_ms: dict[str, list[float]] = {"before the first byte": [], "in mid-stream": [], "in line": []}

    for _ in range(rounds):
        took_ms["before the first byte"] += closed_ms(one, hang_up(one, EARLY, SILENT, streams=False))
        took_ms["in mid-stream"] += closed_ms(one, hang_up(one, MIDWAY, DRIPPING, streams=True))
        took_ms["in line"] += contend(one)
    answers = ask_all(one, [f"after-{number}" for number in range(100)], at_once=1)

    assert not failures(answers)
    after = rest(one)
    for moment, each in took_ms.items():
        log.info("%s: closed at the model after %s", moment, spread(each))
    log.info("descriptors of the workers: before %s, after %s", before, after)
    assert len(took_ms["in line"]) >= rounds
    for each in took_ms.values():
        assert quantile(each, 0.99) <= within_ms
        assert max(each) <= AT_MOST_MS
    assert {name: abs(after[name] - count) <= 5 for name, count in before.items()} == dict.fromkeys(before, True)
    assert {open_requests(one, model) for model in (SILENT, DRIPPING, CONTENDED)} == {0}


def test_who_leaves_the_line_is_recorded_and_never_reaches_the_model(one: Installation):
    def rows() -> list[dict[str, Any]]:
        return one.lake(f"SELECT outcome, upstream FROM records WHERE model_requested = '{CONTENDED}'")

    already = len(rows())
    requests = one.simulated["base"].counts()[CONTENDED]["requests"]
    contend(one)
    found = rows()
    reached = one.simulated["base"].counts()[CONTENDED]["requests"] - requests

    assert len(found) - already == WAITING
    assert {row["outcome"] for row in found} == {"client_cancelled"}
    assert 0 < reached < WAITING
    assert sum(row["upstream"] is None for row in found) > 0


@pytest.mark.parametrize("model", [SILENT, DRIPPING])
def test_a_caller_that_says_it_sends_no_more_is_taken_to_have_left(model: str, one: Installation):
    cancelled = one.simulated["base"].counts()[model]["cancelled"]
    with hang(one, f"half-{model}", model, stream=True) as opened:
        until(lambda: open_requests(one, model) == 1, "the model works on it")
        opened.shutdown(socket.SHUT_WR)

        until(lambda: open_requests(one, model) == 0, "the model has stopped", within_s=5)
        received = b"".join(iter(lambda: opened.recv(65_536), b""))

    assert one.simulated["base"].counts()[model]["cancelled"] == cancelled + 1
    assert b"[DONE]" not in received
    [row] = one.lake(f"SELECT outcome FROM records WHERE model_served = '{model}' ORDER BY started_at DESC LIMIT 1")
    assert row["outcome"] == "client_cancelled"


def test_every_such_request_is_recorded_once_as_the_callers_own_doing(one: Installation):
    already = Counter({row["model"]: row["records"] for row in recorded(one)})
    hang_up(one, 8, SILENT, streams=False)
    hang_up(one, 8, DRIPPING, streams=True)

    rows = {row["model"]: row for row in recorded(one)}

    assert {model: row["records"] - already[model] for model, row in rows.items()} == {SILENT: 8, DRIPPING: 8}
    assert {model: row["outcomes"] for model, row in rows.items()} == {
        SILENT: ["client_cancelled"],
        DRIPPING: ["client_cancelled"],
    }
    assert rows[SILENT]["sources"] == ["missing"]
    assert rows[DRIPPING]["sources"] == ["estimated"]
    assert rows[DRIPPING]["least_output"] >= 1
    assert rows[DRIPPING]["costed"] == 0
    assert one.look().sound


def recorded(one: Installation) -> list[dict[str, Any]]:
    return one.lake(
        "SELECT model_served AS model, count(*) AS records, list(DISTINCT outcome) AS outcomes, "
        "list(DISTINCT usage_source) AS sources, min(output_tokens) AS least_output, count(cost_usd) AS costed "
        f"FROM records WHERE model_served IN ('{SILENT}', '{DRIPPING}') GROUP BY 1"
    )


def test_a_caller_that_leaves_while_sending_its_request_is_recorded_and_never_sent_on(one: Installation):
    requests = one.simulated["base"].counts()[BASE]["requests"]
    target = urlsplit(one.gateway)
    opened = socket.create_connection((target.hostname or "", target.port or 0), timeout=20)
    opened.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {target.netloc}\r\n"
        f"authorization: Bearer {one.keys['application']}\r\ncontent-length: 1000\r\n\r\n{{".encode()
    )
    time.sleep(0.3)
    opened.close()

    def rows() -> list[dict[str, Any]]:
        return one.lake("SELECT outcome, status, upstream FROM records WHERE model_requested IS NULL")

    until(lambda: bool(rows()), "it is recorded", pause_s=0.2)
    assert rows() == [{"outcome": "client_cancelled", "status": None, "upstream": None}]
    assert one.simulated["base"].counts()[BASE]["requests"] == requests
