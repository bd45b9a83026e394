from __future__ import annotations

from collections.abc import AsyncGenerator

import openai
import pytest

from gateway.simulate.server import Running


@pytest.fixture
async def client(server: Running) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as opened:
        yield opened
