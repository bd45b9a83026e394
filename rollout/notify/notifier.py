"""The thread that tells webhooks: what is announced is kept at once, and told until it was taken or there is no hope.

The law: whoever announces waits for no webhook, and no webhook waits for another. What was taken is not told again;
what may have been taken is told again with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager

import msgspec

from rollout.notice import Notice
from rollout.notify.webhook import TIMEOUT_S, Tell, Webhook, WebhookError
from rollout.stores.outbox import Delivery, Outbox, OutboxError

LOOK_S = 1.0
GRACE_S = 1.0
"""How long the end waits for an answer that may be on its way: what it would say is not asked again then."""
_MEMORY = 1_000
_NOBODY = "(all)"

_log = logging.getLogger("turnout.notify")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to go on: after attempt n, `first_s`·2^(n-1) but at most `longest_s`, give or take half of it.

    With the defaults an attempt is made for a day before it is given up.
    """

    first_s: float = 1.0
    longest_s: float = 600.0
    attempts: int = 150
    timeout_s: float = TIMEOUT_S

    def wait_s(self, failed: int, jitter: float, asked_s: float | None) -> float:
        """Return the pause after so many failed attempts; `jitter` is 0 to 1."""
        least_s = min(asked_s or 0.0, self.longest_s)
        return max(least_s, min(self.first_s * 2.0 ** min(failed - 1, 30), self.longest_s) * (0.5 + jitter))


