"""What people are told of rollouts: one thing that happened, in words; and who takes it. Pure; `notify/` carries it.

The law: what has the same `identity` is the same event and is told once, however often it is announced. So whoever
announces may do it again after a restart, for whatever it finds in the ledger.
"""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol, get_args

import msgspec

from rollout.phase import Phase
from rollout.verdict import Verdict

What = Literal[
    "started",
    "advanced",
    "awaiting_approval",
    "rolled_back",
    "hold_for_24_h",
    "inconclusive",
    "paused",
    "resumed",
    "finished",
    "overridden",
    "monitor_alarm",
    "controller_silent",
    "controller_back",
    "percent_source",
    "test",
]
"""`hold_for_24_h`: the gate has held for a day, or for the whole dwell of a shorter step. `overridden`: a person
advanced against the verdict. `monitor_alarm`: GA's detector, which rolls nothing back. `percent_source`: a foreign flag
rules the percent, and is in trouble."""

WHATS: tuple[What, ...] = get_args(What)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `words`: one sentence for people. `at`: µs since 1970 UTC, when it happened.

    `rollout` is None where it is about all of them. `mark` tells apart what may happen more than once in a step, such
    as the number of the audit's entry; of a state that lasts it stays the same for as long as that lasts.
    """

    what: What
    words: str
    at: int
    rollout: str | None = None
    generation: int = 0
    step: int = 0
    phase: Phase | None = None
    percent: float | None = None
    verdict: Verdict | None = None
    mark: str = ""

    @property
    def identity(self) -> str:
        """Return 32 hex digits: the same for the same event, whenever it is announced and in whatever words."""
        place = (self.what, self.rollout, self.generation, self.step, self.mark)
        return hashlib.sha256(msgspec.json.encode(place)).hexdigest()[:32]


class Announce(Protocol):
    """Whoever takes notices; may be called from any thread."""

    def announce(self, notice: Notice) -> None:
        """Keep it, to be delivered soon; never waits for a network and never raises."""
        ...


class Unannounced:
    """Where nobody wants to be told."""

    def announce(self, notice: Notice) -> None:
        """Take no notice of it."""
