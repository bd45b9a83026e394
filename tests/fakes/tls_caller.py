"""`python -m tests.fakes.tls_caller CLIENT PORT`: call a TLS server by address and by name; say what came."""

from __future__ import annotations

import asyncio
import sys

from gateway.proxy.upstream import Fault, Upstream
from tests.fakes.clients import CLIENTS
from tests.fakes.upstream import call_to


async def called(upstream: Upstream, base: str) -> str:
    try:
        answer = await upstream.send(call_to(base))
    except Fault as fault:
        return fault.kind
    answer.close()
    return f"{answer.status}, closed in mid-answer"


async def main() -> None:
    upstream = CLIENTS[sys.argv[1]]()
    for host in ("127.0.0.1", "localhost"):
        sys.stdout.write(f"{host}: {await called(upstream, f'https://{host}:{sys.argv[2]}')}\n")
    await upstream.close()


if __name__ == "__main__":
    asyncio.run(main())
