"""The controller's evidence as it is gathered from the lake: one file, opened when it is first needed.

The law: whatever refuses, the lake, the disk or the file, is said in a sentence and tried again from the start; the
file can be made again from the lake. One call at a time, from whatever thread: operators' starts ask for references
while the controller folds. When the console ends, nobody is answered any more, and nothing comes of what was asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from analytics.baseline import Baseline, Frozen, Span
from analytics.evidence import ArmSums, Check, FailingUsers, StepEvidence, StepWindow
from analytics.figures import ClusterSums
from analytics.forecast import Week
from analytics.lake.erasure import ERASURES
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.store import Store
from analytics.references import References
from gateway.console.installation import RUN
from gateway.console.measuring import BrokenOffError, EvidenceLostError

if TYPE_CHECKING:
    from analytics.warehouse.evidence import Evidence

_Answer = TypeVar("_Answer")
JOURNAL = "journal"
"""In the state directory; where this host has workers of its own, its name lies there, perhaps later than now."""
_AGAIN_S = 0.1


class Gathering:
    """`Measuring` of the lake at `place`, gathered in `path`; close it in the end. `clock`: µs since 1970 UTC.

    `path` lies in the state directory, as this host's status pages, its journal and the list of who is erased do.
    """

    def __init__(self, place: Place, path: Path, *, clock: Callable[[], int]) -> None:
        self._place, self._path, self._clock = place, path, clock
        self._evidence: Evidence | None = None
        self._turn = Lock()
        self._held = ExitStack()
        self._stores: list[Store] = []
        self._is_over = False

    def fold(self) -> None:
        """Take in what the lake has that was not taken in yet."""
        with self._asked() as evidence:
            evidence.keep_up()

    def failing(self, window: StepWindow) -> tuple[FailingUsers, ...]:
        """Return what fast kill reads of a step."""
        with self._asked() as evidence:
            return evidence.failing(window)

    def look(self, window: StepWindow) -> StepEvidence:
        """Return all that is known of a step."""
        with self._asked() as evidence:
            return evidence.look(window)

    def references(self, rollout: str, generation: int, at: int) -> References:
        """Return what base was like in the seven days before a moment."""
        with self._asked() as evidence:
            return evidence.references(rollout, generation, at)

    def own_references(self, window: StepWindow) -> Mapping[Check, float | None]:
        """Return what the step's own base was like, as far as that can be told by now."""
        with self._asked() as evidence:
            return evidence.own_references(window)

    def weeks(self, rollout: str, generation: int, at: int) -> Mapping[Check, Week]:
        """Return what a forecast reads of base's last days, from the lake itself; the controller goes on meanwhile."""
        from analytics.warehouse.weeks import Asked, weeks  # noqa: PLC0415 - as below

        found = self.references(rollout, generation, at)
        latencies: dict[Check, float] = {check: q0 for check, q0 in found.latencies.items() if q0 is not None}
        asked = Asked(rollout=rollout, generation=generation, before=at, latencies=latencies, rating=found.rating)
        return self._from_lake(lambda store: weeks(store, asked))

    def slower(self, window: StepWindow, caps: Mapping[Check, float]) -> Mapping[Check, Mapping[float, ClusterSums]]:
        """Return the candidate's sums of 1{L > r·Q0} by r, from the lake itself; the controller goes on meanwhile."""
        from analytics.warehouse.ratios import slower  # noqa: PLC0415 - as below

        return self._from_lake(lambda store: slower(store, window, caps))

    def baseline(self, span: Span) -> Baseline:
        """Return base as it was in some time, from the lake itself."""
        from analytics.warehouse.monitor import baseline  # noqa: PLC0415 - as below

        return self._from_lake(lambda store: baseline(store, span, self._apart))

    def passed(self, span: Span, frozen: Mapping[Check, Frozen]) -> Mapping[Check, Mapping[int, ArmSums]]:
        """Return the sums of each hour (or day) of some time, from the lake itself."""
        from analytics.warehouse.monitor import passed  # noqa: PLC0415 - as below

        return self._from_lake(lambda store: passed(store, span, frozen, self._apart))

    def _apart(self, since: int, until: int) -> Collection[str]:
        with self._asked() as evidence:
            return evidence.apart(since, until)

    def break_off(self) -> None:
        """Answer nobody any more, whoever asks: `BrokenOffError`. Say it again until nobody waits for an answer."""
        self._is_over = True
        for store in tuple(self._stores):
            store.break_off()

    def close(self) -> None:
        """Break off what is asked in whatever thread, and let go of the file."""
        self.break_off()
        while not self._turn.acquire(timeout=_AGAIN_S):
            self.break_off()
        try:
            self._let_go()
        finally:
            self._turn.release()
        while self._stores:
            self.break_off()
            time.sleep(_AGAIN_S)

    def _from_lake(self, ask: Callable[[Store], _Answer]) -> _Answer:
        """Return what the lake says; whoever else asks goes on meanwhile."""
        from analytics.warehouse.evidence_tables import told  # noqa: PLC0415 - as below

        with self._ending():
            try:
                with self._store() as store, told(store):
                    return ask(store)
            except (OSError, MissingPackageError) as error:
                raise EvidenceLostError(str(error)) from error

    @contextmanager
    def _store(self) -> Generator[Store]:
        store = self._place.open()
        self._stores.append(store)
        try:
            yield store
        finally:
            self._stores.remove(store)

    @contextmanager
    def _ending(self) -> Generator[None]:
        """Begin nothing when all is over; what fails then, whatever it is, fails because of that."""
        if self._is_over:
            raise BrokenOffError
        try:
            yield
        except Exception as error:
            if self._is_over:
                raise BrokenOffError from error
            raise

    @contextmanager
    def _asked(self) -> Generator[Evidence]:
        with self._turn, self._ending():
            try:
                yield self._opened()
            except (OSError, MissingPackageError) as error:
                self._let_go()
                raise EvidenceLostError(_said(error)) from error
            except BaseException:
                self._let_go()
                raise

    def _opened(self) -> Evidence:
        # Imported here because DuckDB costs a tenth of a second and 30 MB, which only what decides should pay.
        from analytics.warehouse.evidence import Evidence  # noqa: PLC0415 - see above

        if self._evidence is None:
            state = self._path.parent
            with ExitStack() as held:
                made = Evidence(
                    self._path,
                    held.enter_context(self._store()),
                    clock=self._clock,
                    pages=state / RUN,
                    journal=state / JOURNAL,
                    erasures=state / ERASURES,
                )
                self._evidence = held.enter_context(closing(made))
                self._held = held.pop_all()
        return self._evidence

    def _let_go(self) -> None:
        self._evidence = None
        self._held.close()


def _said(error: Exception) -> str:
    """Return why nothing can be read; the system's own words name no remedy."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    refused = f"{error.filename} cannot be read ({error.strerror})"
    return f"{refused}; bring it back, and the gate goes on by itself"
