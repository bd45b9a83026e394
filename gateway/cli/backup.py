"""`turnout backup`: everything that an installation knows and recorded, whole, while it runs or not."""

from __future__ import annotations

import argparse
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.lake.place import MissingPackageError
from gateway.cli import Abort
from gateway.cli.delivered import refused, require_apart, require_outside, require_place
from gateway.cli.lakes import find_lake
from gateway.cli.progress import Stages
from gateway.cli.table import write_json, write_table
from gateway.settings.environment import config_path, process_environment, state_dir
from gateway.settings.lake_access import told_lake
from gateway.settings.secrets import SecretError
from rollout.change import moment
from rollout.stores.ledger import LedgerError

if TYPE_CHECKING:
    from gateway.console.backup import Wanted
    from gateway.console.backup_manifest import Manifest

_DEMO_CONFIG = "demo.toml"
_PRECIOUS = """It holds the master secret, and the first keys if they are still there.
Whoever reads it can pass for anybody: keep it as safe as these.
"""
_INCOMPLETE = """It has no master secret, without which it cannot be restored: keep that somewhere else.
"""


def add_parser(commands: Any) -> None:
    """Add `backup`."""
    parser = commands.add_parser(
        "backup",
        help="copy an installation, running or not, so that it can be restored",
        description="Copy ledger, keys, saved queries, configuration, lake and journal into a new folder, archive or "
        "bucket. Exit code: 0 done, 1 nothing was backed up, 2 usage.",
    )
    add = parser.add_argument
    add("--to", required=True, metavar="PLACE", help="a new folder, a new file NAME.tar, or s3://BUCKET/PREFIX")
    add("--state-dir", type=Path, help="default: $TURNOUT_STATE_DIR, else turnout-data")
    add("--config", type=Path, help="the configuration; default: $TURNOUT_CONFIG, else turnout.toml")
    add("--without-lake", action="store_true", help="leave out the records: small, and quick")
    add("--copy-objects", action="store_true", help="copy a lake in an object store too, which else stays where it is")
    add("--without-secrets", action="store_true", help="leave out the master secret and the first keys")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Back up, and say what is in it."""
    from gateway.console.backup import back_up, backing_up  # noqa: PLC0415 - DuckDB, which no other command should load
    from gateway.console.backup_manifest import BackupError  # noqa: PLC0415 - see above

    environment = process_environment()
    state: Path = arguments.state_dir or state_dir(environment)
    stages = Stages(sys.stderr)
    try:
        require_place(arguments.to)
        wanted = _wanted(arguments, state.absolute())
        require_outside(arguments.to, find_lake(None, state, environment))
        require_apart(arguments.to, state)
        access = find_lake(arguments.to, state, environment).access
        at, host = time.time_ns() // 1000, socket.gethostname()
        with backing_up(arguments.to, access) as delivery:
            made = back_up(delivery, wanted, environment, at=at, host=host, tell=stages.show)
    except (BackupError, LedgerError, SecretError, MissingPackageError, OSError) as error:
        raise Abort(refused(error, "nothing was backed up", arguments.to)) from error
    finally:
        stages.end()
    if arguments.json:
        write_json({**dict(_facts(made, wanted)), "id": made.id, "made_at": made.made_at})
    else:
        _write(made, wanted, arguments.to)
    return 0


def _wanted(arguments: argparse.Namespace, state: Path) -> Wanted:
    from gateway.console.backup import Wanted  # noqa: PLC0415 - see `run`

    environment = process_environment()
    place = find_lake(None, state, environment)
    is_left = arguments.without_lake or (place.directory is None and not arguments.copy_objects)
    is_demo = (state / _DEMO_CONFIG).exists()
    config: Path = arguments.config or config_path(environment)
    if arguments.config is not None and not config.is_file():
        message = f"there is no file {config}; name the configuration that this installation runs with"
        raise Abort(message)
    return Wanted(
        state_dir=state,
        config=None if is_demo and arguments.config is None else config,
        lake=None if is_left else place,
        lake_url=told_lake(state).url,
        with_secrets=not arguments.without_secrets,
    )


def _facts(made: Manifest, wanted: Wanted) -> list[tuple[str, Any]]:
    def count(folder: str) -> int:
        return sum(
            one.name.startswith(f"{folder}/") and one.name.endswith((".parquet", ".json", ".segment"))
            for one in made.files
        )

    return [
        ("snapshot", f"{made.epoch}.{made.version}"),
        ("audit_entries", made.audit_entries),
        ("saved_queries", count("queries")),
        ("configuration", made.config),
        ("lake", made.lake.kept if wanted.lake is not None else "left where it is"),
        ("lake_files", count("lake")),
        ("journal_segments", count("journal")),
        ("has_secret", made.has_secret),
        ("files", len(made.files) + 1),
        ("size_bytes", sum(one.size_bytes for one in made.files)),
    ]


def _write(made: Manifest, wanted: Wanted, target: str) -> None:
    rows = [(name.replace("_", " "), value) for name, value in _facts(made, wanted)]
    write_table((f"backed up to {target}", moment(made.made_at)), rows)
    sys.stdout.write(_PRECIOUS if made.has_secret else _INCOMPLETE)
