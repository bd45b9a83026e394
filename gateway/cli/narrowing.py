"""The options by which every report is narrowed, and what they say to the console."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

from analytics.narrowing import BY, BadNarrowingError, divided, split_tag
from analytics.record import Purpose
from gateway.cli.lakes import HELP

Wanted = Mapping[str, str | Sequence[str]]
"""What a report is asked for, in the API's words."""

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_WORDS = ("generation", "step", "phase", "application", "endpoint", "tag", "purpose", "since", "until", "by")


def add_narrowing_options(command: argparse.ArgumentParser) -> None:
    """Add the rollout and the options that say which requests a report is about."""
    add = command.add_argument
    add("rollout", metavar="ROLLOUT", nargs="?", help="a rollout or its flag; without it: the only one")
    add("--since", type=since_of, metavar="TIME", help="requests from then on: 2026-11-22T14:30Z, or 90m, 24h, 7d")
    add("--until", type=since_of, metavar="TIME", help="requests before then")
    add("--application", metavar="NAME", help="one application alone (default: all)")
    add(
        "--endpoint", metavar="NAME", help="one endpoint alone, as the records name it: chat.completions (default: all)"
    )
    add("--tag", type=_tag, metavar="NAME=VALUE", action="append", help="requests with this tag alone; repeatable: all")
    add("--step", type=_number, metavar="N", help="one step alone: between two moves of the percentage (default: all)")
    add("--phase", metavar="NAME", help="one phase alone (default: all)")
    add("--generation", type=_number, metavar="N", help="a former generation of its arms (default: the present)")
    purposes = get_args(Purpose)
    add("--purpose", choices=purposes, metavar="NAME", help=f"made for it: {', '.join(purposes)} (default: live)")
    add("--forced", action="store_true", help="with requests of users who are pinned to an arm (default: without)")
    add("--lake", metavar="PLACE", help=f"with --direct: {HELP}")


def add_division(command: argparse.ArgumentParser) -> None:
    """Add the option that divides a report."""
    command.add_argument(
        "--by", type=_by, metavar="PART", help=f"a table for each: {', '.join(BY)}, or tag:NAME (default: one table)"
    )


def wanted(arguments: argparse.Namespace) -> dict[str, str | Sequence[str]]:
    """Return what a command's options ask a report for; what is not given is left out."""
    found = {name: getattr(arguments, name, None) for name in ("rollout", *_WORDS)}
    asked: dict[str, str | Sequence[str]] = {name: value for name, value in found.items() if value is not None}
    return {**asked, "forced": "true"} if arguments.forced else asked


def since_of(text: str) -> str:
    """Return a time as ISO 8601 writes it; `90m`, `24h` and `7d` are that long ago.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no time; write 2026-11-22, 2026-11-22T14:30Z (UTC without a zone), or 90m, 24h, 7d"
        raise argparse.ArgumentTypeError(message) from error
    return text


def _number(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) < 2**31 and len(text) <= 10):
        message = f"{text!r} is no number of a step or a generation; `turnout rollout show` tells the present ones"
        raise argparse.ArgumentTypeError(message)
    return text


def _tag(text: str) -> str:
    try:
        split_tag(text)
    except BadNarrowingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _by(text: str) -> str:
    try:
        divided(text)
    except BadNarrowingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
