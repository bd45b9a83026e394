"""The addresses of hosts: looked up once for all who ask at the same time, kept for a while, used in turn."""

from __future__ import annotations

import asyncio
import socket
from collections import deque

Address = str


class UnknownHostError(Exception):
    """A host that has no address."""


class Names:
    """A memory of addresses, each kept for `kept_s` seconds."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._known: dict[str, tuple[float, deque[Address]]] = {}
        self._asked: dict[str, asyncio.Task[deque[Address]]] = {}

    async def addresses(self, host: str) -> list[Address]:
        """Return a host's addresses, beginning with the one whose turn it is.

        Raises:
            UnknownHostError: it has none.
        """
        found = self._known.get(host)
        if found is None or found[0] < asyncio.get_running_loop().time():
            asked = self._asked.get(host)
            if asked is None:
                asked = asyncio.get_running_loop().create_task(self._look_up(host), name=f"look-up-{host}")
                self._asked[host] = asked
            addresses = await asyncio.shield(asked)
        else:
            addresses = found[1]
        turn = list(addresses)
        addresses.rotate(-1)
        return turn

    def forget(self, host: str) -> None:
        """Look it up again the next time: none of its addresses could be reached."""
        self._known.pop(host, None)

    def close(self) -> None:
        """Give up what is asked for."""
        for asked in self._asked.values():
            asked.cancel()

    async def _look_up(self, host: str) -> deque[Address]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as error:
            raise UnknownHostError from error
        finally:
            self._asked.pop(host, None)
        addresses = deque(dict.fromkeys(str(address[0]) for *_, address in found))
        if not addresses:
            raise UnknownHostError
        self._known[host] = (loop.time() + self._kept_s, addresses)
        return addresses
