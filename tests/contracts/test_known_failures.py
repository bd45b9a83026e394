"""What is known of clients for the record: their failures name cases that there are; a limited pool of one dies."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.httpx_upstream import HttpxUpstream
from tests.fakes.upstream import call_to, serving, whole


def test_every_known_failure_names_a_case_of_the_suite(misnamed: list[str]):
    assert not misnamed


async def served(upstream: HttpxUpstream, url: str) -> bool:
    try:
        async with asyncio.timeout(2.0):
            return await whole(await upstream.send(call_to(url))) != b""
    except TimeoutError:
        return False


@pytest.mark.slow
@pytest.mark.anyio
async def test_httpx_with_a_limited_pool_serves_nobody_after_requests_were_cancelled_at_their_start():
    upstream = HttpxUpstream(most=10)
    with serving() as fake:
        cancelled = [asyncio.create_task(served(upstream, fake.url)) for _ in range(200)]
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        later = await asyncio.gather(*(served(upstream, fake.url) for _ in range(20)))
        await upstream.close()

    assert sum(later) == 0
