"""The snapshot's way through Redis: the console writes one signed value, workers read it.

`turnout:snapshot` holds the sealed snapshot; its first 32 bytes, the signature, tell one from another. A message on
`turnout:snapshot:hint` says "look now" and may be lost: looking every half second is what changes arrive by.
`turnout:snapshot:console` says which console writes; consoles alone read and write it.

No call waits longer than 200 ms for an answer, and none is repeated by the library. After a failure, and after an
answer that was slow, the store is left alone for a while of random length; it is asked again for ever. Each object here
is used by one thread, off every request's path, and a connection on which something failed is thrown away.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any, cast

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_address import TIMEOUT_S, RedisAccess
from rollout.stores.redis_client import Client, close, connect, reported

KEY = "turnout:snapshot"
HINTS = "turnout:snapshot:hint"
LEASE = "turnout:snapshot:console"
LARGEST_BYTES = 16 * 1024 * 1024
POLL_S = 0.5
SLOW_S = 0.1
"""An answer that took longer counts as a failure does: the store is left alone for a while."""
REST_S = 1.0
_MARK_BYTES = 32
_LONGEST_LEASE_BYTES = 4096
_UNREADABLE = b"\0"
_MOST_HINTS = 100
_SUBSCRIBE_AGAIN_S = 5.0
"""Where the account may not subscribe, it asks again after this."""


class RedisSnapshots:
    """A `SnapshotSource` on Redis: called every 50 ms or so, it asks every half second, and at once after a hint."""

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
        self._client: Client | None = None
        self._hints: Any = None
        self._returned: bytes | None = None
        self._trouble: str | None = None
        self._is_resting = False
        self._ask_at = self._subscribe_at = 0.0

    def poll(self) -> bytes | None:
        """Return the sealed snapshot when it is another than the last one returned; raise what was wrong last."""
        began = self._clock()
        if began < self._ask_at and (self._is_resting or not self._hinted()):
            if self._trouble is not None:
                raise StoreUnavailableError(self._trouble)
            return None
        try:
            with reported(self._access):
                sealed = self._changed()
        except StoreUnavailableError as error:
            self.close()
            self._trouble = str(error)
            self._wait(REST_S)
            raise
        self._trouble = None
        self._wait(REST_S if self._clock() - began > SLOW_S else None)
        return sealed

    def close(self) -> None:
        """Throw the connections away; a later `poll` makes new ones."""
        client, self._client = self._client, None
        self._forget_hints()
        self._subscribe_at = 0.0
        if client is not None:
            close(client)

    def _wait(self, rest_s: float | None) -> None:
        """Ask again after about this long, or after the usual half second; never all workers at one moment."""
        self._is_resting = rest_s is not None
        self._ask_at = self._clock() + (rest_s or POLL_S) * (1 - self._randomness() / 2)

    def _changed(self) -> bytes | None:
        if self._client is None:
            self._client = connect(self._access)
        if self._hints is None and self._clock() >= self._subscribe_at:
            self._hints = _subscribed(self._client)
            self._subscribe_at = self._clock() + _SUBSCRIBE_AGAIN_S
        mark, size = _glance(self._client)
        if size == 0:
            return self._missing()
        if size > LARGEST_BYTES:
            message = f"{KEY} in Redis at {self._access.address} has {size} bytes, which no snapshot has; refused"
            raise StoreUnavailableError(message)
        if self._returned is not None and (mark, size) == (self._returned[:_MARK_BYTES], len(self._returned)):
            return None
        self._returned = _value(self._client)
        return self._returned

    def _missing(self) -> bytes | None:
        if self._returned is None:
            return None
        message = f"{KEY} is gone from Redis at {self._access.address}; a running console puts it back"
        raise StoreUnavailableError(message)

    def _hinted(self) -> bool:
        """Tell whether somebody said that there is something new; whatever the message says, it is only a hint."""
        if self._hints is None:
            return False
        try:
            messages: Iterator[dict[str, Any]] = iter(partial(self._hints.get_message, timeout=0), None)
            return any(one["type"] == "message" for one in islice(messages, _MOST_HINTS))
        except (RedisError, OSError, ValueError):
            self._forget_hints()
            return True

    def _forget_hints(self) -> None:
        hints, self._hints = self._hints, None
        if hints is not None:
            with suppress(RedisError, OSError):
                hints.close()


class RedisSnapshotStore:
    """Where the console puts the sealed snapshot, and looks whether it is still there."""

    def __init__(self, access: RedisAccess) -> None:
        self._access = access
        self._client: Client | None = None

    def holds(self, sealed: bytes) -> bool:
        """Tell, by its signature and its size, whether this snapshot is what workers find.

        Raises:
            StoreUnavailableError: Redis did not answer in time, or refuses.
        """
        with self._asking() as client:
            try:
                return _glance(client) == (sealed[:_MARK_BYTES], len(sealed))
            except ResponseError as error:
                if _is_of_another_type(error):
                    return False
                raise

    def held(self) -> bytes | None:
        """Return what workers find, if it can be a snapshot by its size.

        Raises:
            StoreUnavailableError: as in `holds`.
        """
        with self._asking() as client:
            try:
                return _value(client) if 0 < _glance(client)[1] <= LARGEST_BYTES else None
            except ResponseError as error:
                if _is_of_another_type(error):
                    return None
                raise

    def put(self, sealed: bytes) -> None:
        """Replace what workers find, whatever it was, and hint at it. A hint that nobody may send is done without.

        Raises:
            StoreUnavailableError: as in `holds`; or the snapshot is larger than workers would take.
        """
        if len(sealed) > LARGEST_BYTES:
            message = f"the snapshot has {len(sealed)} bytes, more than {LARGEST_BYTES}; shorten the prices or the keys"
            raise StoreUnavailableError(message)
        with self._asking() as client:
            client.set(KEY, sealed)
            with suppress(ResponseError):
                client.publish(HINTS, b"new")

    def leased(self) -> bytes | None:
        """Return what lies where the lease of the writing console belongs; None if nothing.

        Raises:
            StoreUnavailableError: as in `holds`.
        """
        with self._asking() as client, _of_the_lease():
            try:
                return cast("bytes", client.getrange(LEASE, 0, _LONGEST_LEASE_BYTES)) or None
            except ResponseError as error:
                if _is_of_another_type(error):
                    return _UNREADABLE
                raise

    def lease(self, value: bytes, for_s: float, *, anew: bool) -> bool:
        """Put a lease there for so long; with `anew` only if nothing is there. Return whether it was put.

        Raises:
            StoreUnavailableError: as in `holds`.
        """
        with self._asking() as client, _of_the_lease():
            return bool(client.set(LEASE, value, px=round(for_s * 1000), nx=anew))

    def close(self) -> None:
        """Throw the connection away; a later call makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            close(client)

    @contextmanager
    def _asking(self) -> Generator[Client]:
        try:
            with reported(self._access):
                if self._client is None:
                    self._client = connect(self._access)
                yield self._client
        except BaseException:
            self.close()
            raise


