"""`turnout feedback import|count`: send feedback from a file to the gateway; count what became of what was sent.

An import sends nothing unless every line of its file can be sent, and names each line that the gateway did not take.
Sending a line again does no harm: of two pieces that say something of one request, the newer counts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from gateway.cli import Abort
from gateway.cli.freshness import freshness_lines
from gateway.cli.lakes import HELP, find_journal, open_lake
from gateway.cli.progress import Progress
from gateway.cli.table import write_json, write_table
from gateway.cli.target import find_target
from gateway.settings.environment import process_environment, state_dir

if TYPE_CHECKING:
    from gateway.cli.feedback_file import BadLine

_SHOWN_LINES = 50


class Imported(msgspec.Struct, kw_only=True):
    """What became of a file's lines; `comments_dropped`: the application keeps no content."""

    lines: int
    sent: int = 0
    failed: int = 0
    comments_dropped: int = 0


def add_parser(commands: Any) -> None:
    """Add `feedback` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser("feedback", help="import users' feedback, or count it")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    imports = actions.add_parser(
        "import",
        help="send feedback from a CSV file to the gateway",
        description="Send each line of a CSV file to the gateway. Exit code: 0 all were taken, 1 not so, 2 usage.",
    )
    add = imports.add_argument
    add("file", type=Path, metavar="FILE", help="CSV with a header: request_id or response_id, thumb, rating, ...")
    add("--url", help="the gateway ($TURNOUT_GATEWAY_URL, else the state directory's)")
    add("--key", help="the key of the application that asked ($TURNOUT_APP_KEY, else the state directory's)")
    add("--state-dir", type=Path, metavar="DIR", help="where to find the gateway (turnout-data)")
    add("--dry-run", action="store_true", help="check the file and send nothing")
    add("--json", action="store_true", help="print JSON for programs")
    imports.set_defaults(run=run_import)
    count = actions.add_parser(
        "count",
        help="count what became of feedback",
        description="Count feedback by application: what was joined to a request, and what was not, for which reason.",
    )
    count.add_argument("--state-dir", type=Path, help="default: $TURNOUT_STATE_DIR, else turnout-data")
    count.add_argument("--lake", help=HELP)
    count.add_argument("--json", action="store_true", help="print JSON for programs")
    count.set_defaults(run=run_count)


def run_import(arguments: argparse.Namespace) -> int:
    """Check the whole file, then send it; 1 when a line is bad or was not taken."""
    from gateway.cli import feedback_file, sending  # noqa: PLC0415 - `turnout --help` need not load an HTTP client

    try:
        lines, bad = feedback_file.read(arguments.file)
    except feedback_file.BadFileError as error:
        raise Abort(str(error), exit_code=2) from error
    if bad:
        _tell(bad)
        message = f"{arguments.file}: {len(bad):,} of {len(lines) + len(bad):,} lines are wrong; nothing was sent"
        raise Abort(message)
    imported = Imported(lines=len(lines))
    if not arguments.dry_run:
        target = find_target(arguments.url, arguments.key, arguments.state_dir, process_environment())
        sending.check(target)
        _send(lines, target, imported)
    if arguments.json:
        write_json(imported)
    else:
        names = ("lines", "sent", "failed", "comments_dropped")
        write_table(("feedback", ""), [(name.replace("_", " "), getattr(imported, name)) for name in names])
    return 1 if imported.failed else 0


def _send(lines: Any, target: Any, imported: Imported) -> None:
    from gateway.cli import feedback_file  # noqa: PLC0415 - see above

    progress = Progress(len(lines), sys.stderr)
    failed: list[BadLine] = []

    def seen(outcome: feedback_file.Outcome) -> None:
        progress.add(failed=outcome.failure is not None)
        if outcome.failure is None:
            imported.sent += 1
            imported.comments_dropped += outcome.comment_dropped
        else:
            imported.failed += 1
            failed.append(feedback_file.BadLine(outcome.number, outcome.failure))

    try:
        uvloop.run(feedback_file.send_all(lines, target, seen))
    except KeyboardInterrupt:
        sys.stderr.write(f"\nturnout: stopped; {imported.sent:,} of {imported.lines:,} lines were taken\n")
        raise
    finally:
        progress.end()
        _tell(sorted(failed, key=lambda line: line.number))


def _tell(bad: list[BadLine]) -> None:
    for line in bad[:_SHOWN_LINES]:
        sys.stderr.write(f"line {line.number}: {line.reason}\n")
    if len(bad) > _SHOWN_LINES:
        sys.stderr.write(f"... and {len(bad) - _SHOWN_LINES:,} more lines\n")


def run_count(arguments: argparse.Namespace) -> int:
    """Print what became of feedback, for each application."""
    # Imported here because DuckDB costs a tenth of a second, which no other command should pay.
    from analytics.lake.layout import Lake  # noqa: PLC0415 - see above
    from analytics.warehouse.database import Warehouse, WarehouseError  # noqa: PLC0415 - see above
    from analytics.warehouse.feedback import STATUSES, fates  # noqa: PLC0415 - see above

    environment = process_environment()
    state: Path = arguments.state_dir or state_dir(environment)
    lake = open_lake(arguments.lake, state, environment)
    try:
        is_there = Lake(lake).is_there()
    except OSError as error:
        raise Abort(str(error)) from error
    if not is_there:
        message = f"there is no lake in {lake}: name it with --lake, or start `turnout serve` once"
        raise Abort(message)
    warehouse = Warehouse(lake, find_journal(arguments.lake, state))
    try:
        with warehouse.look() as seen:
            counted = fates(seen)
    except WarehouseError as error:
        raise Abort(str(error)) from error
    finally:
        warehouse.close()
    if arguments.json:
        write_json(counted)
    else:
        rows = [(one.application, *(getattr(one, status) for status in STATUSES)) for one in counted]
        write_table(("application", *STATUSES), rows)
        for line in freshness_lines(seen.freshness, seen.asked_at):
            sys.stdout.write(f"{line}\n")
    return 0
