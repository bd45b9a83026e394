"""What a worker counts of itself, on its status page; and the warning that a rollout hardly sees users."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from analytics.journal.status import SOURCES, TROUBLES, StatusPage
from analytics.journal.writer import Trouble, Writer
from gateway.proxy.snapshot import Holder

WARN_SHARE = 0.5
WARN_REQUESTS = 50
WARN_EVERY_S = 60.0
"""Of at least 50 requests that a rollout decided, more than half without a user key: said once a minute."""

_REMEDY = "Make room for the state directory's 'journal', or mend its disk."
_ALARMS: dict[Trouble, tuple[int, str]] = {
    "none": (logging.WARNING, "the journal takes records again"),
    "waiting": (
        logging.ERROR,
        f"THE JOURNAL'S DISK REFUSES RECORDS: they wait in memory and are lost if this process dies. {_REMEDY}",
    ),
    "losing": (
        logging.CRITICAL,
        f"RECORDS ARE BEING LOST: the journal's disk refuses them, and memory for them is used up. {_REMEDY}",
    ),
}

_log = logging.getLogger("turnout.proxy")


class StatusTally:
    """`Tally` on the worker's status page."""

    def __init__(self, page: StatusPage, clock: Callable[[], float] = time.monotonic) -> None:
        self._page = page
        self._clock = clock
        self._warned_at = clock() - WARN_EVERY_S
        self._split_before = 0
        self._anonymous_before = 0
        self._trouble: Trouble = "none"

    def began(self) -> None:
        """Count a request in flight."""
        self._page.requests += 1
        self._page.in_flight += 1

    def assigned(self, *, anonymous: bool) -> None:
        """Count a request that a flag decided."""
        self._page.split += 1
        if anonymous:
            self._page.anonymous += 1

    def ended(self) -> None:
        """Count a request out again."""
        self._page.in_flight -= 1

    def lost_content(self) -> None:
        """Count a piece of content that neither the journal nor memory had room for."""
        self._page.content_lost += 1

    def refresh(self, holder: Holder, writer: Writer) -> None:
        """Bring the page up to date; called a few times a second."""
        view = holder.view
        snapshot = view.decisions.snapshot
        self._page.change(
            snapshot_epoch=snapshot.epoch,
            snapshot_version=snapshot.version,
            snapshot_taken_at=snapshot.compiled_at,
            config_source=SOURCES.index(view.source),
            stale=not view.fresh,
            updated_at=time.time_ns() // 1000,
        )
        self.tell(writer)
        self._warn()

    def tell(self, writer: Writer) -> None:
        """Bring to the page what the journal lost and how it fares; log the latter once for every change."""
        trouble = writer.trouble
        self._page.change(lost=writer.lost, journal_trouble=TROUBLES.index(trouble))
        if trouble == self._trouble:
            return
        self._trouble = trouble
        level, event = _ALARMS[trouble]
        counts = {name: getattr(writer, name) for name in ("waiting", "kept", "written_late", "lost", "sync_errors")}
        _log.log(level, event, extra=counts)

    def _warn(self) -> None:
        split = self._page.split - self._split_before
        anonymous = self._page.anonymous - self._anonymous_before
        now = self._clock()
        if split < WARN_REQUESTS or now - self._warned_at < WARN_EVERY_S:
            return
        self._split_before, self._anonymous_before = self._page.split, self._page.anonymous
        if anonymous > split * WARN_SHARE:
            self._warned_at = now
            _log.warning(
                "MOST REQUESTS CARRY NO USER KEY: they are served by base and count in no gate. "
                "Send 'user' or 'safety_identifier', or set user_header for the application.",
                extra={"anonymous": anonymous, "requests": split},
            )
