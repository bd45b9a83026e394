"""The upstream clients that the contract suite runs on: the product's, and one other for the record."""

from __future__ import annotations

from typing import Protocol

from gateway.proxy.upstream import AiohttpUpstream, Upstream
from tests.fakes.httpx_upstream import HttpxUpstream


class Make(Protocol):
    """Makes a client, inside a running loop."""

    def __call__(self, *, pooled_idle_s: float = ..., names_s: int = ...) -> Upstream:
        """Return one that keeps an idle connection, and a host's addresses, for these seconds."""
        ...


CHOSEN = "aiohttp"
CLIENTS: dict[str, Make] = {CHOSEN: AiohttpUpstream, "httpx": HttpxUpstream}
