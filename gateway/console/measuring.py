"""What the controller measures a rollout by: the port to folded evidence. What it cannot tell it says in a sentence.

The law: evidence that is lost is no evidence. Nobody is promoted on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from analytics.baseline import Baseline, Frozen, Span
from analytics.evidence import LATENCY, ArmSums, Check, FailingUsers, StepEvidence, StepWindow
from analytics.figures import ClusterSums
from analytics.forecast import Week
from analytics.references import References


class EvidenceLostError(Exception):
    """The evidence cannot be had now; the message is one sentence with the reason."""


class BrokenOffError(BaseException):
    """The console ends, and what was asked is not to be answered.

    No `Exception`, so that nobody takes it for one more reason to hold: nothing may come of it, not even a report.
    """


UNKNOWN = References(latencies=dict.fromkeys(sorted(LATENCY)))
"""Of a step that takes its own."""


class Measuring(Protocol):
    """Where evidence comes from; every method may raise `EvidenceLostError`, and is called by one thread at a time."""

    def fold(self) -> None:
        """Take in what the lake has that was not taken in yet."""
        ...

    def failing(self, window: StepWindow) -> tuple[FailingUsers, ...]:
        """Return what fast kill reads of a step, at the cost of its failing users."""
        ...

    def look(self, window: StepWindow) -> StepEvidence:
        """Return all that is known of a step, at the cost of its users."""
        ...

    def references(self, rollout: str, generation: int, at: int) -> References:
        """Return what a step that begins at a moment (µs since 1970 UTC) is measured by: base's seven days before."""
        ...

    def own_references(self, window: StepWindow) -> Mapping[Check, float | None]:
        """Return Q0 of those checks of which the step's own base rows are enough by now; None: it does not apply."""
        ...

    def weeks(self, rollout: str, generation: int, at: int) -> Mapping[Check, Week]:
        """Return what a forecast reads of base's last days before a moment; it holds nothing else up."""
        ...

    def slower(self, window: StepWindow, caps: Mapping[Check, float]) -> Mapping[Check, Mapping[float, ClusterSums]]:
        """Return the candidate's sums of 1{L > r·Q0} by r, at the cost of the step's raw rows; nothing waits for it."""
        ...

    def baseline(self, span: Span) -> Baseline:
        """Return base as it was in some time, from raw rows; asked once for a rollout that reaches 100 %."""
        ...

    def passed(self, span: Span, frozen: Mapping[Check, Frozen]) -> Mapping[Check, Mapping[int, ArmSums]]:
        """Return the sums of each hour (or day) of some time, by its number since 1970, at the cost of its rows."""
        ...


class Unmeasured:
    """Where no evidence can be had: a stopped installation's files, and tests that do without."""

    def fold(self) -> None:
        """Take nothing in."""

    def failing(self, window: StepWindow) -> tuple[FailingUsers, ...]:
        """Refuse."""
        raise EvidenceLostError(_nothing(window.rollout))

    def look(self, window: StepWindow) -> StepEvidence:
        """Refuse."""
        raise EvidenceLostError(_nothing(window.rollout))

    def references(self, rollout: str, generation: int, at: int) -> References:
        """Return none: a step takes its own."""
        del rollout, generation, at
        return UNKNOWN

    def weeks(self, rollout: str, generation: int, at: int) -> Mapping[Check, Week]:
        """Refuse."""
        del generation, at
        raise EvidenceLostError(_nothing(rollout))

    def own_references(self, window: StepWindow) -> Mapping[Check, float | None]:
        """Refuse."""
        raise EvidenceLostError(_nothing(window.rollout))

    def slower(self, window: StepWindow, caps: Mapping[Check, float]) -> Mapping[Check, Mapping[float, ClusterSums]]:
        """Refuse."""
        del caps
        raise EvidenceLostError(_nothing(window.rollout))

    def baseline(self, span: Span) -> Baseline:
        """Refuse."""
        raise EvidenceLostError(_nothing(span.rollout))

    def passed(self, span: Span, frozen: Mapping[Check, Frozen]) -> Mapping[Check, Mapping[int, ArmSums]]:
        """Refuse."""
        del frozen
        raise EvidenceLostError(_nothing(span.rollout))


def _nothing(rollout: str) -> str:
    return (
        f"nothing measures rollout {rollout} here: the controller is part of a running console; start `turnout serve`"
    )
