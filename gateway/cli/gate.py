"""`turnout gate`: what a rollout's gate says, for pipelines as an exit code and for people in words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import Any

from gateway.cli import Abort
from gateway.cli.client import add_reach_options, reach
from gateway.cli.console import Console
from gateway.cli.table import write_json, write_table
from gateway.console.gate_views import GateView
from rollout.change import moment
from rollout.moves import WORDS
from rollout.verdict import Verdict

EXITS: Mapping[Verdict, int] = {"pass": 0, "fail": 1, "collecting": 3, "inconclusive": 3, "hold": 4}
QUESTIONS: Mapping[str, str] = {
    "not_there_yet": "Which check is not there yet?",
    "missing": "What is missing?",
    "next_decision": "When is the next decision?",
    "then": "What happens then?",
    "may_do": "What may I do now?",
}
"""Of the five answers, in their order."""
Action = Callable[[Console, argparse.Namespace], int]
_REPORTS, _MOST_REPORTS = 20, 500


def add_parser(commands: Any) -> None:
    """Add `gate` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser("gate", help="ask what a rollout's gate says")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add(actions, "check", "print each check's verdict; the exit code is the gate's", _check)
    _add(actions, "explain", "say what is missing, what comes next and what a person may do", _explain)
    history = _add(
        actions, "history", "list what the gate said at its looks and whenever it changed its mind", _history
    )
    history.add_argument("--reports", metavar="N", type=int, default=_REPORTS, help=f"how many; default {_REPORTS}")


def run(arguments: argparse.Namespace) -> int:
    """Run one action against the console that the options lead to."""
    action: Action = arguments.act
    reports: int = getattr(arguments, "reports", 0)
    if not 0 <= reports <= _MOST_REPORTS:
        message = f"--reports {reports}: write a number from 0 to {_MOST_REPORTS}"
        raise Abort(message, exit_code=2)
    with reach(arguments) as console:
        return action(console, arguments)


def exit_code(view: GateView) -> int:
    """Return 0 pass, 1 fail, 3 collecting or inconclusive (or nothing said yet), 4 hold.

    What passed and waits, and what reached GA, is a pass until the gate says hold or fail; what was rolled back a fail.
    """
    verdict, standing = view.controller.verdict, view.controller.standing
    if standing == "rolled_back":
        return EXITS["fail"]
    if standing in {"awaiting", "at_ga"} and verdict in {None, "collecting", "inconclusive"}:
        return EXITS["pass"]
    return EXITS[verdict] if verdict is not None else EXITS["collecting"]


def _add(actions: Any, name: str, summary: str, act: Action) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    parser.add_argument("name", metavar="NAME", help="a rollout, or a flag that one rollout alone uses")
    add_reach_options(parser)
    parser.set_defaults(run=run, act=act)
    return parser


def _check(console: Console, arguments: argparse.Namespace) -> int:
    view = console.gate(arguments.name, 0, now=True)
    if arguments.json:
        write_json(view)
        return exit_code(view)
    sys.stdout.write(f"{view.rollout} {WORDS[view.controller.standing]}\n")
    if view.report is not None:
        sys.stdout.write(f"{view.report.verdict}: {view.report.summary}\n")
        for said in (*view.report.holds, *(check.words for check in view.report.checks), *view.report.alarms):
            sys.stdout.write(f"  {said}\n")
    if view.controller.banner:
        sys.stdout.write(f"banner: {view.controller.banner}\n")
    _write_overrides(view)
    return exit_code(view)


def _explain(console: Console, arguments: argparse.Namespace) -> int:
    view = console.gate(arguments.name, 0)
    if arguments.json:
        write_json(view.answers)
        return exit_code(view)
    for name, question in QUESTIONS.items():
        sys.stdout.write(f"{question}\n  {getattr(view.answers, name)}\n")
    return exit_code(view)


def _history(console: Console, arguments: argparse.Namespace) -> int:
    view = console.gate(arguments.name, arguments.reports)
    if arguments.json:
        write_json(view.reports)
        return 0
    rows = [
        (moment(one.at), one.step, f"look {one.look}" if one.look else None, one.verdict, one.summary)
        for one in view.reports
    ]
    write_table(("AT", "STEP", "LOOK", "VERDICT", "SUMMARY"), rows)
    return 0


def _write_overrides(view: GateView) -> None:
    for one in view.controller.overrides:
        verdict = f"the gate said {one.verdict}" if one.verdict is not None else "the gate had said nothing"
        said = f"{one.actor} advanced from step {one.step} at {moment(one.at)} although {verdict}: {one.reason}"
        sys.stdout.write(f"override: {said}\n")
