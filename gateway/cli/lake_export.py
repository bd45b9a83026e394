"""`turnout lake export`: a copy of what was recorded that any tool reads, whole or not there at all."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.lake.place import MissingPackageError
from gateway.cli import Abort
from gateway.cli.delivered import refused, require_outside, require_place
from gateway.cli.lakes import HELP, find_lake
from gateway.cli.narrowing import since_of
from gateway.cli.progress import Stages
from gateway.cli.table import write_json, write_table
from gateway.console.narrowing import parse_moment
from gateway.settings.environment import process_environment, state_dir

if TYPE_CHECKING:
    from analytics.warehouse.described import Manifest
    from analytics.warehouse.export import Asked


def add_export(actions: Any) -> None:
    """Add `export` to the actions of `turnout lake`."""
    export = actions.add_parser(
        "export",
        help="copy requests and feedback for other tools",
        description="Copy requests, each once and with its feedback, into a new folder, with a description of every "
        "column. Exit code: 0 done, 1 nothing was exported, 2 usage.",
    )
    add = export.add_argument
    add("--to", required=True, metavar="PLACE", help="a folder that is not there yet, or s3://BUCKET/PREFIX")
    add("--format", choices=("parquet", "csv", "jsonl"), default="parquet", help="default: parquet")
    add("--by", choices=("date",), help="a folder for each day (UTC), as Hive partitions are named: date=2026-11-22")
    add("--since", type=since_of, metavar="TIME", help="requests from then on: 2026-11-22, 2026-11-22T14:30Z, 7d ago")
    add("--until", type=since_of, metavar="TIME", help="requests before then")
    add("--rollout", metavar="NAME", help="requests of one rollout alone")
    add("--application", metavar="NAME", help="requests of one application alone")
    add("--content", action="store_true", help="prompts, answers and comments too, as far as they were kept")
    add("--state-dir", type=Path, help="default: $TURNOUT_STATE_DIR, else turnout-data")
    add("--lake", help=HELP)
    add("--json", action="store_true", help="print the manifest as one JSON object")
    export.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export, and say what is where."""
    # Imported here because DuckDB costs a tenth of a second, which no other command should pay.
    from analytics.lake.delivery import delivering  # noqa: PLC0415 - see above
    from analytics.lake.layout import Lake  # noqa: PLC0415 - see above
    from analytics.warehouse.export import ExportError, export  # noqa: PLC0415 - see above

    asked = _asked(arguments)
    environment = process_environment()
    state: Path = arguments.state_dir or state_dir(environment)
    place = find_lake(arguments.lake, state, environment)
    require_place(arguments.to)
    require_outside(arguments.to, place)
    stages = Stages(sys.stderr)
    try:
        lake = place.open()
        if not Lake(lake).is_there():
            message = f"there is no lake in {lake}: name it with --lake, or start `turnout serve` once"
            raise Abort(message)
        access = find_lake(arguments.to, state, environment).access
        with (
            delivering(arguments.to, access) as delivery,
            tempfile.TemporaryDirectory(prefix="turnout-") as scratch,
        ):
            done = export(lake, delivery, asked, Path(scratch), at=time.time_ns() // 1000, tell=stages.show)
    except (ExportError, MissingPackageError, OSError) as error:
        raise Abort(refused(error, "nothing was exported", arguments.to)) from error
    finally:
        stages.end()
    if arguments.json:
        write_json(done)
    else:
        _write(done, arguments.to)
    return 0


def _asked(arguments: argparse.Namespace) -> Asked:
    from analytics.warehouse.export import Asked  # noqa: PLC0415 - see `run`

    since, until = parse_moment(arguments.since, "since"), parse_moment(arguments.until, "until")
    if since is not None and until is not None and since >= until:
        message = f"--since {arguments.since} is not before --until {arguments.until}; exchange them, or leave one out"
        raise Abort(message, exit_code=2)
    if arguments.content and arguments.rollout is not None:
        message = "content is kept without its rollout: leave out --content or --rollout"
        raise Abort(message, exit_code=2)
    return Asked(
        form=arguments.format,
        by_date=arguments.by == "date",
        since=since,
        until=until,
        rollout=arguments.rollout,
        application=arguments.application,
        with_content=arguments.content,
    )


def _write(done: Manifest, target: str) -> None:
    rows = [
        *done.rows.items(),
        ("files", len(done.files) + 1),
        ("bytes", sum(one.size_bytes for one in done.files)),
    ]
    write_table((f"exported to {target}", "rows"), rows)
    sys.stdout.write("schema.md there says what each column means, schema.json the same for programs.\n")
