"""`turnout rollout start|advance|restart|pause|resume|rollback|plan`: what a plan can be told, and what it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from gateway.cli.console import Console
from gateway.cli.table import write_json, write_table
from gateway.console.gate_views import ControllerView, PlanView
from gateway.console.views import RolloutView
from rollout.change import moment
from rollout.durations import DAY_S, spoken
from rollout.moves import WORDS, Wish
from rollout.phase import Margin, Plan
from rollout.phrases import counted
from rollout.progress import WATCHED

Action = Callable[[Console, argparse.Namespace], int]
Add = Callable[[Any, str, str, Action], argparse.ArgumentParser]

NO_CONTROLLER = (
    "nothing is measured or decided yet: no console runs, and the controller is a part of it; start `turnout serve`"
)
_EVERYBODY = 100
_SUMMARIES: dict[Wish, str] = {
    "start": "begin a rollout's plan, now or at a time",
    "advance": "begin the plan's next row: an approval after a pass, else an override",
    "restart": "begin the present row again, with an empty window",
    "pause": "stop the plan's clock; the gate goes on watching, and rolls back",
    "resume": "go on after a pause, or take up the plan at the percent that was set by hand",
    "rollback": "give the candidate nobody",
}


def add_actions(actions: Any, add: Add) -> None:
    """Add the actions that a plan can be told, and the one that shows it."""
    for wish, summary in _SUMMARIES.items():
        parser = add(actions, wish, summary, _tell)
        parser.set_defaults(wish=wish)
        parser.add_argument("name", metavar="NAME", help="a rollout, or a flag that one rollout alone uses")
        parser.add_argument("--reason", metavar="TEXT", default="", help="one line for the audit")
        parser.add_argument("--if-version", metavar="N", type=int, help="refuse unless the rollout is at this version")
        if wish == "start":
            parser.add_argument(
                "--at", metavar="TIME", help="when to start, such as 2026-12-01T08:00:00Z; default: now"
            )
    plan = add(actions, "plan", "show a rollout's plan: its rows, and what its gates demand", _plan)
    plan.add_argument("name", metavar="NAME", help="a rollout, or a flag that one rollout alone uses")
    plan.add_argument("--suggest", action="store_true", help="add a forecast, and a plan that is likely to be passed")


def standing(view: RolloutView) -> str:
    """Say in one line where a rollout stands in its plan."""
    return placed(view.controller, view.percent)


def placed(one: ControllerView, percent: float) -> str:
    """Say the same of a rollout's controller, and its percent."""
    where = f"{one.phase} {percent:g} %" if one.phase is not None else f"{percent:g} %"
    clock = f", {spoken(one.running_s)} of {spoken(one.dwell_s)} over" if one.dwell_s is not None else ""
    waits = f", for {moment(one.start_at)}" if one.start_at is not None else ""
    if one.start_at is not None and one.thaws_at is not None:
        waits = f", for {moment(one.thaws_at)}, when the freeze window ends that is open at {moment(one.start_at)}"
    verdict = f", the gate says {one.verdict}" if one.verdict is not None else ""
    return f"{one.standing.replace('_', ' ')}{waits}: {where}{clock}{verdict}"


def _tell(console: Console, arguments: argparse.Namespace) -> int:
    before = console.show(arguments.name)
    version = before.version if arguments.if_version is None else arguments.if_version
    after = console.tell(before.name, arguments.wish, version, arguments.reason, getattr(arguments, "at", None))
    if arguments.json:
        write_json(after)
        return 0
    if after.version == before.version:
        sys.stdout.write(f"{after.name} is as it was: it {WORDS[after.controller.standing]}\n")
        return 0
    moved = f"{before.percent:g} % > {after.percent:g} %" if after.percent != before.percent else f"{after.percent:g} %"
    sys.stdout.write(f"{after.name}: {moved}, version {after.version}; {standing(after)}\n")
    if arguments.wish == "start" and after.controller.banner:
        sys.stderr.write(f"warning: {after.controller.banner}\n")
    if arguments.direct and after.controller.standing in {*WATCHED, "scheduled"}:
        sys.stderr.write(f"warning: {NO_CONTROLLER}\n")
    return 0


