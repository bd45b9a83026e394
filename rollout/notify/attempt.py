"""One attempt to tell one webhook one thing, over HTTP.

The law: it goes to the address that the configuration names and to no other: no redirect is followed, no proxy is
asked, and no attempt takes longer than it may. What went wrong is told without the address, which may be a secret.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import httpx

from rollout.notify.payload import body, signed
from rollout.notify.webhook import TIMEOUT_S, Tell, Webhook, WebhookError
from rollout.stores.outbox import Delivery

_USER_AGENT = "Turnout"


Way = httpx.AsyncClient
"""What attempts are made with; made by `client`."""


@asynccontextmanager
async def telling() -> AsyncGenerator[Tell]:
    """Yield what makes attempts, until the block ends."""
    async with client() as way:
        yield partial(tell, way)


def client() -> Way:
    """Return what attempts are made with; httpx, which logs addresses, is told not to."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        verify=ssl.create_default_context(),
        headers={"user-agent": _USER_AGENT},
        limits=httpx.Limits(max_keepalive_connections=0),
    )


async def tell(way: Way, webhook: Webhook, delivery: Delivery, at_s: int, timeout_s: float = TIMEOUT_S) -> None:
    """Return once it was taken: answered by 2xx, whatever the answer's body.

    Raises:
        WebhookError: it was not, as far as is known.
    """
    sent = body(delivery.notice, webhook.shape)
    headers = {"content-type": "application/json", "webhook-id": delivery.id}
    if (secret := webhook.secret()) is not None:
        headers |= signed(secret, delivery.id, at_s, sent)
    address = webhook.address()
    try:
        async with asyncio.timeout(timeout_s):
            async with way.stream("POST", address, content=sent, headers=headers, timeout=timeout_s) as answer:
                _judge(answer)
    except (TimeoutError, httpx.TimeoutException):
        message = f"it did not answer within {timeout_s:g} s"
        raise WebhookError(message) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError, ValueError) as error:
        message = f"it could not be reached ({type(error).__name__})"
        raise WebhookError(message) from None


def _judge(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    if answer.is_redirect:
        message = f"it answered {answer.status_code}, a redirect, which is not followed; configure the final address"
        raise WebhookError(message)
    message = f"it answered {answer.status_code}"
    raise WebhookError(message, _wait_s(answer.headers.get("retry-after", "")))


def _wait_s(retry_after: str) -> float | None:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) <= 6 else None
