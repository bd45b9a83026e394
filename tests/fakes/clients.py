"""The upstream clients that the contract suite runs on: the product's, and others for the record."""

from __future__ import annotations

from typing import Protocol

from gateway.proxy.connector import Http1Upstream
from gateway.proxy.upstream import Upstream
from tests.fakes.aiohttp_upstream import AiohttpUpstream
from tests.fakes.httpx_upstream import HttpxUpstream


class Make(Protocol):
    """Makes a client, inside a running loop."""

    def __call__(self, *, pooled_idle_s: float = ..., names_s: int = ...) -> Upstream:
        """Return one that keeps an idle connection, and a host's addresses, for these seconds."""
        ...


CHOSEN = "http1"
CLIENTS: dict[str, Make] = {CHOSEN: Http1Upstream, "aiohttp": AiohttpUpstream, "httpx": HttpxUpstream}