def _plan(console: Console, arguments: argparse.Namespace) -> int:
    shown = console.plan(arguments.name, suggest=arguments.suggest)
    if arguments.json:
        write_json(shown)
        return 0
    rows = [
        (
            at,
            row.phase,
            row.percent,
            "without end" if row.dwell_s is None else spoken(row.dwell_s),
            row.gate,
            _asks(shown.plan, at),
            ", ".join(row.asked) or None,
        )
        for at, row in enumerate(shown.plan.rows)
    ]
    write_table(("ROW", "PHASE", "PERCENT", "DWELL", "GATE", "FOR A PASS", "CHECKS"), rows)
    for words in passes(shown.plan):
        sys.stdout.write(f"{words}\n")
    sys.stdout.write("\n")
    margins = [
        (check, _tolerated(margin), margin.min_users, margin.min_requests)
        for check, margin in shown.plan.margins.items()
    ]
    write_table(("CHECK", "TOLERATES", "USERS", "REQUESTS"), margins)
    sys.stdout.write("Proof needs so many users and requests of the candidate at least.\n")
    between = "a person approves" if shown.plan.approval == "one" else "nobody is asked"
    sys.stdout.write(f"\nBetween phases {between}. Later edits apply from the next step on.\n")
    if arguments.suggest:
        write_forecast(shown)
    return 0


def _asks(plan: Plan, at: int) -> str | None:
    """Return what a row asks for before it passes; None of the certificate's, which is about no requests."""
    row = plan.rows[at]
    if row.gate == "certificate":
        return None
    if row.gate == "ga":
        return "watched"
    return "proof" if plan.is_proof(at) else "safety"


def passes(plan: Plan) -> Iterator[str]:
    """Yield what the words of a plan's column mean, of those that it has."""
    asked = [_asks(plan, at) for at in range(len(plan.rows))]
    if "safety" in asked:
        seen = f"{counted(plan.safety_requests, 'request')} of {counted(plan.safety_users, 'user')} of the candidate"
        yield f"safety   passes when no check failed, in {seen} at least"
    if "proof" in asked:
        yield "proof    passes when every check is proven to be within what it tolerates"
    last = plan.rows[-1]
    if last.gate == "ga" and last.percent >= _EVERYBODY:
        yield "watched  is compared with base as it was before 100 %; an alarm tells people and rolls nothing back"
    elif last.gate == "ga":
        rest = f"the {_EVERYBODY - last.percent:g} % of users who stay with base"
        yield f"watched  is compared with {rest}; what fails is rolled back"


def write_forecast(shown: PlanView) -> None:
    """Print how likely a plan is to be passed, and the one that is likelier."""
    if shown.chance is None or shown.suggestion is None:
        sys.stdout.write(f"\nForecast: unknown; {shown.unknown}.\n")
        return
    sys.stdout.write(f"\nForecast: an equal candidate reaches GA with a chance of {shown.chance:.0%}.\n")
    better = shown.suggestion
    words = "" if better.is_reached else ", which is the likeliest within reach"
    sys.stdout.write(f"Suggested, with a chance of {better.chance:.0%}{words}:\n\n")
    rows = [
        (row.phase, row.percent, spoken(row.days * DAY_S), f"{chance:.0%}")
        for row, chance in zip(better.rows, better.chances, strict=True)
    ]
    write_table(("PHASE", "PERCENT", "DWELL", "CHANCE"), rows)
    for check in better.widened:
        wider = better.tolerances[check]
        margin = Margin(relative=wider.relative, absolute=wider.absolute, ratio=wider.ratio)
        sys.stdout.write(f"{check} then tolerates {_tolerated(margin)}\n")


def _tolerated(margin: Margin) -> str:
    if margin.ratio != 1:
        return f"{margin.ratio:g} times base's"
    parts = [f"{margin.relative * 100:g} % more"] if margin.relative else []
    parts += [f"{margin.absolute * 100:g} points more"] if margin.absolute else []
    return " and ".join(parts) or "nothing"
