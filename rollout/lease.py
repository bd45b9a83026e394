"""The port to what hosts lease of a fleet's limits. Pure: what is asked, what is answered, and what may go wrong.

A limit of a fleet is kept by leases: each host asks one store for a part of it, ahead of its requests, and says with
every beat what it has. All that is said is absolute (what a host has, never what it adds), so an answer that was lost
and a question that was put twice do no harm, and a store that lost everything learns it again from its hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Kind = Literal["slots", "rate", "cost"]
"""Requests at one time; requests per minute, in tokens of a bucket; nano-USD per UTC day."""

YOUNG_MS = 2_000
"""For so long a store that remembers nothing lets hosts say what they have; all of them come back within this."""
QUIET_MS = 1_500
"""A host that said nothing for so long (it beats twice a second) may have taken its part of what was free."""
DEAD_MS = 10_000
"""A host that said nothing for so long is gone, and so are its slots."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says about one limit, and what it wants of it."""

    kind: Kind
    name: str
    """The application's; limits of one kind and name are one limit, on every host."""

    limit: int
    """Slots, tokens per minute, or nano-USD per day; 1 or more."""

    has: int = 0
    """Slots: granted now, however few are in use; cost: nano-USD granted for `day`, in all; rate: unused tokens.

    To give back, a host lowers what it has, looks again what is in use, and says so.
    """

    held: int = 0
    """Slots in use, which cannot be refused any more, even where they are more than it has; else 0."""

    wanted: int = 0
    """How many more it would like: 0 or more."""

    owed: int = 0
    """Rate: tokens that it gave itself without the store, and that no answer has settled yet; else 0.

    Neither an answer that was lost nor one of a young store settles anything: they are said again, and counted once.
    """

    back: int = 0
    """Rate: unused tokens that it keeps from its requests, for the store to have; a young store leaves them to it."""

    day: int = 0
    """Cost: the UTC day, in days since 1970, that `has` is of; else 0."""

    known_free: int | None = None
    """What was free at its last look (a rate's: reckoned forward to now). None: it has never looked.

    It fills a bucket that the store has lost. Of a cost, None says that what the store still knows of this host was
    spent in an earlier life of it, and is not in `has`.
    """


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has of one limit from now on."""

    granted: int
    """Slots: how many it has now; cost: nano-USD it has for `day`, in all; rate: tokens to add to what it has."""

    free: int
    """What nobody has; below 0 of a rate of which more was taken than there was."""

    day: int = 0
    """Cost: the UTC day by the store's clock that `granted` is of; else 0."""

    retry_ms: int = 0
    """In how many milliseconds more may be free, where it got less than it wanted; else 0."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation's outcome: the fleet, and an answer to each ask, in the order of the asks."""

    hosts: int
    """How many hosts spoke to the store lately, this one among them."""

    rank: int
    """The place of this host among them, from 0; the same for all that see the same hosts."""

    is_young: bool
    """The store has just begun to remember: it grants nothing yet but what hosts say they have.

    Until it is older, what is free is unknown, and a host goes by its own part, as if the store were away.
    """

    answers: tuple[Answer, ...]


class LeaseStore(Protocol):
    """Where hosts lease from. Used by one thread; never on a request's path."""

    def settle(self, host: str, asks: Sequence[Ask]) -> Settled:
        """Say what this host has, and take what is granted; without asks it is a sign of life.

        Raises:
            StoreUnavailableError: it did not answer in time or refuses; what it did with the asks is unknown.
        """
        ...

    def close(self) -> None:
        """Throw the connections away; a later `settle` makes new ones."""
        ...
