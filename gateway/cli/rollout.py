"""`turnout rollout`: look at rollouts, move their percent, pin users, and ask who gets what and why."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from analytics.record import Arm
from gateway.cli import Abort
from gateway.cli.client import add_reach_options, reach
from gateway.cli.console import Console
from gateway.cli.steering import add_actions, standing
from gateway.cli.table import write_json, write_table
from gateway.console.gate_views import ControllerView
from gateway.console.views import EntryView, RolloutView
from rollout.change import moment
from rollout.flag import BadPercentError, parse_percent

_ARMS = ("base", "candidate")
_HALVES = re.compile("[\ud800-\udfff]")
"""What Python reads bytes of an argument as that are no UTF-8."""
_UNLISTED = {"version", "step", "digest", "frozen", "evidence", "reference", "new_alpha", "banner"}
"""What `--json` alone shows of an entry."""
Action = Callable[[Console, argparse.Namespace], int]


def add_parser(commands: Any) -> None:
    """Add `rollout` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser("rollout", help="look at rollouts and move them")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add(actions, "list", "list the configured rollouts", _list)
    show = _add(actions, "show", "show one rollout, and the workers that decide by it", _show)
    show.add_argument("name", metavar="NAME", help="a rollout, or a flag that one rollout alone uses")
    _add_set(actions)
    add_actions(actions, _add)
    history = _add(actions, "history", "show who changed a rollout, when and why", _history)
    history.add_argument(
        "name", metavar="NAME", nargs="?", help="a rollout, also a former one; without it: everything that was changed"
    )
    history.add_argument("--verify", action="store_true", help="check the whole audit chain; exit 1 if it is broken")
    whois = _add(actions, "whois", "tell which arm serves a user, and why", _whois)
    whois.add_argument("user", metavar="USER", help="the user key as applications send it")
    whois.add_argument("--rollout", metavar="NAME", help="only in this rollout")


def run(arguments: argparse.Namespace) -> int:
    """Run one action against the console that the options lead to."""
    action: Action = arguments.act
    _require_text(arguments)
    if action is _set:
        _require_sense(arguments)
    with reach(arguments) as console:
        return action(console, arguments)


def _add(actions: Any, name: str, summary: str, act: Action) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    add_reach_options(parser)
    parser.set_defaults(run=run, act=act)
    return parser


def _add_set(actions: Any) -> None:
    parser = _add(actions, "set", "give the candidate a percent of users, or pin users to an arm", _set)
    parser.add_argument("name", metavar="NAME", help="a rollout, or a flag that one rollout alone uses")
    parser.add_argument("percent", metavar="PERCENT", nargs="?", help="0 to 100, at most two decimals")
    parser.add_argument("--force", metavar="USER=ARM", action="append", default=[], help="pin a user to an arm")
    parser.add_argument("--unforce", metavar="USER", action="append", default=[], help="let the bucket decide again")
    parser.add_argument(
        "--unforce-hash", metavar="HASH", action="append", default=[], help="the same, by the hash that `show` lists"
    )
    parser.add_argument("--if-version", metavar="N", type=int, help="refuse unless the rollout is at this version")
    parser.add_argument("--reason", metavar="TEXT", default="", help="one line for the audit")


def _list(console: Console, arguments: argparse.Namespace) -> int:
    rollouts = console.list_rollouts()
    if arguments.json:
        write_json(rollouts)
        return 0
    headings = ("ROLLOUT", "FLAG", "PERCENT", "VERSION", "GENERATION", "BASE", "CANDIDATE", "FORCED")
    rows = [
        (one.name, one.flag, one.percent, one.version, one.generation, one.base, one.candidate, len(one.forced))
        for one in rollouts
    ]
    write_table(headings, rows)
    _write_warnings(rollouts)
    return 0


def _show(console: Console, arguments: argparse.Namespace) -> int:
    one = console.show(arguments.name)
    if arguments.json:
        write_json(one)
        return 0
    facts = {
        "rollout": one.name,
        "also for": ", ".join(one.also_for) or None,
        "flag": one.flag,
        "percent": f"{one.percent:g}",
        "version": one.version,
        "generation": one.generation,
        "step": one.step,
        "plan": standing(one) if one.controller.standing != "idle" else None,
        "because": one.controller.note or None,
        "banner": _unsaid(one.controller),
        "base": one.base,
        "candidate": one.candidate,
        "salt": one.salt,
        "changed": f"{moment(one.changed_at)} by {one.changed_by}",
        "snapshot": one.snapshot,
    }
    _write_facts(facts)
    for hash_digits, arm in sorted(one.forced.items()):
        sys.stdout.write(f"forced      {hash_digits} to {arm}\n")
    for worker in (worker for worker in one.workers if worker.ended_page is None):
        sys.stdout.write(f"worker      {worker.worker}: snapshot {worker.snapshot}, {worker.in_flight} in flight\n")
    for override in one.controller.overrides:
        sys.stdout.write(f"override    of step {override.step} by {override.actor}: {override.reason}\n")
    _write_warnings([one])
    return 0


