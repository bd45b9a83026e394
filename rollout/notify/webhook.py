"""A webhook as it is told of, and what is said when it took nothing. Whoever tells it: `rollout.notify.attempt`.

No I/O: a console that tells nobody anything does not load the library that would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from rollout.notice import WHATS, What
from rollout.notify.payload import Format
from rollout.stores.outbox import Delivery

TIMEOUT_S = 15.0


class WebhookError(Exception):
    """Nothing was taken; the message says why, without address and secret. `wait_s`: how long it is asked to wait."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where notices of `events` go. `address` and `secret` look it up, and raise `WebhookError` where they cannot."""

    name: str
    shape: Format
    address: Callable[[], str]
    secret: Callable[[], str | None]
    events: tuple[What, ...] = WHATS


Tell = Callable[[Webhook, Delivery, int, float], Awaitable[None]]
"""One attempt: whom, of what, at which Unix second, and how many seconds it may take; raises `WebhookError`."""
