"""`turnout lake verify|compact`: count what the lake holds, or merge its files. No process needs to run; all may.

Its other actions are in `lake_export.py` and `erase.py`.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.lake.place import MissingPackageError
from gateway.cli import Abort
from gateway.cli.erase import add_actions
from gateway.cli.lake_export import add_export
from gateway.cli.lakes import HELP, find_lake, open_lake, told_retention_days
from gateway.cli.table import write_json, write_table
from gateway.settings.environment import process_environment, state_dir

if TYPE_CHECKING:
    from analytics.lake.elsewhere import Gap
    from analytics.lake.layout import Heartbeat
    from analytics.lake.verify import Verification


def add_parser(commands: Any) -> None:
    """Add `lake` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser("lake", help="look after the lake's files")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser(
        "verify",
        help="count records, gaps and duplicates",
        description="Count records, gaps and duplicates. Exit code: 0 every request is there once, 1 not so, 2 usage.",
    )
    verify.set_defaults(run=run_verify)
    compact = actions.add_parser(
        "compact",
        help="merge small files into large ones by day",
        description="Merge the shipper's small files into large ones by day. Exit code: 0 done, 1 failed, 2 usage.",
    )
    compact.set_defaults(run=run_compact)
    add_export(actions)
    add_actions(actions)
    for action in (verify, compact):
        action.add_argument("--state-dir", type=Path, help="default: $TURNOUT_STATE_DIR, else turnout-data")
        action.add_argument("--lake", help=HELP)
        action.add_argument("--json", action="store_true", help="print one JSON object")


def run_verify(arguments: argparse.Namespace) -> int:
    """Print what was found and return the exit code."""
    # Imported here because DuckDB costs a tenth of a second, which no other command should pay.
    from analytics.lake.verify import NoLakeError, verify  # noqa: PLC0415 - see above

    environment = process_environment()
    state: Path = arguments.state_dir or state_dir(environment)
    try:
        found = verify(open_lake(arguments.lake, state, environment), state / "journal")
    except (NoLakeError, OSError) as error:
        raise Abort(str(error)) from error
    if arguments.json:
        write_json(found)
    else:
        _write_tables(found)
    return 0 if found.sound else 1


def run_compact(arguments: argparse.Namespace) -> int:
    """Compact the lake and say what was done."""
    from analytics.lake.compact import CompactionRunningError, compact  # noqa: PLC0415 - see above
    from analytics.lake.verify import NoLakeError  # noqa: PLC0415 - see above

    environment = process_environment()
    state: Path = arguments.state_dir or state_dir(environment)
    place = find_lake(arguments.lake, state, environment)
    try:
        done = compact(place, state, told_retention_days(arguments.lake, state))
    except (CompactionRunningError, MissingPackageError, NoLakeError, OSError) as error:
        raise Abort(str(error)) from error
    if arguments.json:
        write_json(done)
    else:
        facts = (("rows written", done.rows), ("files written", done.files), ("files replaced", done.replaced))
        more = (
            ("files removed that were replaced before", done.removed),
            ("rows let go, their time over", done.expired),
        )
        write_table(("lake", "compacted"), [*facts, *more])
    return 0


def _write_tables(found: Verification) -> None:
    write_table(
        ("lake", "sound" if found.sound else "NOT SOUND"),
        [
            ("records", found.records),
            *((f"  {outcome}", count) for outcome, count in found.outcomes.items()),
            ("missing", found.missing),
            *([("still on other hosts", found.elsewhere)] if found.elsewhere else []),
            *([("let go, their time over", found.expired)] if found.expired else []),
            ("duplicates by request_id", found.duplicate_request_ids),
            ("duplicates by worker, boot, seq", found.duplicate_seqs),
            ("waiting in the journal", found.waiting),
            ("open in the journal", found.open),
            ("set aside in quarantine", found.quarantined),
            ("unreadable segments", found.unreadable),
            ("feedback", found.feedback.records),
            ("feedback missing", found.feedback.missing),
            *([("feedback let go, its time over", found.feedback.expired)] if found.feedback.expired else []),
            ("feedback duplicates by feedback_id", found.feedback.duplicate_feedback_ids),
            ("feedback duplicates by worker, boot, seq", found.feedback.duplicate_seqs),
            ("feedback waiting in the journal", found.feedback.waiting),
            ("files", found.files),
            ("bytes", found.size_bytes),
        ],
    )
    if found.torn:
        write_table(("file that cannot be read", "why"), list(found.torn.items()))
    if found.gaps:
        write_table(("worker", "boot", "missing from", "missing to"), [_gap_row(gap) for gap in found.gaps])
    if found.feedback.gaps:
        rows = [_gap_row(gap) for gap in found.feedback.gaps]
        write_table(("worker", "boot", "feedback missing from", "missing to"), rows)
    if found.heartbeats:
        titles = ("host", "worker", "boot", "last seq", "heartbeat at")
        write_table(titles, [_beat_row(beat) for beat in found.heartbeats])
    if found.silent:
        rows = [(one.host, _moment(one.told_at)) for one in found.silent]
        write_table(("silent host; what it served since is with it", "last heard of"), rows)


def _gap_row(gap: Gap) -> tuple[object, ...]:
    return gap.worker, gap.boot, gap.first_seq, gap.last_seq


def _beat_row(beat: Heartbeat) -> tuple[object, ...]:
    return beat.host or "", beat.worker, beat.boot, beat.last_seq, _moment(beat.at)


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
