"""Whom the console tells of rollouts: the webhooks of the configuration, as it is in force now.

The law: a console tells only what it decided itself; one that is beside the ledger's writer tells nobody anything. What
is wrong with a webhook keeps nothing else from its work.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
from litestar import Litestar

from gateway.console.installation import RUN, Installation
from gateway.settings.schema import Configuration, SecretRef, Webhook
from gateway.settings.secrets import SecretError, resolve
from gateway.settings.webhooks import address_fault
from rollout.notice import Notice
from rollout.notify import webhook as telling
from rollout.notify.heartbeat import HEARTBEAT_FILE, Heartbeat
from rollout.notify.notifier import Notifier
from rollout.stores.outbox import Outbox, OutboxError, open_outbox, passing_outbox

REMEMBERED = "webhooks"

_log = logging.getLogger("turnout.console")


class Notices:
    """Takes notices (`Announce`), from its making on, and tells them while it is `running`.

    `is_known`: the configuration file was right when the console started; else the webhooks are those that were in
    force before. The controller says by `heartbeat` that it lives. What is to be called once a second beside, in the
    same thread, goes to `each_look`.
    """

    def __init__(
        self, installation: Installation, state_dir: Path, environment: Mapping[str, str], *, is_known: bool = True
    ) -> None:
        self._control = installation.control
        self._environment = environment
        self._is_telling = not installation.ledger.read_only
        self.heartbeat = Heartbeat(state_dir / RUN / HEARTBEAT_FILE, self)
        self.each_look: list[Callable[[], object]] = [self.heartbeat.look]
        self._warnings: list[str] = []
        self._outbox = self._opened(state_dir) if self._is_telling else passing_outbox()
        self._notifier = Notifier(self._outbox, each_look=self._look)
        self._seen: Configuration | None = None
        self._configure(self._control.definitions, None if is_known else self._recalled())
        self._control.beside.append(self.warnings)

    def announce(self, notice: Notice) -> None:
        """Keep it, to be told soon."""
        self._notifier.announce(notice)

    def warnings(self) -> Sequence[str]:
        """Return what an operator should know of webhooks."""
        return [*self._warnings, *self._notifier.troubles()]

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncGenerator[None]:
        """Tell webhooks until the block ends."""
        try:
            if self._is_telling:
                with self._notifier.running():
                    yield
            else:
                yield
        finally:
            self._outbox.close()

    def _look(self) -> None:
        if self._control.definitions is not self._seen:
            self._configure(self._control.definitions, None)
        for look in self.each_look:
            look()

    def _configure(self, definitions: Configuration, recalled: Mapping[str, Webhook] | None) -> None:
        self._seen = definitions
        webhooks = definitions.webhooks if recalled is None else recalled
        self._notifier.use(destinations(webhooks, self._environment))
        if recalled is None and self._is_telling:
            try:
                self._outbox.remember(REMEMBERED, msgspec.json.encode(webhooks).decode())
            except OutboxError as error:
                _log.warning("webhooks are not remembered", extra={"reason": str(error)})

    def _recalled(self) -> Mapping[str, Webhook]:
        try:
            return msgspec.json.decode(self._outbox.remembered(REMEMBERED) or "{}", type=dict[str, Webhook])
        except (OutboxError, msgspec.MsgspecError) as error:
            _log.warning("the former webhooks are not known", extra={"reason": str(error)})
            return {}

    def _opened(self, state_dir: Path) -> Outbox:
        try:
            return open_outbox(state_dir)
        except OutboxError as error:
            _log.exception("notices are kept in memory alone")
            self._warnings.append(f"notices to webhooks are lost when the console ends: {error}")
            return passing_outbox()


def destinations(webhooks: Mapping[str, Webhook], environment: Mapping[str, str]) -> list[telling.Webhook]:
    """Return where to tell what; references are looked up at every attempt, so that a file may be replaced."""
    return [
        telling.Webhook(
            name=name,
            shape=webhook.format,
            address=partial(_address, webhook, environment),
            secret=partial(_secret, webhook.secret, environment),
            events=webhook.events,
        )
        for name, webhook in webhooks.items()
    ]


def _address(webhook: Webhook, environment: Mapping[str, str]) -> str:
    url = webhook.url if webhook.url is not None else _secret(webhook.url_from, environment)
    fault = "is nothing" if url is None else address_fault(url)
    if url is None or fault is not None:
        message = f"what url_from leads to {fault}"
        raise telling.WebhookError(message)
    return url


def _secret(ref: SecretRef | None, environment: Mapping[str, str]) -> str | None:
    try:
        return None if ref is None else resolve(ref, environment)
    except SecretError as error:
        raise telling.WebhookError(str(error)) from None
