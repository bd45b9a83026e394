"""A rollout's plan as it moves, told line by line from what its gate shows: views come in, lines go out.

The law: nothing is told that the controller did not do, and the gate's words are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.console.gate_views import GateView
from gateway.simulate.stories import Story
from rollout.durations import spoken
from rollout.verdict import GateReport

EVERY_S = 10.0
"""So often the state is told when nothing else is."""
_OVER = frozenset({"rolled_back", "at_ga", "inconclusive"})
Paint = Callable[[str], str]
"""Gives a verdict its colour, where there are colours."""


def plain(word: str) -> str:
    """Return the word without any colour."""
    return word


def is_over(view: GateView) -> bool:
    """Tell whether the plan has come to an end, or to a person."""
    return view.controller.standing in _OVER


def is_as_declared(story: Story, view: GateView) -> bool:
    """Tell whether a story ended as it had to."""
    standing, phase = view.controller.standing, view.controller.phase
    if story.ends == "not_promoted":
        return phase == "beta" and standing in {"rolled_back", "inconclusive"}
    return standing == {"ga": "at_ga", "rolled_back": "rolled_back"}[story.ends]


class Following:
    """Tells what is new of a rollout since the last look. `last_step`: the last step that had both arms."""

    def __init__(self, paint: Paint = plain) -> None:
        self._paint = paint
        self._step: int | None = None
        self._standing = ""
        self._report_at = self._told_s = -1.0
        self._percent = 0.0
        self.last_step = 0

    def look(self, view: GateView, elapsed_s: float) -> Iterator[str]:
        """Yield the lines that are new, `elapsed_s` seconds after the beginning."""
        clock = f"{int(elapsed_s) // 60:d}:{int(elapsed_s) % 60:02d}"
        yield from self._decisions(view, clock)
        if (view.step, view.controller.standing) != (self._step, self._standing):
            yield from self._move(view, clock)
            self._told_s = elapsed_s
        elif elapsed_s - self._told_s >= EVERY_S and view.report is not None:
            yield from self._state(view, view.report, clock)
            self._told_s = elapsed_s

    def _decisions(self, view: GateView, clock: str) -> Iterator[str]:
        """Yield what the gate said at looks, and whenever it changed its mind, in the order in which it did."""
        for report in reversed(view.reports):
            if report.at <= self._report_at:
                continue
            self._report_at = report.at
            if report.gate == "certificate" or (report.verdict == "collecting" and not report.look):
                continue
            at_look = f"look {report.look}: " if report.look else ""
            yield f"\n{clock:>6}  The gate, {at_look}{self._paint(report.verdict)}. {_tail(report)}"
            yield from _checks(report)

    def _move(self, view: GateView, clock: str) -> Iterator[str]:
        was, self._percent = self._percent, view.percent
        self._step, self._standing = view.step, view.controller.standing
        if 0 < view.percent < 100:
            self.last_step = view.step
        moved = f"{was:g} % > {view.percent:g} %"
        if view.controller.standing == "rolled_back":
            yield f"\n{clock:>6}  The controller rolls back: {moved}. Nobody has the candidate any more."
        elif view.controller.standing == "at_ga":
            yield f"\n{clock:>6}  The controller moves to general availability: {moved}."
        elif view.controller.standing == "inconclusive":
            yield f"\n{clock:>6}  The controller stays at {view.percent:g} % and asks a person."
        elif view.controller.phase is not None:
            dwell_s = view.controller.dwell_s or 0.0
            looks = f"looks in {spoken(dwell_s)}, and if it must once more in {spoken(2 * dwell_s)}"
            yield f"\n{clock:>6}  The controller begins {view.controller.phase}: {moved} of users. The gate {looks}."

    def _state(self, view: GateView, report: GateReport, clock: str) -> Iterator[str]:
        phase = view.controller.phase or ""
        asked = _requests(report)
        yield f"{clock:>6}  {phase} {view.percent:g} %{asked}: {self._paint(report.verdict)}"
        yield from _checks(report)


def _requests(report: GateReport) -> str:
    for check in report.checks:
        base, candidate = check.figures.get("requests_base"), check.figures.get("requests_candidate")
        if check.check == "errors" and base is not None and candidate is not None:
            return f", {base + candidate:,.0f} requests, {candidate:,.0f} of them the candidate's"
    return ""


def _checks(report: GateReport) -> Iterator[str]:
    for words in (*report.holds, *(check.words for check in report.checks)):
        yield f"           {words}"


def _tail(report: GateReport) -> str:
    """Return the summary without the verdict's name in front, which is said before."""
    head, _, tail = report.summary.partition(": ")
    return tail if head.lower() == report.verdict else report.summary
