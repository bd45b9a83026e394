"""A base that is well but takes seconds stands in for every request of a candidate that fails."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import installed
from tests.fakes.misbehaviour import JSON
from tests.fakes.peer import Peer
from tests.fakes.plain import PLAIN
from tests.fakes.upstream import serving

CALLERS, FOR_S, BASE_TAKES_S = 40, 14.0, 4.0
WHOLE = b'{"id":"c1","choices":[{"index":0,"message":{"content":"word"},"finish_reason":"stop"}]}'
CONFIG = """
[server]
port = 0
workers = 2
console_port = 0

[upstreams.base]
base_url = "{url}/base/v1"

[upstreams.tuned]
base_url = "{url}/tuned/v1"

[models.gpt]
upstream = "base"

[models.tuned]
upstream = "tuned"

[rollouts.chat]
base = "gpt"
candidate = "tuned"

[applications.default]
user_header = "x-user-id"
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("percent", [50, 100])
@pytest.mark.parametrize("status", [b"401 Unauthorized", b"503 Service Unavailable", b"429 Too Many Requests"])
def test_nobody_sees_an_error_and_base_is_asked_once_for_each_request(tmp_path: Path, status: bytes, percent: int):
    asked: Counter[str] = Counter()

    async def script(peer: Peer) -> None:
        while True:
            name = (await peer.read()).target.split("/")[1]
            asked[name] += 1
            if name == "base":
                await asyncio.sleep(BASE_TAKES_S)
                await peer.answer(WHOLE, JSON)
            else:
                await peer.answer(b'{"error":{"message":"no"}}', JSON, status=status)

    with serving(script) as upstream, installed(tmp_path, config=CONFIG.format(url=upstream.url), simulated={}) as one:
        seen = one.ask("GET", "rollouts/chat").raise_for_status().json()
        one.ask("PUT", "rollouts/chat/percent", {"percent": percent, "version": seen["version"]}).raise_for_status()
        end_at = time.monotonic() + FOR_S

        def call(number: int) -> Counter[int]:
            got: Counter[int] = Counter()
            headers = {"authorization": f"Bearer {one.keys['application']}", "x-user-id": f"user-{number}"}
            body = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}
            with httpx.Client(trust_env=False, verify=PLAIN, timeout=60) as client:
                while time.monotonic() < end_at:
                    got[client.post(f"{one.base_url}/chat/completions", json=body, headers=headers).status_code] += 1
            return got

        with ThreadPoolExecutor(CALLERS) as callers:
            answers = sum(callers.map(call, range(CALLERS)), Counter[int]())

    assert set(answers) == {200}
    assert asked["base"] == answers[200]
    assert asked["tuned"]
