"""What a rollout's plan can be told: start, advance, restart, pause, resume, roll back. Pure.

Each change moves flag and progress together and carries its evidence into the audit. A person may advance against the
verdict: that is an `override`, needs a reason, and stays in the progress for all to see. Restarting a step buys a new
share of false alarms, and the audit says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from rollout.certificate import Arms, judge_certificate, may_start
from rollout.change import Change, ChangeError, Held, State, moment, seen
from rollout.phase import FrozenStep, StepStart, freeze_step
from rollout.places import first_row, next_row, row_of
from rollout.progress import OVERRIDES_KEPT, WATCHED, Awaited, Override, Progress, Standing, begun
from rollout.schedule import frozen_until
from rollout.stepping import Ahead, Wanted, entered, moved_on, over, told
from rollout.verdict import GateReport

Wish = Literal["start", "advance", "restart", "pause", "resume", "rollback"]
WISHES: Mapping[Wish, frozenset[Standing]] = {
    "start": frozenset({"idle", "scheduled", "rolled_back", "by_hand"}),
    "advance": WATCHED - {"at_ga"},
    "restart": WATCHED,
    "pause": frozenset({"scheduled", "running", "awaiting", "inconclusive", "at_ga"}),
    "resume": frozenset({"paused", "by_hand"}),
}
"""What is possible where; rolling back is possible everywhere."""

WORDS: Mapping[Standing, str] = {
    "idle": "has not started its plan; `turnout rollout start` does",
    "scheduled": "waits for its scheduled start",
    "running": "is running its plan",
    "paused": "is paused; `turnout rollout resume` goes on",
    "awaiting": "has passed a row and waits",
    "inconclusive": "is inconclusive: advance, restart the step or roll back",
    "rolled_back": "was rolled back; `turnout rollout start` begins its plan again",
    "at_ga": "is at GA, the plan's last row",
    "by_hand": "was moved by hand; `turnout rollout resume` takes up its plan at the present percent",
}


def start(state: State, wanted: Wanted, ahead: Ahead, *, start_at: int | None = None) -> list[Change]:
    """Begin the plan's first row that gives the candidate users, now or at `start_at` (µs since 1970 UTC).

    Raises:
        ChangeError: it runs already, a certificate is required, a freeze window is open, or no row has a percent.
    """
    held = _may(state, wanted, "start")
    certificate = _certificate(held, ahead, wanted)
    allowed = may_start(certificate, ahead.plan.certified)
    if not allowed.is_allowed:
        raise ChangeError(allowed.banner)
    place = first_row(ahead.plan)
    if place is None:
        message = f"the plan of rollout {wanted.rollout} has no row with a percent; give it one"
        raise ChangeError(message)
    if start_at is not None and start_at > wanted.at:
        thaws_at = frozen_until(ahead.plan.freezes, start_at)
        frozen = f"; a freeze window is open then, so it starts at {moment(thaws_at)}" if thaws_at is not None else ""
        note = f"{wanted.actor} scheduled the start for {moment(start_at)}{frozen}"
        waiting = replace(over(held.progress, "scheduled", wanted.at, note), start_at=start_at)
        return [told("schedule", held, held.flag, waiting, start_at=start_at)]
    _require_thaw(ahead, wanted.rollout)
    note = ". ".join(filter(None, [f"started by {wanted.actor}", allowed.banner]))
    said = certificate if ahead.plan.certified != "off" else None
    shown = replace(held, progress=replace(held.progress, banner=allowed.banner))
    noted = {"banner": allowed.banner} if allowed.banner else {}
    return [entered("start", shown, place, ahead, wanted, note=note, report=said, **noted)]


def advance(state: State, wanted: Wanted, ahead: Ahead) -> list[Change]:
    """Begin the next row: an approval where the row passed, else an override, which needs a reason.

    Raises:
        ChangeError: nothing runs, it is the last row, a freeze window is open, or the reason is missing.
    """
    held = _may(state, wanted, "advance")
    progress, step = held.progress, _step(held)
    place = next_row(ahead.plan, step)
    if place is None:
        message = f"rollout {wanted.rollout} is at its plan's last row ({step.row.percent:g} %); there is none after it"
        raise ChangeError(message)
    _require_thaw(ahead, wanted.rollout)
    if progress.standing == "awaiting" and progress.verdict != "hold":
        note = f"approved by {wanted.actor}"
        return [entered("approve", held, place, ahead, wanted, note=note, report=progress.passed)]
    if not wanted.reason.strip():
        raise ChangeError(_unapproved(progress))
    override = Override(
        step=step.step, verdict=progress.verdict, actor=wanted.actor, reason=wanted.reason, at=wanted.at
    )
    kept = replace(progress, overrides=(*progress.overrides, override)[-OVERRIDES_KEPT:])
    note = f"{wanted.actor} advanced without a pass: {wanted.reason}"
    changed = replace(held, progress=kept)
    return [entered("override", changed, place, ahead, wanted, note=note, report=progress.report)]


def _unapproved(progress: Progress) -> str:
    """Return why advancing now takes a reason."""
    if progress.standing == "awaiting":
        waits = "for an approval" if progress.awaits == "approval" else "for a freeze window's end"
        return (
            f"the step has passed and waits {waits}, but the gate holds now and nothing is concluded: advance once it "
            "holds no more, or override it with a reason (--reason TEXT)"
        )
    if progress.resumes == "awaiting":
        return (
            "the step has passed, but the rollout is paused: resume it and then advance, or override the pause with a "
            "reason (--reason TEXT)"
        )
    said = f"the gate says {progress.verdict}" if progress.verdict is not None else "the gate has said nothing yet"
    return f"{said}, so advancing overrides it and needs a reason (--reason TEXT)"


def restart(state: State, wanted: Wanted, ahead: Ahead) -> list[Change]:
    """Begin the present row again, with an empty window and the plan as it is now.

    Raises:
        ChangeError: nothing runs, the reason is missing, or the plan has this row no more.
    """
    held = _may(state, wanted, "restart")
    if not wanted.reason.strip():
        message = "a restarted step buys a new share of false alarms, so it needs a reason (--reason TEXT)"
        raise ChangeError(message)
    return [_again(held, ahead, wanted, note=f"{wanted.actor} restarted the step: {wanted.reason}")]


def pause(state: State, wanted: Wanted) -> list[Change]:
    """Stop the clock: nothing is promoted and no look is taken; the gate goes on watching, and rolls back."""
    held = _may(state, wanted, "pause")
    note = f"paused by {wanted.actor}"
    paused = replace(held.progress, standing="paused", resumes=held.progress.standing, since=wanted.at, note=note)
    return [told("pause", held, held.flag, paused)]


def resume(state: State, wanted: Wanted, ahead: Ahead) -> list[Change]:
    """Go on where a pause began; or take up the plan at the percent that was set by hand, with a new step.

    Raises:
        ChangeError: it is neither paused nor moved by hand, or no row of the plan has the percent.
    """
    held = _may(state, wanted, "resume")
    note = f"resumed by {wanted.actor}"
    if held.progress.resumes is not None:
        gone_on = replace(held.progress, standing=held.progress.resumes, resumes=None, since=wanted.at, note=note)
        return [told("resume", held, held.flag, gone_on)]
    place = row_of(ahead.plan, held.flag.percent)
    if place is None:
        message = (
            f"no row of the plan has {held.flag.percent:g} %; `turnout rollout advance` begins the next row, "
            "`turnout rollout start` the first"
        )
        raise ChangeError(message)
    return [entered("resume", held, place, ahead, wanted, note=note)]


def roll_back(
    state: State, wanted: Wanted, *, report: GateReport | None = None, progress: Progress | None = None
) -> list[Change]:
    """Give the candidate nobody; with a `report` because the gate failed. What is rolled back already stays as it is.

    `progress` is what the tick counted that found it.
    """
    held = seen(state, wanted.rollout, wanted.version)
    if not held.flag.percent and held.progress.standing in {"idle", "rolled_back"}:
        return []
    note = report.summary if report is not None else f"rolled back by {wanted.actor}"
    ended = over(progress or held.progress, "rolled_back", wanted.at, note)
    flag = moved_on(held.flag, percent=0.0, phase=None)
    return [told("roll_back", held, flag, ended, report=report or held.progress.report)]


def promote(state: State, wanted: Wanted, ahead: Ahead, progress: Progress) -> list[Change]:
    """Begin the next row because the present one passed; `progress` is what the tick counted."""
    held = seen(state, wanted.rollout, wanted.version)
    place = next_row(ahead.plan, _step(held))
    if place is None:
        return []
    passed = progress.passed or progress.report
    note = passed.summary if passed is not None else ""
    return [entered("advance", held, place, ahead, wanted, note=note, report=passed)]


def wait(state: State, wanted: Wanted, progress: Progress, awaits: Awaited) -> list[Change]:
    """Keep the percent after a pass, until a person approves or the freeze window is over."""
    held = seen(state, wanted.rollout, wanted.version)
    note = "passed; it waits for a person's approval" if awaits == "approval" else "passed; a freeze window is open"
    waiting = replace(
        progress,
        standing="awaiting",
        awaits=awaits,
        passed=progress.passed or progress.report,
        since=wanted.at,
        note=note,
    )
    return [told("await", held, held.flag, waiting, report=progress.report)]


def ask(state: State, wanted: Wanted, progress: Progress) -> list[Change]:
    """Keep the percent after the last look proved nothing: a person is asked."""
    held = seen(state, wanted.rollout, wanted.version)
    note = progress.report.summary if progress.report is not None else ""
    asked = replace(progress, standing="inconclusive", since=wanted.at, note=note)
    return [told("find_inconclusive", held, held.flag, asked, report=progress.report)]


def renew(state: State, wanted: Wanted, ahead: Ahead) -> list[Change]:
    """Begin the next window at GA."""
    held = seen(state, wanted.rollout, wanted.version)
    return [_again(held, ahead, wanted, note="a window is over, the next one begins")]


def _may(state: State, wanted: Wanted, wish: Wish) -> Held:
    held = seen(state, wanted.rollout, wanted.version)
    if held.progress.standing not in WISHES[wish]:
        message = (
            f"rollout {wanted.rollout} {WORDS[held.progress.standing]}; it cannot be told to {wish} now, "
            f"but to {_possible(held.progress.standing)}"
        )
        raise ChangeError(message)
    return held


def _possible(standing: Standing) -> str:
    wishes = [wish for wish, where in WISHES.items() if standing in where]
    back = [] if standing in {"idle", "rolled_back"} else ["roll back"]
    return " or ".join([*wishes, *back])


def _certificate(held: Held, ahead: Ahead, wanted: Wanted) -> GateReport:
    """Return what the plan's first row says: no evaluation makes certificates yet, so there is none."""
    flag = held.flag
    began = StepStart(
        rollout=flag.rollout, generation=flag.generation, step=flag.step, started_at=wanted.at, references={}
    )
    arms = Arms(base=flag.base, candidate=flag.candidate)
    return judge_certificate(freeze_step(ahead.plan, 0, began), None, arms, at=wanted.at)


