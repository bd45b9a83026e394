"""Send what simulated users say of the answers of a replay: most at once, some after the last request.

Law: feedback has connections of its own, so that no request waits for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from http import HTTPStatus

import httpx
import msgspec

from gateway.cli.target import Target
from gateway.simulate.results import FeedbackSummary
from gateway.simulate.users import Habit, Opinion, habit, opinion, text_of

_CONNECTIONS = 64
_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)
_TIMEOUTS = {"timeout": httpx.Timeout(60.0).as_dict()}


class _Letter(msgspec.Struct, frozen=True):
    body: bytes
    late: bool
    again: bool = False


class Post:
    """Carries the feedback of one replay; `share` (0-1) is of all requests. Made inside a running event loop."""

    def __init__(self, target: Target, *, seed: int, share: float) -> None:
        self._url = httpx.URL(f"{target.url}/feedback")
        self._headers = target.headers
        self._seed = seed
        self._share = share
        self._queue: asyncio.Queue[_Letter | None] = asyncio.Queue()
        self._late: list[_Letter] = []
        self._failures: Counter[str] = Counter()
        self._heard = self._sent = self._late_sent = self._again = 0

    def habit(self, number: int) -> Habit | None:
        """Return how the user of this request reacts, or None."""
        return habit(self._seed, number, self._share)

    def hear(self, drawn: Habit, body: bytes, request_id: str, *, streamed: bool) -> Opinion | None:
        """Let a user read an answer and post what it makes them say; return that."""
        said = opinion(drawn, text_of(body, streamed=streamed))
        if said is None or not request_id:
            return None
        self._heard += 1
        letter = _Letter(said.body(request_id), drawn.late)
        letters = [letter, msgspec.structs.replace(letter, again=True)] if drawn.twice else [letter]
        for one in letters:
            if one.late:
                self._late.append(one)
            else:
                self._queue.put_nowait(one)
        return said

    def start(self, group: asyncio.TaskGroup, tls: ssl.SSLContext) -> None:
        """Start to carry; the tasks end after `last`."""
        for number in range(_CONNECTIONS):
            group.create_task(self._carry(tls), name=f"feedback connection {number}")

    def last(self) -> None:
        """Post the late ones, now that nobody will be heard any more, and let the tasks end."""
        for end in [*self._late, *[None] * _CONNECTIONS]:
            self._queue.put_nowait(end)

    def summary(self) -> FeedbackSummary:
        """Return what became of it."""
        return FeedbackSummary(
            requests=self._heard,
            accepted=self._sent,
            late=self._late_sent,
            again=self._again,
            failed=self._failures.total(),
            failures=dict(sorted(self._failures.items())),
        )

    async def _carry(self, tls: ssl.SSLContext) -> None:
        async with httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=_ONE) as transport:
            while (letter := await self._queue.get()) is not None:
                failure = await self._delivered(transport, letter)
                if failure is not None:
                    self._failures[failure] += 1
                    continue
                self._sent += 1
                self._late_sent += letter.late
                self._again += letter.again

    async def _delivered(self, transport: httpx.AsyncBaseTransport, letter: _Letter) -> str | None:
        """Send one; return None, or what went wrong as a status or a word."""
        request = httpx.Request("POST", self._url, headers=self._headers, content=letter.body, extensions=_TIMEOUTS)
        try:
            response = await transport.handle_async_request(request)
            try:
                await response.aread()
            finally:
                await response.aclose()
        except httpx.TransportError:
            return "connection lost"
        return None if response.status_code == HTTPStatus.ACCEPTED else str(response.status_code)