@contextmanager
def _of_the_lease() -> Generator[None]:
    """Say what an account lacks that was made before there was a lease."""
    try:
        yield
    except NoPermissionError as error:
        message = f"{error}; let the console's user have the key too: ~{LEASE}"
        raise NoPermissionError(message) from error


def _subscribed(client: Client) -> Any:
    """Subscribe; None where the account may not, since the value itself is looked at anyway."""
    hints = client.pubsub()
    try:
        hints.subscribe(HINTS)
        hints.get_message(ignore_subscribe_messages=False, timeout=TIMEOUT_S)
    except ResponseError:
        hints.close()
        return None
    return hints


def _is_of_another_type(error: ResponseError) -> bool:
    """Tell whether somebody put a list or the like where the snapshot belongs."""
    return "WRONGTYPE" in str(error)


def _glance(client: Client) -> tuple[bytes, int]:
    """Return the signature and the size of what is there, in one round trip."""
    asking = client.pipeline(transaction=False)
    asking.getrange(KEY, 0, _MARK_BYTES - 1)
    asking.strlen(KEY)
    mark, size = cast("tuple[bytes, int]", asking.execute())
    return mark, size


def _value(client: Client) -> bytes:
    return cast("bytes", client.getrange(KEY, 0, LARGEST_BYTES))
