"""What of a streamed answer is passed on. Pure: upstream bytes in, the caller's bytes out, the exchange informed.

Law: whole events pass in order and unchanged; only the usage chunk that the caller did not ask for is withheld.
"""

from __future__ import annotations

from gateway.proxy import reply
from gateway.proxy.exchange import Exchange
from gateway.proxy.sse import DONE, Splitter, payload

MAX_EVENT_BYTES = 16 * 1024 * 1024


class OversizedEventError(ValueError):
    """An event that does not end within `MAX_EVENT_BYTES`."""


class Passage:
    """One stream on its way through. `is_complete` after its end was told.

    The end is `[DONE]`, or the event that says it by its type; of these, `last_events` come (0: whatever ends the
    stream is its end). `has_failed` after an error event, for which `error_class` is the record's word; `has_begun`
    after the first event that is no error; `first_error` is an error before that, as the body of an answer. `sequence`
    is the number of the last event that had one.
    """

    __slots__ = (
        "_exchange",
        "_last_events",
        "_splitter",
        "_withholds_usage",
        "error_class",
        "first_error",
        "has_begun",
        "has_failed",
        "has_unreadable",
        "is_complete",
        "sequence",
    )

    def __init__(self, exchange: Exchange, *, withholds_usage: bool, last_events: int = 1) -> None:
        self._exchange = exchange
        self._splitter = Splitter()
        self._withholds_usage = withholds_usage
        self._last_events = last_events
        self.is_complete = False
        self.has_failed = False
        self.has_begun = False
        self.first_error: bytes | None = None
        self.has_unreadable = False
        self.error_class = "error_event"
        self.sequence = -1

    def take(self, received: bytes, now: float) -> bytes:
        """Return what the caller gets for these bytes: the events that they complete.

        Raises:
            OversizedEventError: an event is longer than any that a model server sends.
        """
        passed = [event for event in self._splitter.feed(received) if self._passes(event, now)]
        if not passed and self._splitter.kept_bytes > MAX_EVENT_BYTES:
            raise OversizedEventError
        return b"".join(passed)

    def rest(self, now: float) -> bytes:
        """Return what is left when the upstream has ended: an event that lacks its empty line."""
        rest = self._splitter.rest()
        return rest if self._passes(rest, now) else b""

    def _passes(self, event: bytes, now: float) -> bool:
        content = payload(event)
        if content is None:
            return True
        if content == DONE:
            self.is_complete = self.has_begun = True
            return True
        chunk = reply.read(content)
        if chunk is None:
            self.has_unreadable = self.has_begun = True
            return True
        if chunk.failed:
            self._fail(chunk, content)
        else:
            self.has_begun = True
        self._exchange.saw_chunk(chunk, now)
        if chunk.type is not None:
            self._note(chunk)
        return not (self._withholds_usage and chunk.is_usage_only)

    def _note(self, event: reply.Reply) -> None:
        """Count an event that has a type."""
        if event.sequence_number is not None:
            self.sequence = event.sequence_number
        if event.ends and self._last_events:
            self._last_events -= 1
            self.is_complete = not self._last_events

    def _fail(self, event: reply.Reply, content: bytes) -> None:
        self.has_failed = True
        if event.response is not None:
            self.error_class = "response_failed"
        if not self.has_begun and self.first_error is None:
            self.first_error = event.error_body(content)
