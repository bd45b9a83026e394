"""Rollouts whose percent somebody else's flag rules: polled off every path, taken as a change like any other.

The law: an error, a value that is no percent, or a provider that hangs changes nothing and is said. As long as a flag
rules a rollout, nobody else moves its percent; and a rollout whose plan runs is not moved by a flag.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec

from gateway.console.errors import RuledElsewhereError
from gateway.console.publication import Publication
from gateway.errors import ApiError
from gateway.settings.schema import PercentFrom, RolloutDefinition
from gateway.settings.secrets import SecretError, resolve
from rollout.change import Held, live, set_percent
from rollout.notice import Announce, Notice, Unannounced
from rollout.sources.foreign import Poll, Seen, Source, SourceError, Wanted, opened

Running = AbstractAsyncContextManager[None]
LOOK_S = 0.5
_MOST_HELD = 8
"""So many threads may be held by providers that hang and are configured no more."""

_log = logging.getLogger("turnout.console")


class ForeignPercents:
    """The foreign flags of one installation; its methods may be called from any thread.

    `is_planned` tells whether a rollout is moved by its plan now.
    """

    def __init__(self, publication: Publication, is_planned: Callable[[Held], bool] = lambda _: False) -> None:
        self._publication, self._is_planned = publication, is_planned
        self._acknowledged: set[str] = set()
        self._environment: Mapping[str, str] = {}
        self._announce: Announce = Unannounced()
        self._polls: dict[str, Poll] = {}
        self._held = 0
        self._troubles: dict[str, str] = {}

    def source(self, rollout: str) -> str | None:
        """Name the flag that rules a rollout's percent; None: operators and its plan do."""
        definition = self._publication.definitions.rollouts.get(rollout)
        return None if definition is None else _named(definition)

    def refuse(self, rollout: str) -> None:
        """Refuse to move the percent by hand or by a plan.

        Raises:
            RuledElsewhereError: a foreign flag rules it; the message names it and the remedy.
        """
        if (source := self.source(rollout)) is not None:
            message = (
                f"the percent of rollout {rollout} comes from {source}; change it there, or take percent_from out of "
                "the rollout. To send everybody to base at once, put a file force-base into the state directory"
            )
            raise RuledElsewhereError(message)

    def told(self, environment: Mapping[str, str], announce: Announce) -> Callable[[object], Running]:
        """Return what runs beside the console: by what secrets are found, and who is told when a flag is in trouble."""
        self._environment, self._announce = environment, announce
        return self.running

    def warnings(self) -> Sequence[str]:
        """Return what an operator should know of foreign flags."""
        return list(self._troubles.values())

    @asynccontextmanager
    async def running(self, _: object) -> AsyncGenerator[None]:
        """Poll, and take what is new, until the block ends."""
        task = asyncio.create_task(self._go_on(), name="foreign-percents")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            for poll in self._polls.values():
                await asyncio.to_thread(poll.end)

    async def _go_on(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # noqa: BLE001 - the task's outermost loop: said, and it goes on
                _log.exception("looking at foreign percents failed; it goes on")
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Bring the polls in line with the definitions, and take what they found."""
        if self._publication.barred() is not None:
            return
        rollouts = self._publication.definitions.rollouts
        ruled = {name: one for name, one in rollouts.items() if one.percent_from is not None}
        for name in [name for name in self._polls if name not in ruled]:
            self._drop(name)
        for name, definition in ruled.items():
            self._tend(name, definition)

    def _tend(self, name: str, definition: RolloutDefinition) -> None:
        wanted = _wanted(definition)
        if (poll := self._polls.get(name)) is not None and poll.wanted != wanted:
            self._drop(name)
            poll = None
        if poll is None:
            if self._held >= _MOST_HELD:
                self._note(name, definition, f"is not asked: {self._held} others hang; restart the console")
                return
            poll = self._polls[name] = Poll(wanted, partial(self._opened, wanted, definition, name))
        self._take(name, definition, poll.look())

    def _take(self, name: str, definition: RolloutDefinition, seen: Seen) -> None:
        trouble = seen.trouble
        if trouble is None and seen.percent is not None:
            trouble = self._moved(name, seen.percent, _named(definition) or "")
        if trouble == "has not been asked yet":
            return
        self._note(name, definition, trouble)

    def _moved(self, name: str, percent: float, source: str) -> str | None:
        """Give the rollout this percent; return why not, if so."""
        try:
            held = live(self._publication.state(), name)
            why_not = self._kept_by(held, percent)
            if why_not is not None or held.flag.percent == percent:
                return why_not
            version = held.flag.version
            self._publication.change(
                lambda state, _: set_percent(state, name, percent, version), actor=source, reason="percent_from"
            )
        except ApiError as error:
            return f"says {percent:g} %, which could not be taken yet: {error.message}"
        _log.info("percent taken from a foreign flag", extra={"rollout": name, "percent": percent})
        return None

    def _kept_by(self, held: Held, percent: float) -> str | None:
        """Return why a rollout stays where it is, whatever its flag says: its plan rules it, or it was rolled back.

        A rollback stays until the flag has said 0 once: somebody who rules it has seen it.
        """
        name = held.flag.rollout
        if held.progress.standing == "rolled_back":
            if percent == 0:
                self._acknowledged.add(name)
            if name not in self._acknowledged:
                return f"says {percent:g} %, which is not taken since the rollout was rolled back; set it to 0 once"
            return None
        self._acknowledged.discard(name)
        if self._is_planned(held) and held.flag.percent != percent:
            return f"says {percent:g} %, which is not taken while the plan rules the rollout; roll that back to end it"
        return None

    def _note(self, name: str, definition: RolloutDefinition, trouble: str | None) -> None:
        if trouble is None:
            if self._troubles.pop(name, None) is not None:
                _log.warning("a foreign flag rules its rollout again", extra={"rollout": name})
            return
        is_news = name not in self._troubles
        said = f"the percent of rollout {name} stays as it is: {_named(definition)} {trouble}"
        self._troubles[name] = said
        if is_news:
            now = time.time_ns() // 1000
            _log.error("a foreign flag is in trouble", extra={"rollout": name, "reason": trouble})
            self._announce.announce(Notice(what="percent_source", words=said, at=now, rollout=name, mark=str(now)))

    def _drop(self, name: str) -> None:
        self._troubles.pop(name, None)
        if not self._polls.pop(name).end():
            self._held += 1

    def _opened(self, wanted: Wanted, definition: RolloutDefinition, name: str) -> Source:
        source = definition.percent_from
        try:
            refs = source.secrets if source is not None else {}
            secrets = {key: resolve(ref, self._environment) for key, ref in refs.items()}
        except SecretError as error:
            message = f"lacks a secret: {error}"
            raise SourceError(message) from error
        given = msgspec.structs.replace(wanted, options={**wanted.options, **secrets})
        return opened(given, f"turnout {name}")


def _wanted(definition: RolloutDefinition) -> Wanted:
    source = definition.percent_from or PercentFrom(provider="")
    return Wanted(
        provider=source.provider,
        flag=source.flag or definition.flag,
        options={**source.options, **source.secrets},
        refresh_s=source.refresh_s,
    )


def _named(definition: RolloutDefinition) -> str | None:
    if definition.percent_from is None:
        return None
    return f"flag {definition.percent_from.flag or definition.flag} of {definition.percent_from.provider}"
