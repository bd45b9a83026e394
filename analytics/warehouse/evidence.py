"""The evidence of steps: sums over users, gathered from the lake as it grows. Owns `evidence.duckdb`.

The law: a row of the lake is in the sums once, from the transaction on that also notes it; whatever dies, the next fold
goes on from there. What is in this file can be made again from the lake, and is, where it cannot be read.

One process has it open, and one thread at a time may call. A step is followed from the first look at it on; one whose
window has changed is added up anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from analytics.evidence import Check, FailingUsers, StepEvidence, StepWindow
from analytics.forecast import Week
from analytics.lake.layout import FEEDBACK
from analytics.lake.store import Store
from analytics.references import References
from analytics.warehouse.base_week import BaseWeek
from analytics.warehouse.drifting import Drifting
from analytics.warehouse.erased import Erased
from analytics.warehouse.evidence_tables import closed, opened, told, wide
from analytics.warehouse.failing import Failing
from analytics.warehouse.folded_files import FoldedFiles
from analytics.warehouse.folding import Folding
from analytics.warehouse.followed import Followed
from analytics.warehouse.looking import Looking
from analytics.warehouse.near_files import NearFiles
from analytics.warehouse.peeked import MOST_FILES, Peeked
from analytics.warehouse.recorded import Recorded, Told
from analytics.warehouse.verdicts import LOOK_S
from analytics.warehouse.weeks import Asked, weeks

WHOLE_S = 90.0
"""`keep_up` folds at least so often; a look, which folds before, is due every minute."""
_US = 1_000_000


def _now() -> int:
    return time.time_ns() // 1000


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold brought: files that were not known by name, and of their rows those that were new."""

    files: int = 0
    requests: int = 0
    feedback: int = 0


