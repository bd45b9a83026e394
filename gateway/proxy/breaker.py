"""A circuit breaker: whether a model server is worth asking. Pure: the moment comes in as an argument.

    closed      every request passes; ten failures in a row open it, or twenty in ten seconds that are half of all
    open        none passes, for five seconds
    half open   one passes in five seconds; its answer closes the circuit, its failure opens it again

Law: the moment until which it is open only ever moves on: a failure of a request that was under way before changes
nothing that a later one has found out.
"""

from __future__ import annotations

IN_A_ROW = 10
AT_LEAST = 20
SHARE = 0.5
WINDOW_S = 10.0
OPEN_S = 5.0


class Breaker:
    """The circuit to one deployment, in one worker; moments are monotonic seconds."""

    __slots__ = ("_began_at", "_calls", "_failures", "_is_half_open", "_open_until", "_row")

    def __init__(self) -> None:
        self._open_until: float | None = None
        self._is_half_open = False
        self._began_at = 0.0
        self._calls = self._failures = self._row = 0

    @property
    def is_closed(self) -> bool:
        """Tell whether every request passes."""
        return self._open_until is None

    def lets_pass(self, now: float) -> bool:
        """Tell whether this request may be sent; the one that passes half open is the only one for five seconds."""
        if self._open_until is None:
            return True
        if now < self._open_until:
            return False
        self._open_until = now + OPEN_S
        self._is_half_open = True
        return True

    def answered(self, now: float) -> None:
        """Note an answer; it closes a circuit that is half open, and one that was under way before closes none."""
        self._look(now)
        self._calls += 1
        self._row = 0
        if self._is_half_open:
            self._open_until = None
            self._is_half_open = False
            self._calls = self._failures = 0

    def failed(self, now: float) -> None:
        """Note a failure."""
        self._look(now)
        self._calls += 1
        self._failures += 1
        self._row += 1
        is_half = self._failures >= AT_LEAST and self._failures >= SHARE * self._calls
        if self._open_until is not None or self._row >= IN_A_ROW or is_half:
            self._open_until = max(self._open_until or 0.0, now + OPEN_S)
            self._is_half_open = False
            self._calls = self._failures = self._row = 0

    def _look(self, now: float) -> None:
        """Begin a new window when the last one is over."""
        if now - self._began_at >= WINDOW_S:
            self._began_at = now
            self._calls = self._failures = 0