class Notifier:
    """Takes notices (`Announce`) and tells them to webhooks while it is `running`; may be called from any thread.

    `each_look` is called about once a second beside, in the same thread.
    """

    def __init__(
        self,
        outbox: Outbox,
        webhooks: Sequence[Webhook] = (),
        *,
        patience: Patience = Patience(),  # noqa: B008 - a frozen struct
        jitter: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
        each_look: Callable[[], object] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._webhooks: Mapping[str, Webhook] = {webhook.name: webhook for webhook in webhooks}
        self._patience = patience
        self._jitter, self._wall, self._each_look = jitter, wall, each_look
        self._unkept: deque[Notice] = deque(maxlen=_MEMORY)
        self._due: dict[str, float] = {}
        self._troubles: dict[str, str] = {}
        self._wake: Callable[[], object] = lambda: None
        self._stop = threading.Event()

    def announce(self, notice: Notice) -> None:
        """Keep a notice; it is told soon. One that cannot be kept now waits in memory, which is said."""
        if not self._keep(notice):
            self._unkept.append(notice)
        self._wake()

    def use(self, webhooks: Iterable[Webhook]) -> None:
        """Tell these from now on; what others were still to be told is theirs no more."""
        self._webhooks = {webhook.name: webhook for webhook in webhooks}
        self._wake()

    def troubles(self) -> list[str]:
        """Return what an operator should know of webhooks that take nothing."""
        known = {*self._webhooks, _NOBODY}
        troubles = [(name, trouble) for name, trouble in list(self._troubles.items()) if name in known]
        return [f"webhook {name} was not told: {trouble}" for name, trouble in troubles]

    @contextmanager
    def running(self) -> Generator[None]:
        """Tell webhooks from a thread of its own until the block ends."""
        thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="notify", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._wake()
            thread.join(timeout=5.0)

    def _keep(self, notice: Notice) -> bool:
        wanted = [webhook.name for webhook in self._webhooks.values() if notice.what in webhook.events]
        try:
            if self._outbox.keep(notice, wanted):
                _log.info("notice", extra={"what": notice.what, "rollout": notice.rollout, "words": notice.words})
        except OutboxError as error:
            _log.exception("a notice waits in memory", extra={"what": notice.what, "reason": str(error)})
            return False
        return True

    async def _run(self) -> None:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: _call(loop, woken.set)
        telling: dict[str, asyncio.Task[None]] = {}
        async with AsyncExitStack() as opened:
            tell: Tell | None = None
            while not self._stop.is_set():
                woken.clear()
                try:
                    self._each_look()
                    self._keep_what_waits()
                    for delivery in self._ready(loop.time(), telling):
                        tell = tell or await _telling(opened)
                        act = self._tell(tell, delivery)
                        telling[delivery.webhook] = asyncio.create_task(act, name=f"tell-{delivery.webhook}")
                    self._troubles.pop(_NOBODY, None)
                except OutboxError as error:
                    self._troubles[_NOBODY] = str(error)
                except Exception:  # noqa: BLE001 - the thread's outermost loop: said, and it goes on
                    _log.exception("telling webhooks failed; it goes on")
                await _rest(woken, [task for task in telling.values() if not task.done()], self._pause_s(loop.time()))
            if telling:
                await asyncio.wait(telling.values(), timeout=GRACE_S)
            for task in telling.values():
                task.cancel()
            await asyncio.gather(*telling.values(), return_exceptions=True)

    def _pause_s(self, now: float) -> float:
        """Return until when nothing is due, but for what is announced: a second at most."""
        return min([LOOK_S, *(due - now for due in self._due.values() if due > now)])

    def _keep_what_waits(self) -> None:
        for _ in range(len(self._unkept)):
            notice = self._unkept.popleft()
            if not self._keep(notice):
                self._unkept.appendleft(notice)
                return

    def _ready(self, now: float, telling: Mapping[str, asyncio.Task[None]]) -> list[Delivery]:
        """Return the next thing to tell each webhook that is not being told something."""
        ready: list[Delivery] = []
        for name in self._outbox.webhooks():
            if (busy := telling.get(name)) is not None and not busy.done():
                continue
            waiting = self._outbox.waiting(name)
            if name not in self._webhooks:
                self._forget(name, waiting)
            elif due := [delivery for delivery in waiting if self._due.get(delivery.id, now) <= now]:
                ready.append(due[0])
        return ready

    def _forget(self, name: str, waiting: Sequence[Delivery]) -> None:
        for delivery in waiting:
            self._outbox.end(delivery)
        self._troubles.pop(name, None)
        _log.warning("a webhook that is not configured any more is told nothing", extra={"webhook": name})

    async def _tell(self, tell: Tell, delivery: Delivery) -> None:
        webhook = self._webhooks.get(delivery.webhook)
        if webhook is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await tell(webhook, delivery, int(self._wall()), self._patience.timeout_s)
            self._taken(delivery)
        except WebhookError as error:
            self._failed(delivery, error, loop.time())
        except OutboxError as error:
            self._due[delivery.id] = loop.time() + self._patience.longest_s
            self._troubles[delivery.webhook] = str(error)

    def _taken(self, delivery: Delivery) -> None:
        self._outbox.end(delivery)
        self._due.pop(delivery.id, None)
        if self._troubles.pop(delivery.webhook, None) is not None:
            _log.warning("a webhook takes notices again", extra={"webhook": delivery.webhook})

    def _failed(self, delivery: Delivery, error: WebhookError, now: float) -> None:
        failed = delivery.attempts + 1
        told = {"webhook": delivery.webhook, "what": delivery.notice.what, "reason": str(error), "attempts": failed}
        if failed >= self._patience.attempts:
            self._outbox.end(delivery)
            self._due.pop(delivery.id, None)
            self._troubles[delivery.webhook] = f"{error}; a notice was given up after {failed} attempts"
            _log.error("a notice was given up", extra=told)
            return
        self._outbox.failed(delivery)
        self._due[delivery.id] = now + self._patience.wait_s(failed, self._jitter(), error.wait_s)
        if delivery.webhook not in self._troubles:
            _log.error("a webhook took nothing; it is tried again", extra=told)
        self._troubles[delivery.webhook] = f"{error}; it is tried again"


async def _telling(opened: AsyncExitStack) -> Tell:
    from rollout.notify.attempt import telling  # noqa: PLC0415 - an HTTP client is for those alone who tell somebody

    return await opened.enter_async_context(telling())


async def _rest(woken: asyncio.Event, telling: Sequence[asyncio.Task[None]], longest_s: float) -> None:
    """Wait until there may be something to do."""
    waking = asyncio.create_task(woken.wait())
    await asyncio.wait([waking, *telling], timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
    waking.cancel()


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        _log.debug("nobody is told any more")
