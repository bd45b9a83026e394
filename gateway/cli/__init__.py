"""The `turnout` command: parse, call, print. Each command is a module with `add_parser(commands)`.

A command's `run(arguments)` returns the exit code: 0 done or pass, 1 fail or error, 2 usage, 3 collecting or
inconclusive, 4 hold. An `Abort` ends it with one sentence on standard error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = (
    *("serve", "demo", "config", "simulate", "replay", "rollout", "gate", "report", "sql", "key", "feedback", "lake"),
    *("backup", "restore"),
)
"""In the order in which `turnout --help` lists them; each names a module of this package."""

INTERRUPTED = 130
"""128 + SIGINT: what shells show for a command that was ended by Ctrl-C."""


class Abort(Exception):  # noqa: N818 - not an error of ours: the sentence that ends a command
    """A sentence for the person at the terminal, and the exit code."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Version(argparse.Action):
    """Look the version up only when it is asked for: the search through what is installed costs every start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - see above

        sys.stdout.write(f"turnout {version('turnout')}\n")
        parser.exit()


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the whole command's parser, or one that knows a single command and has loaded no other."""
    root = argparse.ArgumentParser(prog="turnout", description="A traffic-splitting gateway for fine-tuned models.")
    root.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS if only is None else (only,):
        importlib.import_module(f"gateway.cli.{name}").add_parser(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    arguments = parser(next((word for word in words[:1] if word in COMMANDS), None)).parse_args(words)
    try:
        return arguments.run(arguments)
    except Abort as abort:
        sys.stderr.write(f"turnout: {abort}\n")
        return abort.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