def _unsaid(controller: ControllerView) -> str | None:
    """Return the banner, unless the note has it."""
    return controller.banner if controller.banner not in controller.note else None


def _set(console: Console, arguments: argparse.Namespace) -> int:
    before = after = console.show(arguments.name)
    name, reason = before.name, arguments.reason
    version = before.version if arguments.if_version is None else arguments.if_version
    if arguments.percent is not None:
        after = console.set_percent(name, arguments.percent, version, reason)
        version = after.version
    for pin in arguments.force:
        user, _, arm = pin.rpartition("=")
        after = console.force_user(name, user, cast("Arm", arm), version, reason)
        version = after.version
    for user in arguments.unforce:
        after = console.unforce_user(name, user, version, reason)
        version = after.version
    for hash_digits in arguments.unforce_hash:
        after = console.unforce_hash(name, hash_digits, version, reason)
        version = after.version
    if arguments.json:
        write_json(after)
    else:
        _write_move(before, after)
        _write_warnings([before])
    return 0


def _history(console: Console, arguments: argparse.Namespace) -> int:
    history = console.history(arguments.name, verify=arguments.verify)
    if arguments.json:
        write_json(history)
    else:
        rows = [
            (f"#{one.number}", moment(one.at), one.actor, one.action, _difference(one), _reason(one))
            for one in history.entries
        ]
        write_table(("ENTRY", "AT", "BY", "ACTION", "CHANGE", "REASON"), rows)
        if history.whole:
            sys.stdout.write("the audit chain is whole\n")
    if history.fault is not None:
        message = f"the audit chain is broken: {history.fault}"
        raise Abort(message)
    return 0


def _whois(console: Console, arguments: argparse.Namespace) -> int:
    found = console.whois(arguments.user, arguments.rollout)
    if arguments.json:
        write_json(found)
        return 0
    headings = ("ROLLOUT", "ARM", "REASON", "BUCKET", "OF 100", "PERCENT", "GENERATION", "MODEL", "USER HASH")
    rows = [
        (w.rollout, w.arm, w.reason, w.bucket, w.percent_bucket, w.percent, w.generation, w.model, w.user_hash)
        for w in found
    ]
    write_table(headings, rows)
    return 0


def _require_text(arguments: argparse.Namespace) -> None:
    """Refuse bytes that are no UTF-8: no caller's JSON could name such a user."""
    for name, value in vars(arguments).items():
        words = cast("list[object]", value) if isinstance(value, list) else [value]
        if any(isinstance(word, str) and _HALVES.search(word) for word in words):
            message = f"{name} {value!r} is not UTF-8; write it in UTF-8"
            raise Abort(message, exit_code=2)


def _require_sense(arguments: argparse.Namespace) -> None:
    """Refuse what no console would take, before one is asked."""
    if arguments.percent is None and not (arguments.force or arguments.unforce or arguments.unforce_hash):
        message = "nothing to set: give a PERCENT, --force USER=ARM, --unforce USER or --unforce-hash HASH"
        raise Abort(message, exit_code=2)
    for pin in arguments.force:
        user, _, arm = pin.rpartition("=")
        if not user or arm not in _ARMS:
            message = f"--force {pin!r} is not USER=ARM, where ARM is base or candidate"
            raise Abort(message, exit_code=2)
    try:
        if arguments.percent is not None:
            parse_percent(arguments.percent)
    except BadPercentError as error:
        raise Abort(str(error), exit_code=2) from error


def _difference(entry: EntryView) -> str:
    """Say in one line what an entry changed."""
    before, after = _fields(entry.before), _fields(entry.after)
    changed = [name for name in after if before.get(name) != after[name] and name not in _UNLISTED]
    moves = [f"{name} {_word(before.get(name))} > {_word(after[name])}" for name in changed]
    user = f"user {after['user_hash']}: " if "user_hash" in after else ""
    return user + ", ".join(moves)


def _reason(entry: EntryView) -> str | None:
    """Return the reason that was given, and what it was started without."""
    return ". ".join(filter(None, [entry.reason.rstrip("."), _fields(entry.after).get("banner")])) or None


def _fields(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _write_move(before: RolloutView, after: RolloutView) -> None:
    if after.version == before.version:
        sys.stdout.write(f"{after.name} is as it was: {after.percent:g} %, version {after.version}\n")
        return
    percent = (
        f"{before.percent:g} % > {after.percent:g} %" if before.percent != after.percent else f"{after.percent:g} %"
    )
    forced = f", {len(after.forced)} forced" if after.forced else ""
    when = "within a second" if after.undistributed is None else f"as soon as this is over: {after.undistributed}"
    decided = f"workers decide by snapshot {after.snapshot} {when}"
    sys.stdout.write(f"{after.name}: {percent}{forced}, version {after.version}; {decided}\n")


def _write_facts(facts: Mapping[str, object]) -> None:
    for name, value in facts.items():
        if value is not None:
            sys.stdout.write(f"{name:<12}{value}\n")


def _write_warnings(views: Sequence[RolloutView]) -> None:
    for warning in dict.fromkeys(warning for view in views for warning in view.warnings):
        sys.stderr.write(f"warning: {warning}\n")
