"""Leases of a fleet's limits in Redis: a `LeaseStore` whose every conversation is one call of one script.

What hosts have lies under `turnout:limit:*`, by Redis' own clock, and may be lost at any time: the next beats of the
hosts put it back. No call waits longer than 200 ms for an answer, and none is repeated. After a failure, and after an
answer that took longer than that in all, the store is left alone for a while of random length; a connection on which
something failed is thrown away.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path
from typing import cast

from redis.exceptions import NoScriptError

from rollout.lease import DEAD_MS, QUIET_MS, YOUNG_MS, Answer, Ask, Settled
from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_address import TIMEOUT_S, RedisAccess
from rollout.stores.redis_client import Client, close, connect, reported

PREFIX = "turnout:limit"
REST_S = 1.0
"""After a failure it is asked again after half of this to all of it."""
_SCRIPT = Path(__file__).with_suffix(".lua")
_ABOUT_ALL = 4
_ABOUT_EACH = 4


class RedisLeases:
    """A `LeaseStore` on Redis 7.0 or newer, or Valkey."""

    def __init__(
        self,
        access: RedisAccess,
        *,
        clock: Callable[[], float] = time.monotonic,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._access = access
        self._clock = clock
        self._randomness = randomness
        self._script = _SCRIPT.read_bytes()
        self._digest = sha1(self._script, usedforsecurity=False).hexdigest()
        self._client: Client | None = None
        self._heard_ms: int | str = ""
        self._trouble = ""
        self._rests_until = clock()

    def settle(self, host: str, asks: Sequence[Ask]) -> Settled:
        """Say what this host has, and take what is granted; while the store is left alone, raise what was wrong.

        Raises:
            StoreUnavailableError: it did not answer in time or refuses; what it did with the asks is unknown.
        """
        began = self._clock()
        if began < self._rests_until:
            raise StoreUnavailableError(self._trouble)
        try:
            with reported(self._access):
                found = self._answered(host, asks)
        except StoreUnavailableError as error:
            self.close()
            self._leave_alone(str(error))
            raise
        if (took_s := self._clock() - began) > TIMEOUT_S:
            self._leave_alone(f"Redis at {self._access.address} took {took_s:.1f} s to answer")
        self._heard_ms = found[_ABOUT_ALL - 1]
        return _settled(found)

    def close(self) -> None:
        """Throw the connections away; a later `settle` makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            close(client)

    def _leave_alone(self, trouble: str) -> None:
        self._trouble = trouble
        self._rests_until = self._clock() + REST_S * (1 - self._randomness() / 2)

    def _answered(self, host: str, asks: Sequence[Ask]) -> list[int]:
        client = self._client = self._client or connect(self._access)
        keys = [f"{PREFIX}:since", f"{PREFIX}:hosts", *(f"{PREFIX}:{ask.kind}:{ask.name}" for ask in asks)]
        words = [YOUNG_MS, QUIET_MS, DEAD_MS, host, self._heard_ms, *(word for ask in asks for word in _words(ask))]
        try:
            found = client.evalsha(self._digest, len(keys), *keys, *words)
        except NoScriptError:
            found = client.eval(self._script, len(keys), *keys, *words)
        return cast("list[int]", found)


def _words(ask: Ask) -> tuple[str | int, ...]:
    known = "" if ask.known_free is None else ask.known_free
    return ask.kind, ask.limit, ask.has, ask.held, ask.wanted, ask.owed, ask.back, ask.day, known


def _settled(found: list[int]) -> Settled:
    hosts, rank, young, _ = found[:_ABOUT_ALL]
    each = (found[start : start + _ABOUT_EACH] for start in range(_ABOUT_ALL, len(found), _ABOUT_EACH))
    answers = [Answer(granted=granted, free=free, day=day, retry_ms=retry_ms) for granted, free, day, retry_ms in each]
    return Settled(hosts=hosts, rank=rank, is_young=bool(young), answers=tuple(answers))
