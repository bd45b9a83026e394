"""Evidence as a test writes it, in the place of a lake's; and a controller around it whose clocks a test moves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from analytics.baseline import Baseline, Frozen, Span
from analytics.evidence import ArmSums, Check, FailingUsers, StepEvidence, StepWindow
from analytics.figures import ClusterSums
from analytics.forecast import Week
from analytics.references import References
from gateway.console.control import Control
from gateway.console.deciding import Deciding
from gateway.console.measuring import EvidenceLostError
from gateway.console.views import RolloutView
from gateway.settings.plan_schema import PlanDefinition, StepDefinition
from gateway.settings.schema import Configuration, RolloutDefinition
from rollout.change import Held
from rollout.moves import Wish
from rollout.notice import Notice
from rollout.progress import Progress
from rollout.stores.sqlite import SqliteLedger
from tests.fakes.console import SALES, definitions, opened_with_ledger
from tests.fakes.evidence import AT, EQUAL, fitting

WEEK = References(latencies={"p50": 800.0, "p99": 4000.0, "ttft": 90.0})
SHORT = PlanDefinition(
    steps=(
        StepDefinition(phase="canary", percent=5.0, dwell="20s"),
        StepDefinition(phase="canary", percent=10.0, dwell="20s"),
        StepDefinition(phase="beta", percent=50.0, dwell="20s", checks=("errors",)),
        StepDefinition(phase="ga", percent=98.0, dwell="20s"),
    )
)


def planned(plan: PlanDefinition = SHORT) -> Configuration:
    """Return definitions whose rollout has a short plan."""
    return definitions(**{SALES: RolloutDefinition(base="gpt", candidate="tuned", plan=plan)})


@dataclass
class Measured:
    """`Measuring` that says what a test set: `evidence` of whatever step is asked about, or why there is none."""

    evidence: StepEvidence = EQUAL
    users: tuple[FailingUsers, ...] = ()
    own: Mapping[Check, float | None] = field(default_factory=dict)
    week: References = WEEK
    days: Mapping[Check, Week] = field(default_factory=dict)
    before: Mapping[Check, Frozen] = field(default_factory=dict)
    since: Mapping[Check, Callable[[int], ArmSums | None]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    beyond: Mapping[float, ClusterSums] = field(default_factory=dict)
    asked: list[StepWindow] = field(default_factory=list)
    lost: str | None = None
    failure: Exception | None = None
    windows: list[StepWindow] = field(default_factory=list)
    now: Callable[[], int] = lambda: AT
    folds: int = 0

    def fold(self) -> None:
        """Count it."""
        self.folds += 1
        self._look()

    def failing(self, window: StepWindow) -> tuple[FailingUsers, ...]:
        """Return the failing users."""
        del window
        self._look()
        return self.users

    def look(self, window: StepWindow) -> StepEvidence:
        """Return the evidence, as that of the step."""
        self._look()
        self.windows.append(window)
        seen = fitting(self.evidence, window.percent)
        return replace(seen, generation=window.generation, step=window.step, failing=self.users, as_of=self.now())

    def references(self, rollout: str, generation: int, at: int) -> References:
        """Return the week's."""
        del rollout, generation, at
        return self.week

    def weeks(self, rollout: str, generation: int, at: int) -> Mapping[Check, Week]:
        """Return base's days."""
        del rollout, generation, at
        self._look()
        return self.days

    def slower(self, window: StepWindow, caps: Mapping[Check, float]) -> Mapping[Check, Mapping[float, ClusterSums]]:
        """Return how many waited longer, by factor."""
        self._look()
        self.asked.append(window)
        return dict.fromkeys(caps, self.beyond)

    def baseline(self, span: Span) -> Baseline:
        """Return base as it was."""
        self._look()
        self.spans.append(span)
        return Baseline(span=span, checks=self.before, requests=9000 * len(self.before), users=900)

    def passed(self, span: Span, frozen: Mapping[Check, Frozen]) -> Mapping[Check, Mapping[int, ArmSums]]:
        """Return what is said of each slot of the span."""
        self._look()
        self.spans.append(span)
        found: dict[Check, dict[int, ArmSums]] = {}
        for check, one in frozen.items():
            length_us = span.clock.hour_us * span.clock.hours(by_day=one.by_day)
            slots = range(span.since // length_us, span.until // length_us)
            known = {slot: self.since[check](slot) for slot in slots}
            found[check] = {slot: sums for slot, sums in known.items() if sums is not None}
        return found

    def own_references(self, window: StepWindow) -> Mapping[Check, float | None]:
        """Return the step's own."""
        del window
        return self.own

    def _look(self) -> None:
        if self.failure is not None:
            raise self.failure
        if self.lost is not None:
            raise EvidenceLostError(self.lost)


@dataclass
class Heard:
    """`Announce` that remembers."""

    notices: list[Notice] = field(default_factory=list)

    def announce(self, notice: Notice) -> None:
        """Remember it."""
        self.notices.append(notice)

    def whats(self) -> list[str]:
        """Return what was told, in order."""
        return [notice.what for notice in self.notices]


@dataclass
class Clocks:
    """A monotonic clock in seconds, and a wall clock in microseconds, which a test may move by itself."""

    monotonic_s: float = 1000.0
    wall_us: int = 1_800_000_000_000_000

    def pass_s(self, seconds: float) -> None:
        """Let time pass on both."""
        self.monotonic_s += seconds
        self.wall_us += round(seconds * 1_000_000)


@dataclass
class Stage:
    """A console's controller on a state directory."""

    control: Control
    ledger: SqliteLedger
    measured: Measured
    heard: Heard
    clocks: Clocks
    deciding: Deciding

    @property
    def held(self) -> Held:
        """Return the rollout as the ledger has it."""
        return self.ledger.state().rollouts[SALES]

    @property
    def progress(self) -> Progress:
        """Return where the rollout stands."""
        return self.held.progress

    def tell(self, wish: Wish, reason: str = "") -> RolloutView:
        """Tell the rollout something as a person."""
        self.control.steering.tell(SALES, wish, self.held.flag.version, actor="ann", reason=reason)
        return self.control.show(SALES)

    def pulses(self, seconds: float, every_s: float = 5.0) -> None:
        """Let seconds pass, with a pulse every few of them: the first one of a step counts nothing."""
        for _ in range(round(seconds / every_s)):
            self.clocks.pass_s(every_s)
            self.deciding.pulse()

    def actions(self) -> list[str]:
        """Return what the audit has of the rollout, oldest first, from its start on."""
        return [entry.action for entry in reversed(self.ledger.entries(rollout=SALES))][1:]


@contextlib.contextmanager
def staged(
    state_dir: Path,
    wanted: Configuration | None = None,
    *,
    measured: Measured | None = None,
    clocks: Clocks | None = None,
) -> Iterator[Stage]:
    """Yield a controller on a state directory; what it knew before is what the ledger has."""
    seen, heard, time = measured or Measured(), Heard(), clocks or Clocks()
    seen.now = lambda: time.wall_us
    with opened_with_ledger(state_dir, wanted or planned(), clock=lambda: time.wall_us) as (control, ledger):
        control.steering.measuring = seen
        deciding = Deciding(
            control.steering,
            ledger,
            heard,
            monotonic_s=lambda: time.monotonic_s,
            wall_us=lambda: time.wall_us,
        )
        yield Stage(control, ledger, seen, heard, time, deciding)
