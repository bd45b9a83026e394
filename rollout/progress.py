"""How far a rollout is in its plan: where it stands, the frozen step, its clock, and what the gate said last. Pure.

It lies beside the flag in the ledger and changes with it in one transaction. The law: a step of the flag that the
controller did not begin has no place in the plan. It is watched by what its predecessor was judged by, never promoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from analytics.evidence import Check
from rollout.flag import Flag
from rollout.gate import look_due
from rollout.phase import FrozenStep, pace
from rollout.reference import Vigil, vigil_of
from rollout.verdict import GateReport, Look, Verdict, Watch

Standing = Literal[
    "idle", "scheduled", "running", "paused", "awaiting", "inconclusive", "rolled_back", "at_ga", "by_hand"
]
"""`idle`: the plan was not started. `awaiting`: the row passed, and a person or a freeze window's end comes next.
`by_hand`: somebody set the percent; the gate watches it, and promotes nothing."""

Awaited = Literal["approval", "thaw"]
"""What an `awaiting` rollout waits for; `thaw`: the end of a freeze window."""

CLOCKED: frozenset[Standing] = frozenset({"running", "by_hand", "at_ga"})
"""Where running time runs, unless the gate holds."""
WATCHED: frozenset[Standing] = CLOCKED | frozenset[Standing]({"paused", "awaiting", "inconclusive"})
"""Where the gate is asked, and rolls back; a pause stops the clock, never the fire brigade."""

OVERRIDES_KEPT = 20
_EVERYBODY = 100.0
_PUT_BACK = "an older copy of the ledger was put back"


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A person advanced without a pass: from which step, whose verdict it was against, who, why and when."""

    step: int
    verdict: Verdict | None
    actor: str
    reason: str
    at: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rollout is in its plan.

    `step` stays after a rollback, as the last one. `running_s`: seconds that its clock ran; `held_s` that the gate has
    held without interruption, since `held_since`. `references`: Q0 in milliseconds that the step took of itself,
    None of what turned out not to apply.
    `report`: the gate's last word, `passed` the one that an `awaiting` rollout passed by. `since` (µs since 1970 UTC):
    when it came to stand as it does; `resumes`: how it stood before a pause. `start_at`: when a scheduled start is due.
    `note`: why it stands so. `banner`: what it was started without, as long as it runs. `vigil`: the watch at 100 %,
    None where base is left.
    """

    standing: Standing = "idle"
    since: int = 0
    note: str = ""
    banner: str = ""
    step: FrozenStep | None = None
    digest: str = ""
    running_s: float = 0.0
    held_s: float = 0.0
    held_since: int = 0
    watch: Watch = Watch()
    references: Mapping[Check, float | None] = {}
    report: GateReport | None = None
    passed: GateReport | None = None
    awaits: Awaited | None = None
    resumes: Standing | None = None
    start_at: int | None = None
    ticks: int = 0
    vigil: Vigil | None = None
    overrides: tuple[Override, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        """Return what the gate said last of this step."""
        return self.report.verdict if self.report is not None else None

    @property
    def is_planned(self) -> bool:
        """Tell whether the plan rules the percent, also by having taken it back."""
        return self.standing not in {"idle", "by_hand"}

    @property
    def dwell_s(self) -> float:
        """Return D in seconds of running time; 28 days where the row has no end; 0 without a step."""
        return pace(self.step.row).dwell_s if self.step is not None else 0.0

    @property
    def paced_s(self) -> float:
        """Return the seconds by whose 48th the step is looked at: D, or what D was before everybody was a candidate."""
        return self.dwell_s if self.vigil is None else min(self.dwell_s, self.vigil.clock.hour_us * 48 / 1_000_000)

    @property
    def is_clock_running(self) -> bool:
        """Tell whether time that passes now is running time."""
        return self.standing in CLOCKED and self.verdict != "hold"


def begun(progress: Progress, step: FrozenStep, standing: Standing, *, note: str = "") -> Progress:
    """Return the progress with a new step: an empty window, a clock at zero, nothing latched."""
    return Progress(
        standing=standing,
        since=step.started_at,
        note=note,
        banner=progress.banner,
        step=step,
        digest=step.digest,
        vigil=_vigil(progress, step),
        overrides=progress.overrides,
    )


def _vigil(progress: Progress, step: FrozenStep) -> Vigil | None:
    """Return the watch of a step: as long as everybody is a candidate it goes on, for base is there no more."""
    if step.row.percent < _EVERYBODY:
        return None
    before = progress.step
    goes_on = before is not None and before.row.percent >= _EVERYBODY and before.generation == step.generation
    return progress.vigil if goes_on and progress.vigil is not None else vigil_of(before, step)


def left_behind(progress: Progress, old: Flag, new: Flag, *, actor: str, at: int) -> Progress:
    """Return what becomes of the progress when the flag moved without the controller.

    A new generation knows nothing of the former one. A step that somebody began by hand is judged by its predecessor's
    margins and references: a person's move never waits for the lake.
    """
    if new.generation != old.generation:
        return Progress()
    if new.step == old.step or progress.standing == "idle":
        return progress
    note = f"{actor} set {new.percent:g} % by hand"
    if progress.step is None:
        return Progress(since=at, note=f"{note}, which cancelled the start")
    if not new.percent:
        return replace(
            progress, standing="rolled_back", since=at, note=note, banner="", awaits=None, resumes=None, vigil=None
        )
    row = replace(progress.step.row, percent=new.percent)
    step = replace(progress.step, step=new.step, row=row, is_proof=False, started_at=at)
    return begun(progress, step, "by_hand", note=note)


def put_back(progress: Progress, at: int) -> Progress:
    """Return what is left of the progress that an older copy of the ledger has: looks may be over that it has not seen.

    So nothing is promoted from there, and nothing started; the gate goes on watching.
    """
    if progress.standing == "scheduled":
        return replace(progress, standing="idle", since=at, start_at=None, note=f"{_PUT_BACK}, without its start")
    if progress.standing in WATCHED:
        return replace(progress, standing="by_hand", since=at, awaits=None, resumes=None, note=_PUT_BACK)
    return progress


def due_look(progress: Progress) -> Look:
    """Return which scheduled look is due at this tick; none but while the plan runs."""
    if progress.standing != "running" or progress.step is None:
        return 0
    return look_due(progress.step, progress.watch, progress.running_s)


def next_look_s(progress: Progress) -> float | None:
    """Return after how many seconds of running time the next scheduled look is due; None if there is none."""
    if progress.standing != "running" or progress.watch.looks > 1:
        return None
    return max(0.0, (progress.watch.looks + 1) * progress.dwell_s - progress.running_s)


def unknown_references(progress: Progress) -> tuple[Check, ...]:
    """Return the latency checks whose Q0 is to be taken of the step's own rows, once there are enough."""
    if progress.step is None:
        return ()
    return tuple(
        check for check, q0 in progress.step.references.items() if q0 is None and check not in progress.references
    )
