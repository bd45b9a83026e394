"""`turnout lake erase|erasures`: erase a user from the lake, and list what was erased."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli.client import add_reach_options, reach
from gateway.cli.lakes import HELP
from gateway.cli.table import write_json, write_table
from gateway.console.views import ErasureView
from rollout.change import moment

_STDIN = "-"


def add_actions(actions: Any) -> None:
    """Add `erase` and `erasures` to the actions of `turnout lake`."""
    erase: argparse.ArgumentParser = actions.add_parser(
        "erase",
        help="erase a user",
        description="Erase a user: requests keep their figures under a random pseudonym, content and comments go. "
        "Exit code: 0 done, perhaps but for what is still in a journal; 1 not done; 2 usage.",
    )
    who = erase.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="KEY", help="the user's key as callers send it; - reads it from standard input")
    who.add_argument("--user-hash", metavar="HASH", help="or its hash, 32 hexadecimal digits, as the lake has it")
    erase.add_argument("--application", metavar="NAME", help="in the rows of this application alone; default: of all")
    erase.add_argument("--reason", metavar="TEXT", default="", help="for the audit; name nobody")
    erase.set_defaults(run=run_erase)
    erasures: argparse.ArgumentParser = actions.add_parser(
        "erasures", help="list the erasures", description="List the erasures, and which of them still stand."
    )
    erasures.set_defaults(run=run_erasures)
    for action in (erase, erasures):
        add_reach_options(action)
        action.add_argument("--lake", help=f"with --direct: {HELP}")


def run_erase(arguments: argparse.Namespace) -> int:
    """Erase a user and say what was done."""
    user = _read() if arguments.user == _STDIN else arguments.user
    asked = {"application": arguments.application, "reason": arguments.reason}
    who = {"user": user} if user is not None else {"user_hash": arguments.user_hash}
    with reach(arguments) as console:
        done = console.erase_user({**who, **asked})
    if arguments.json:
        write_json(done)
        return 0
    write_table(("erasure", done.id), _facts(done))
    if done.ended_at is None:
        sys.stdout.write(_STANDS)
    if done.forced_in:
        names = ", ".join(done.forced_in)
        sys.stdout.write(
            f"The user is pinned to an arm in {names}; `turnout rollout set NAME --unforce KEY` ends that.\n"
        )
    return 0


_STANDS = (
    "It stands until nothing of before it is left in a journal, and goes on by itself; `turnout lake erasures` tells "
    "when it has ended.\n"
)


def run_erasures(arguments: argparse.Namespace) -> int:
    """List the erasures."""
    with reach(arguments) as console:
        found = console.list_erasures()
    if arguments.json:
        write_json(found)
        return 0
    titles = ("ERASURE", "ASKED", "APPLICATION", "REQUESTS", "CONTENTS", "FILES", "ENDED")
    write_table(titles, [(one.id, moment(one.asked_at), one.application, *_counts(one), _end(one)) for one in found])
    return 0


def _facts(done: ErasureView) -> list[tuple[object, ...]]:
    requests, contents, files = _counts(done)
    return [
        ("requests that have a pseudonym", requests),
        ("pieces of content removed", contents),
        ("files written anew", files),
        ("ended", _end(done)),
    ]


def _counts(one: ErasureView) -> tuple[int, int, int]:
    return one.requests, one.contents, one.files


def _end(one: ErasureView) -> str:
    return "stands" if one.ended_at is None else moment(one.ended_at)


def _read() -> str:
    """Return the first line of standard input, where no list of processes shows it."""
    return sys.stdin.readline().removesuffix("\n")
