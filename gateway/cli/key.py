"""`turnout key`: make, list and revoke keys."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from gateway.cli.client import add_reach_options, reach
from gateway.cli.console import Console
from gateway.cli.table import write_json, write_table
from rollout.change import moment
from rollout.keys import ROLES

Action = Callable[[Console, argparse.Namespace], int]


def add_parser(commands: Any) -> None:
    """Add `key` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser("key", help="make, list and revoke keys")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = _add(actions, "create", "make a key and print it, once", _create)
    create.add_argument("--role", choices=ROLES, required=True, help="what the key may do")
    create.add_argument(
        "--application",
        metavar="NAME",
        help="the application it calls for (role app), or whose rows alone it may ask (role analyst)",
    )
    create.add_argument("--label", metavar="TEXT", default="", help="what it is for, shown in lists and in the audit")
    _add(actions, "list", "list every key, without its text", _list)
    revoke = _add(actions, "revoke", "revoke a key for ever", _revoke)
    revoke.add_argument("id", metavar="ID", help="as `turnout key list` shows it")


def run(arguments: argparse.Namespace) -> int:
    """Run one action against the console that the options lead to."""
    action: Action = arguments.act
    with reach(arguments) as console:
        return action(console, arguments)


def _add(actions: Any, name: str, summary: str, act: Action) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    add_reach_options(parser)
    parser.set_defaults(run=run, act=act)
    return parser


def _create(console: Console, arguments: argparse.Namespace) -> int:
    made = console.create_key(arguments.role, arguments.application, arguments.label)
    if arguments.json:
        write_json(made)
        return 0
    sys.stdout.write(f"{made.key}\n")
    sys.stderr.write(f"key {made.kept.id} is shown this once; keep it now, or revoke it\n")
    return 0


def _list(console: Console, arguments: argparse.Namespace) -> int:
    keys = console.list_keys()
    if arguments.json:
        write_json(keys)
        return 0
    rows = [
        (
            key.id,
            key.role,
            key.application,
            key.label or None,
            moment(key.created_at),
            moment(key.revoked_at) if key.revoked_at is not None else None,
        )
        for key in keys
    ]
    write_table(("ID", "ROLE", "APPLICATION", "LABEL", "CREATED", "REVOKED"), rows)
    return 0


def _revoke(console: Console, arguments: argparse.Namespace) -> int:
    key = console.revoke_key(arguments.id)
    if arguments.json:
        write_json(key)
    elif key.revoked_at is not None:
        sys.stdout.write(f"key {key.id} is revoked since {moment(key.revoked_at)}\n")
    return 0
