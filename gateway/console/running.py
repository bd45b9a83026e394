"""Analysts' statements that run or wait: whose they are, how far they are, and how they are ended.

Every statement has a name, its asker's choice or one made here, by which it is seen and ended. An analyst sees and ends
their own alone; ops and admins everybody's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock

import msgspec

from analytics.warehouse.sandbox import Cancellation
from gateway.console.views import RunningState, RunningView
from gateway.errors import ApiError, BadRequestError, NotFoundError
from rollout.keys import Role

MOST_OF_ONE = 10
"""So many of one key run or wait: who asks for everything at once leaves room for somebody else."""
SHOWN_CHARACTERS = 4000
"""Of a statement's text, in the log and wherever it is shown while it runs."""
_TAKEN = "queries"
"""`/api/v1/sql/queries` are the saved ones."""


class NoAnswerError(ApiError):
    """The statement cannot be run now: no copy, no process, or too many who wait."""

    status = 503
    code = "no_answer"


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the key, how the log names its holder, and of which applications alone (None: all)."""

    key: str
    name: str
    role: Role
    applications: tuple[str, ...] | None = None


class Running(Cancellation):
    """A statement that runs or waits. What is said of it may be read from any thread."""

    def __init__(self, asker: Asker, query: str, began_s: float) -> None:
        super().__init__()
        self.asker = asker
        self._query = query[:SHOWN_CHARACTERS]
        self._began_s = began_s
        self._state: RunningState = "waiting"
        self._percent: int | None = None

    def is_at(self, state: RunningState) -> None:
        """Say what it is at now."""
        self._state = state

    def is_done_to(self, percent: int) -> None:
        """Say how far it is."""
        self._percent = percent

    def view(self, query_id: str, now_s: float) -> RunningView:
        """Return what may be seen of it."""
        return RunningView(
            id=query_id,
            by=self.asker.name,
            query=self._query,
            state=self._state,
            percent=self._percent,
            elapsed_s=round(now_s - self._began_s, 1),
        )


class Statements:
    """The statements that run or wait now. May be used from any thread; `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._running: dict[str, Running] = {}

    @contextmanager
    def registered(self, query_id: str | None, asker: Asker, query: str) -> Generator[Running]:
        """Let a statement be seen and ended by this name until the block ends; without one by a name made here.

        Raises:
            ApiError: the name is taken, or too many of this key run or wait already.
        """
        if query_id == _TAKEN:
            message = f"the id {query_id!r} is where saved queries are; give the query another"
            raise BadRequestError(message, param="id")
        name = query_id or secrets.token_hex(8)
        running = Running(asker, query, self._monotonic())
        with self._lock:
            if sum(one.asker.key == asker.key for one in self._running.values()) >= MOST_OF_ONE:
                message = f"{MOST_OF_ONE} queries of this key run or wait already; await one of them, or end it"
                raise NoAnswerError(message)
            if name in self._running:
                message = f"a query {name!r} runs already; give each an id of its own"
                raise BadRequestError(message, param="id")
            self._running[name] = running
        try:
            yield running
        finally:
            with self._lock:
                del self._running[name]

    def listed(self, asker: Asker) -> list[RunningView]:
        """Return those that the asker may see, the oldest first."""
        now_s = self._monotonic()
        with self._lock:
            present = list(self._running.items())
        return [one.view(name, now_s) for name, one in present if _may_see(asker, one)]

    def show(self, query_id: str, asker: Asker) -> RunningView:
        """Return how far one is.

        Raises:
            NotFoundError: there is none of this name, or it is somebody else's.
        """
        return self._find(query_id, asker).view(query_id, self._monotonic())

    def cancel(self, query_id: str, asker: Asker) -> None:
        """End one that runs or waits.

        Raises:
            NotFoundError: there is none of this name, or it is somebody else's.
        """
        self._find(query_id, asker).cancel()

    def cancel_all(self) -> None:
        """End them all."""
        with self._lock:
            present = list(self._running.values())
        for one in present:
            one.cancel()

    def _find(self, query_id: str, asker: Asker) -> Running:
        with self._lock:
            running = self._running.get(query_id)
        if running is None or not _may_see(asker, running):
            message = f"no query {query_id!r} runs; it may have ended"
            raise NotFoundError(message, param="id", code="query_not_found")
        return running


def _may_see(asker: Asker, running: Running) -> bool:
    return asker.role != "analyst" or running.asker.key == asker.key
