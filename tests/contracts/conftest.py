"""The upstream clients that must keep the contract, and the loop that they keep it on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.proxy.upstream import AiohttpUpstream, Upstream

CLIENTS: dict[str, Callable[[], Upstream]] = {"aiohttp": AiohttpUpstream}


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on the loop that workers run on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(params=CLIENTS)
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    made = CLIENTS[request.param]()
    yield made
    await made.close()
