"""One answer of a scripted upstream, brought to one caller, with every moment of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.proxy.caller import Header
from gateway.proxy.endpoints import CHAT, Endpoint
from gateway.proxy.exchange import Called
from gateway.proxy.relay import Passing, relay, relay_stream, relay_whole
from gateway.proxy.upstream import Fault
from tests.fakes.proxy import MODELS, Caller, Counts, Journal, Moments, ScriptedAnswer, entry_of

PRICED = Called(arm="base", model="gpt", upstream="one", price=MODELS["gpt"].price, price_version="p1")


class Relayed:
    """One answer brought to one caller."""

    def __init__(self, *steps: bytes | Fault, status: int = 200, headers: Sequence[Header] = ()) -> None:
        self.moments = Moments()
        self.journal = Journal(moments=self.moments)
        self.caller = Caller(self.moments)
        self.connection = self.caller.connection()
        self.answer = ScriptedAnswer(self.moments, *steps, status=status, headers=headers)
        self.entry = entry_of(self.journal, Counts())
        self.entry.open(PRICED, 600.0)
        self.entry.exchange.answered(status)

    async def whole(self) -> Relayed:
        await relay_whole(self.connection, self.answer, self.entry, [(b"x-request-id", b"r1")])
        return self

    async def stream(
        self, *, withholds_usage: bool = True, endpoint: Endpoint = CHAT, last_events: int | None = None
    ) -> Relayed:
        passing = self._passing(endpoint, last_events, withholds_usage=withholds_usage)
        await relay_stream(self.connection, self.answer, self.entry, [(b"x-request-id", b"r1")], **passing)
        return self

    async def any(self, endpoint: Endpoint, last_events: int | None = None) -> Relayed:
        """Hand it on in whatever form it has."""
        passing = self._passing(endpoint, last_events, withholds_usage=False)
        await relay(self.connection, self.answer, self.entry, [(b"x-request-id", b"r1")], passing)
        return self

    def _passing(self, endpoint: Endpoint, last_events: int | None, *, withholds_usage: bool) -> Passing:
        last = endpoint.last_events if last_events is None else last_events
        return Passing(endpoint=endpoint, withholds_usage=withholds_usage, comment_s=10.0, held_s=0.0, last_events=last)

    @property
    def ending(self) -> tuple[str, int | None, str | None]:
        record = self.journal.record
        return record.outcome, record.status, record.error_class

    @property
    def last_event(self) -> Any:
        return msgspec.json.decode(self.caller.body.rsplit(b"data: ", 1)[1])

    def is_closed_before(self, moment: str) -> bool:
        seen = self.moments.seen
        (closed,) = [at for at, what in enumerate(seen) if what.startswith("closed")]
        last = len(seen) - 1 - seen[::-1].index(moment)
        return closed < last
