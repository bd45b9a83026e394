"""The controller at work: it measures each rollout that is under way, asks its gate, and carries out what comes of it.

The law: all that counts lies in the ledger, and one transaction moves it from what was seen to what comes next. So
whatever dies between two transactions, the next pulse comes to the same decision, and nothing is decided twice. A tick
that cannot measure holds. Time is what a monotonic clock saw pass between two ticks of this process, so neither a
moved clock nor a console that was away skips or repeats a look.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from analytics.evidence import Check, StepEvidence
from gateway.console.looking import looked, window_of
from gateway.console.measuring import UNKNOWN, EvidenceLostError, Measuring
from gateway.console.steering import Steering
from gateway.console.watching import Watching
from gateway.errors import ApiError
from rollout.change import Change, Held, State, moment
from rollout.controller import Move, clocked, fast_tick_s, move, tick_s, ticked, without_evidence
from rollout.durations import spoken
from rollout.following import followed
from rollout.gate import judge
from rollout.notice import Announce, Notice
from rollout.phase import FrozenStep
from rollout.progress import WATCHED, Progress, due_look, unknown_references
from rollout.stepping import Wanted
from rollout.stores.ledger import Ledger, LedgerError
from rollout.verdict import GateReport, Look, Watch
from rollout.vigilance import watched_since

TURNOUT = "turnout"
AGAIN_S = 2.0
"""So long after a change that could not be made it is tried again."""
HELD_LONG_S = 86_400.0
HELD_LEAST_S = 60.0
"""A hold is told of after a day, or after the whole dwell of a shorter step, but not within a minute."""
NEED_REFERENCES: frozenset[Move] = frozenset({"start", "promote", "renew"})

_log = logging.getLogger("turnout.console")


class Beat:
    """When a step was last looked at, in seconds of a monotonic clock: this process's memory, and worth no more."""

    def __init__(self, step: tuple[int, int], now_s: float) -> None:
        self.step = step
        self.counted_s = now_s
        self.whole_s: float | None = None
        self.fast_s = now_s


class Trouble(msgspec.Struct, frozen=True):
    """Why a rollout could not be moved, and when (seconds of the monotonic clock) that is tried again."""

    words: str
    again_s: float


class Judged(msgspec.Struct, frozen=True):
    """The references that a step has by now, what its gate says, what the next tick needs to know.

    `as_of` (µs): up to when everything is in; None: it could not be measured.
    """

    references: Mapping[Check, float | None]
    report: GateReport
    watch: Watch
    as_of: int | None


