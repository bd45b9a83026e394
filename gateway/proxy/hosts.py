"""Under which names this gateway answers. Pure but for a bounded memory of what it has judged.

A page in a browser can make any name lead to this address (DNS rebinding), but it cannot make the browser send another
`Host`: names are refused unless they are loopback's, the address that was called, or configured.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from gateway.errors import ApiError, BadRequestError
from gateway.proxy.head import malformed
from gateway.settings.address import is_loopback

_HOST = re.compile(r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?")
_REMEMBERED = 1024


class Hosts:
    """Judges the values of `Host` headers and the authorities of targets."""

    def __init__(self, names: Collection[str]) -> None:
        self._any = "*" in names
        self._names = frozenset(_plain(name.lower()) for name in names)
        self._judged: set[bytes] = set()

    def allow(self, sent: bytes, address: str) -> bool:
        """Tell whether a request to this host (`name` or `name:port`) that came in at this address may be answered."""
        if sent in self._judged:
            return True
        found = _HOST.fullmatch(sent.decode("latin-1").lower())
        if found is None:
            return False
        name = _plain(found["name"])
        if self._any or name in self._names or is_loopback(name) or name == address.removeprefix("::ffff:"):
            if len(self._judged) < _REMEMBERED:
                self._judged.add(sent)
            return True
        return False

    def fault(self, sent: Sequence[bytes], address: str) -> ApiError | None:
        """Return what is wrong with a request's `Host` headers: there is exactly one, and it is answered."""
        if len(sent) != 1:
            return malformed("it needs exactly one Host header", "invalid_host")
        if self.allow(sent[0], address):
            return None
        message = "This gateway does not answer under that Host; the operator can add it to [server] hosts."
        return BadRequestError(message, code="invalid_host")


def _plain(name: str) -> str:
    return name.removeprefix("[").removesuffix("]").removesuffix(".")