def _require_thaw(ahead: Ahead, rollout: str) -> None:
    if ahead.thaws_at is not None:
        message = (
            f"a freeze window is open until {moment(ahead.thaws_at)}: rollout {rollout} gets no more users before; "
            "rolling back is always possible"
        )
        raise ChangeError(message)


def _step(held: Held) -> FrozenStep:
    if held.progress.step is None:
        message = f"rollout {held.flag.rollout} {WORDS['idle']}"
        raise ChangeError(message)
    return held.progress.step


def _again(held: Held, ahead: Ahead, wanted: Wanted, *, note: str) -> Change:
    """Return the present row's new step; one that was set by hand stays so."""
    step = _step(held)
    if held.progress.standing == "by_hand":
        new = replace(step, step=held.flag.step + 1, started_at=wanted.at)
        return told(
            "restart", held, moved_on(held.flag), begun(held.progress, new, "by_hand", note=note), new_alpha=True
        )
    rows = enumerate(ahead.plan.rows)
    place = next((at for at, row in rows if (row.phase, row.percent) == (step.row.phase, step.row.percent)), None)
    if place is None:
        message = (
            f"the plan has no row {step.row.phase} with {step.row.percent:g} % any more; advance to the next one, "
            "or roll back"
        )
        raise ChangeError(message)
    return entered("restart", held, place, ahead, wanted, note=note, report=held.progress.report, new_alpha=True)