class Deciding:
    """The controller of one installation's rollouts; `pulse` is called again and again, by one thread at a time.

    `monotonic_s` tells seconds, `wall_us` microseconds since 1970 UTC.
    """

    def __init__(
        self,
        steering: Steering,
        ledger: Ledger,
        announce: Announce,
        *,
        monotonic_s: Callable[[], float],
        wall_us: Callable[[], int],
    ) -> None:
        self._steering, self._ledger = steering, ledger
        self._announce = announce
        self._monotonic_s, self._wall_us = monotonic_s, wall_us
        self._beats: dict[str, Beat] = {}
        self._trouble: dict[str, Trouble] = {}
        self._watching = Watching(ledger, lambda: steering.measuring)

    @property
    def _measuring(self) -> Measuring:
        return self._steering.measuring

    def pulse(self) -> None:
        """Do what is due now of every rollout; what fails is said, and tried again at the next pulse.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        rollouts = self._ledger.state().rollouts
        self._beats = {name: beat for name, beat in self._beats.items() if name in rollouts}
        due = {name: held for name, held in rollouts.items() if not held.retired and self._is_due(name, held)}
        lost = self._fold() if any(held.progress.standing in WATCHED for held in due.values()) else None
        for name, held in due.items():
            try:
                self._decide(name, held, lost)
            except Exception as error:  # noqa: BLE001 - said; one rollout's trouble keeps no other from going back
                self._wait(name, error)
            else:
                self._trouble.pop(name, None)

    def _is_due(self, name: str, held: Held) -> bool:
        if name in self._trouble and self._monotonic_s() < self._trouble[name].again_s:
            return False
        if held.progress.standing == "scheduled":
            return True
        if held.progress.standing not in WATCHED or held.progress.step is None:
            self._beats.pop(name, None)
            return False
        now_s, place = self._monotonic_s(), (held.flag.generation, held.flag.step)
        beat = self._beats.get(name)
        if beat is None or beat.step != place:
            self._beats[name] = beat = Beat(place, now_s)
        return self._is_whole(beat, held, now_s) or now_s - beat.fast_s >= fast_tick_s(held.progress.paced_s)

    def _is_whole(self, beat: Beat, held: Held, now_s: float) -> bool:
        """Tell whether more than fast kill is due: a step's first tick, a minute later, or a scheduled look."""
        if beat.whole_s is None or now_s - beat.whole_s >= tick_s(held.progress.paced_s):
            return True
        waits = held.progress.verdict == "hold" or held.flag.rollout in self._trouble
        return not waits and bool(due_look(clocked(held.progress, now_s - beat.counted_s)))

    def _fold(self) -> str | None:
        """Take in what is new; return why that cannot be done."""
        try:
            self._measuring.fold()
        except EvidenceLostError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the gates hold, and it is said
            return self._unforeseen(error)
        return None

    def _decide(self, name: str, held: Held, lost: str | None) -> None:
        if held.progress.standing == "scheduled":
            self._carry_out(name, held, held.progress)
            return
        beat, now_s = self._beats[name], self._monotonic_s()
        is_whole, beat.fast_s = self._is_whole(beat, held, now_s), now_s
        elapsed_s = now_s - beat.counted_s
        progress = clocked(held.progress, elapsed_s)
        look: Look = due_look(progress) if is_whole else 0
        if not is_whole:
            report = self._killed(held, progress, lost)
            if report is None:
                return
            counted = ticked(held.progress, report, held.progress.watch, elapsed_s=elapsed_s)
        else:
            seen = self._judged(progress, look, lost)
            counted = ticked(held.progress, seen.report, seen.watch, elapsed_s=elapsed_s)
            counted = self._watching.seen(replace(counted, references=seen.references), seen.as_of)
            beat.whole_s = now_s
        self._carry_out(name, held, counted)
        beat.counted_s = now_s

    def _judged(self, progress: Progress, look: Look, lost: str | None) -> Judged:
        """Return what a whole tick knows of a step."""
        step, at, why = _step(progress), self._wall_us(), lost
        try:
            if why is None:
                references = self._own_references(progress, step)
                found = looked(self._measuring, progress, step, references, at=at, look=look, with_ratios=look > 0)
                return Judged(references, found.report, found.watch, found.as_of)
        except EvidenceLostError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the gate holds, and it is said
            why = self._unforeseen(error)
        held = without_evidence(step, why or "", at=at, running_s=progress.running_s)
        return Judged(progress.references, held, progress.watch, None)

    def _own_references(self, progress: Progress, step: FrozenStep) -> Mapping[Check, float | None]:
        """Return Q0 of the checks whose base was too rare before the step, as soon as the step has enough itself."""
        unknown = unknown_references(progress)
        if not unknown:
            return progress.references
        found = self._measuring.own_references(window_of(step, progress.references))
        return {**progress.references, **{check: found[check] for check in unknown if check in found}}

    def _killed(self, held: Held, progress: Progress, lost: str | None) -> GateReport | None:
        """Return fast kill's report; None as long as it does not fire. What it cannot see the next whole tick says."""
        step = _step(progress)
        if lost is not None:
            return None
        try:
            failing = self._measuring.failing(window_of(step, progress.references))
        except Exception:  # noqa: BLE001 - see above
            return None
        evidence = StepEvidence(
            rollout=step.rollout, generation=step.generation, step=step.step, as_of=self._wall_us(), failing=failing
        )
        report, _ = judge(step, held.progress.watch, evidence, at=self._wall_us(), running_s=progress.running_s, look=0)
        return report if report.is_fast_kill else None

    def _carry_out(self, name: str, held: Held, counted: Progress) -> None:
        """In one transaction keep what was counted, or move; nothing if somebody was faster."""
        plan, at = self._steering.plan(name), self._wall_us()
        what = move(counted, plan, at=at, thaws_at=self._steering.ahead(name, UNKNOWN, at).thaws_at)
        if what == "stay":
            self._page(held, counted)
            if counted != held.progress:
                self._ledger.keep(name, held.progress, counted, _news(held.progress, counted))
            return
        references = self._steering.references(name, held.flag.generation) if what in NEED_REFERENCES else UNKNOWN
        reason = _reason(what, counted)

        def edit(state: State, now_us: int) -> Sequence[Change]:
            wanted = Wanted(rollout=name, version=held.flag.version, actor=TURNOUT, reason=reason, at=now_us)
            ahead = self._steering.ahead(name, references, now_us)
            return followed(state, what, held, counted, wanted, ahead)

        self._steering.change(edit, actor=TURNOUT, reason=reason)
        _log.info("the controller moved a rollout", extra={"rollout": name, "action": what, "reason": reason})

    def _page(self, held: Held, counted: Progress) -> None:
        """Tell people of a hold that lasts; told again at each tick, and delivered once."""
        if counted.report is not None and counted.held_s >= min(HELD_LONG_S, max(HELD_LEAST_S, counted.dwell_s)):
            on_hold = f"on hold for {spoken(counted.held_s)}, since {moment(counted.held_since)}"
            notice = Notice(
                what="hold_for_24_h",
                words=f"{held.flag.rollout}: {on_hold}. {counted.report.summary}",
                at=self._wall_us(),
                rollout=held.flag.rollout,
                generation=held.flag.generation,
                step=held.flag.step,
                phase=_step(counted).row.phase,
                percent=held.flag.percent,
                verdict="hold",
                mark=str(counted.held_since),
            )
            self._announce.announce(notice)

    def _unforeseen(self, error: Exception) -> str:
        _log.error("evidence could not be read", exc_info=error)
        return f"the evidence cannot be read: {type(error).__name__}, at a place that the console's log names"

    def _wait(self, name: str, error: Exception) -> None:
        """Try again soon, whatever else is due: what could not be carried out may be a rollback."""
        foreseen, known = isinstance(error, ApiError | LedgerError), self._trouble.get(name)
        words = str(error) if foreseen else f"{type(error).__name__}: {error}"
        if known is None or known.words != words:
            said = {"rollout": name, "reason": words}
            _log.error(
                "a rollout cannot be moved now; it is tried again", extra=said, exc_info=None if foreseen else error
            )
        self._trouble[name] = Trouble(words, self._monotonic_s() + AGAIN_S)
        if name in self._beats:
            self._beats[name].whole_s = None


def _reason(what: Move, counted: Progress) -> str:
    if what == "freeze" and counted.vigil is not None:
        return watched_since(counted.vigil)
    return counted.report.summary if counted.report is not None else counted.note


def _news(before: Progress, after: Progress) -> GateReport | None:
    """Return the report if it is to be kept: a scheduled look's, or one of another verdict than the one before."""
    report = after.report
    return report if report is not None and (report.look or report.verdict != before.verdict) else None


def _step(progress: Progress) -> FrozenStep:
    if progress.step is None:
        message = "a rollout without a step is watched by nobody"
        raise LedgerError(message)
    return progress.step
