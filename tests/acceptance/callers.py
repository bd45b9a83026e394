"""Applications that call a gateway: one connection each, by the standard library's HTTP client, many in threads."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.acceptance.harness import ROLLOUT, Installation

TIMEOUT_S = 20.0
RECONNECT_EVERY = 10
"""A connection stays with one worker; a new one goes to any."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; times are microseconds since 1970 UTC. `failure` tells why nothing, or not all, did."""

    sent_at: int
    ended_at: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    failure: str | None = None

    @property
    def arm(self) -> str | None:
        """Return the arm that answered."""
        return self.headers.get("x-turnout-arm")

    @property
    def request_id(self) -> str:
        """Return the id of the request's record."""
        return self.headers["x-request-id"]

    @property
    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.body)

    @property
    def is_stream(self) -> bool:
        """Tell whether it was streamed."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def is_complete(self) -> bool:
        """Tell whether the whole answer came, a stream's end included."""
        return self.failure is None and self.status == 200 and (not self.is_stream or b"data: [DONE]" in self.body)


class Caller:
    """One application's connection; it reconnects when it was closed."""

    def __init__(self, one: Installation, key: str | None = None) -> None:
        target = urlsplit(one.gateway)
        self._connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=TIMEOUT_S)
        self._key = key or one.keys["application"]

    def chat(
        self, user: str | None = None, *, model: str = ROLLOUT, headers: dict[str, str] | None = None, **fields: Any
    ) -> Answer:
        """Send one chat completion and read its answer to the end."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}
        if user is not None:
            body["user"] = user
        return self.post("/v1/chat/completions", body, headers or {})

    def feedback(self, **fields: Any) -> Answer:
        """Say what a user thought of an answer."""
        return self.post("/v1/feedback", fields, {})

    def post(self, path: str, body: Any, headers: dict[str, str]) -> Answer:
        """Send JSON and read the answer to the end."""
        sent = {"authorization": f"Bearer {self._key}", "content-type": "application/json", **headers}
        sent_at = now_us()
        try:
            self._connection.request("POST", path, json.dumps(body), sent)
            answer = self._connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(sent_at=sent_at, ended_at=now_us(), failure=repr(error))
        return Answer(sent_at=sent_at, ended_at=now_us(), status=answer.status, headers=said, body=content)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def now_us() -> int:
    """Return the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def ask_all(
    one: Installation, users: Iterable[str | None], *, at_once: int = 8, key: str | None = None, **fields: Any
) -> list[Answer]:
    """Send one request for each of the users, in their order, over several connections."""
    here = threading.local()
    callers: list[Caller] = []

    def ask(user: str | None) -> Answer:
        if not hasattr(here, "caller"):
            here.caller = Caller(one, key)
            callers.append(here.caller)
        return here.caller.chat(user, **fields)

    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(ask, users))
    for caller in callers:
        caller.close()
    return answers


@contextmanager
def load(
    one: Installation, users: Sequence[str], *, at_once: int = 4, pause_s: float = 0.005, **fields: Any
) -> Iterator[list[Answer]]:
    """Keep sending while the block lasts; every second request is streamed. The list holds the answers so far."""
    answers: list[Answer] = []
    over = threading.Event()

    def keep_asking(start: int) -> None:
        caller = Caller(one)
        number = start
        while not over.is_set():
            number += at_once
            answers.append(caller.chat(users[number % len(users)], stream=bool(number // at_once % 2), **fields))
            if number // at_once % RECONNECT_EVERY == 0:
                caller.close()
            over.wait(pause_s)
        caller.close()

    threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1000) * len(ordered) // 1000) - 1)]


def spread(values: Sequence[float], unit: str = "ms") -> str:
    """Write p50, p99 and maximum."""
    parts = (f"p50 {quantile(values, 0.5):.1f}", f"p99 {quantile(values, 0.99):.1f}", f"max {max(values):.1f}")
    return f"{', '.join(parts)} {unit} over {len(values)}"


def failures(answers: Iterable[Answer], is_good: Callable[[Answer], bool] = lambda one: one.is_complete) -> list[Any]:
    """Return what is wrong with the answers that are not complete, a few of them."""
    bad = [answer for answer in answers if not is_good(answer)]
    return [(answer.status, answer.failure, answer.body[-300:]) for answer in bad[:5]]