class Evidence:
    """The evidence in the file `path`, of the lake `store`; `clock` gives microseconds since 1970 UTC. Close it.

    `pages` is the folder of this host's status pages, `journal` that of its journal, where it has workers of its own;
    `erasures` where those stand who are to be erased.

    Raises:
        EvidenceHeldError: another process has it open.
        EvidenceError: the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        *,
        clock: Callable[[], int] = _now,
        pages: Path | None = None,
        journal: Path | None = None,
        erasures: Path | None = None,
    ) -> None:
        self._store, self._clock = store, clock
        self.connection = opened(path, store)
        near = NearFiles(store, path.with_name(f"{path.stem}-near"))
        self._files = FoldedFiles(self.connection, store, near)
        self._peeked = Peeked(self.connection, near)
        self._failing = Failing(self.connection, self._peeked)
        self._folding = Folding(self.connection, store, self._files)
        self._followed = Followed(self.connection)
        self._looking = Looking(self.connection)
        self._base = BaseWeek(self.connection, store)
        self._drifting = Drifting(self.connection)
        self._erased = Erased(self.connection, erasures)
        self._recorded = Recorded(self.connection, store, pages, journal)
        self._looked_at: int | None = None
        self._folded_at: int | None = None
        self._is_behind = False
        self._heard: Told | None = None

    @property
    def steps(self) -> list[tuple[str, int, int]]:
        """Return the steps that are followed: rollout, generation and step of each."""
        with told(self._store):
            return [(rollout, generation, step) for _, rollout, generation, step in self._followed.all()]

    def fold(self) -> Folded:
        """Add up what is new in the lake, and return how much that was; nothing new costs a listing.

        Raises:
            OSError: the lake or the disk refuses; what was folded before that is.
        """
        done = Folded()
        with told(self._store):
            self._heard = self._recorded.listen()
        heaps = self._files.news()
        for heap in heaps:
            with self._transaction():
                rows = self._folding.fold(heap, now=self._clock())
            is_feedback = heap.folder == FEEDBACK
            done = Folded(
                files=done.files + len(heap.names),
                requests=done.requests + rows * (not is_feedback),
                feedback=done.feedback + rows * is_feedback,
            )
        if heaps:
            with self._transaction():
                self._files.forget_gone()
        self._peeked.forget()
        self._folded_at, self._is_behind = self._clock(), False
        self._erase()
        self._look_for_requests()
        self._monitor()
        return done

    def keep_up(self) -> None:
        """See who failed in what is new in the lake, which costs the same however large the sums are; fold seldom.

        What reads the sums folds before, where this did not.

        Raises:
            OSError: the lake or the disk refuses.
        """
        names = self._waiting()
        if names is None:
            self.fold()
            return
        self._is_behind = True
        with told(self._store):
            self._peeked.take(names)

    def look(self, window: StepWindow) -> StepEvidence:
        """Return what is known of a step now, by this window; fold or keep up before.

        Raises:
            OSError: the lake or the disk refuses.
        """
        self._catch_up()
        step_id = self._step(window)
        with told(self._store):
            heard = self._recorded.listen()
        # What came into the lake since the last fold is not added up yet, so it does not count as missing either.
        folded = self._heard if self._heard is not None else heard
        now = self._clock()
        with self._transaction():
            self._recorded.hear(folded, now)
            quality = self._recorded.quality(window, step_id, heard, now, folded=folded)
            as_of = self._recorded.fresh_to(folded, now)
            failing = self._failing.of(window, step_id, now)
            found = self._looking.look(window, step_id, now=now, as_of=as_of, failing=failing, quality=quality)
            return msgspec.structs.replace(found, drift=self._drifting.drift(window, step_id))

    def failing(self, window: StepWindow) -> tuple[FailingUsers, ...]:
        """Return what fast kill reads of a step, which costs less than a look."""
        step_id = self._step(window)
        with told(self._store):
            return self._failing.of(window, step_id, self._clock())

    def references(self, rollout: str, generation: int, before: int) -> References:
        """Return what a step that begins at a moment (microseconds) is measured by: base's seven days before.

        Raises:
            OSError: the lake or the disk refuses.
        """
        with told(self._store):
            return self._base.references(rollout, generation, before)

    def own_references(self, window: StepWindow) -> Mapping[Check, float | None]:
        """Return Q0 of the latency checks without thresholds of which the step's own base has enough by now.

        None: too little of it is streamed, so that the check does not apply. Costs next to nothing while there is not
        enough.

        Raises:
            OSError: the lake or the disk refuses.
        """
        self._catch_up()
        step_id = self._step(window)
        with told(self._store):
            return self._base.own_references(window, step_id)

    def apart(self, since: int, until: int) -> Collection[str]:
        """Return the files that have no row of a time (microseconds since 1970 UTC), of those that were folded."""
        with told(self._store):
            return self._files.apart(since, until)

    def weeks(self, asked: Asked) -> Mapping[Check, Week]:
        """Return what a forecast reads of base's last whole days; see `weeks.weeks`.

        Raises:
            OSError: the lake refuses.
        """
        with told(self._store):
            return weeks(self._store, asked)

    def close(self) -> None:
        """Let go of the file."""
        closed(self.connection, self._store)

    def _catch_up(self) -> None:
        if self._is_behind:
            self.fold()

    def _waiting(self) -> Sequence[str] | None:
        """Return the files of requests that wait to be folded; None when it is time to fold."""
        now, folded_at = self._clock(), self._folded_at
        if folded_at is None or not 0 <= now - folded_at < WHOLE_S * _US:
            return None
        if self._erased.is_changed():
            self._erased.ask_again()
            return None
        names = self._files.waiting()
        return None if names is None or len(self._peeked.new(names)) > MOST_FILES else names

    def _erase(self) -> None:
        """Add up anew the steps of users who were erased; what was written of them before goes with the next pages."""
        if not self._erased.is_changed():
            return
        try:
            with told(self._store), wide(self.connection), self._transaction():
                again = self._erased.steps([step_id for step_id, *_ in self._followed.all()])
                for step_id in again:
                    self._followed.forget(step_id)
                    self._folding.fold_whole(step_id)
                    self._drifting.forget(step_id)
        except OSError:
            self._erased.ask_again()
            raise
        if again:
            with told(self._store):
                self.connection.execute("CHECKPOINT")

    def _look_for_requests(self) -> None:
        """Look in the lake, once a minute, for requests of which verdicts came late."""
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < LOOK_S * _US:
            return
        self._looked_at = now
        if self._folding.verdicts.is_looking:
            with self._transaction():
                self._folding.verdicts.meet_lake(now=now)

    def _monitor(self) -> None:
        with told(self._store):
            self._drifting.go_on(self._clock(), [step_id for step_id, *_ in self._followed.all()])

    def _step(self, window: StepWindow) -> int:
        """Return the number of a step that is followed by this window, from now on if it was not before."""
        with told(self._store):
            known = self._followed.find(window)
        if known is not None:
            return known
        self.fold()
        heard = self._recorded.listen()
        with told(self._store), wide(self.connection), self._transaction():
            step_id = self._followed.follow(window)
            self._folding.fold_whole(step_id)
            self._drifting.forget(step_id)
            self._recorded.begin(window, heard)
        return step_id

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Keep all that happens inside, or nothing."""
        with told(self._store):
            self.connection.execute("BEGIN")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            finally:
                for one in (self._peeked, self._failing, self._followed):
                    one.changed()

    def _roll_back(self) -> None:
        with told(self._store):
            self.connection.execute("ROLLBACK")
            self._files.forget_memory()
