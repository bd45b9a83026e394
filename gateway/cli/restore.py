"""`turnout restore`: an installation made of a backup, or nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.lake.place import MissingPackageError
from gateway.cli import Abort
from gateway.cli.delivered import refused, require_place
from gateway.cli.direct import person
from gateway.cli.lakes import find_lake
from gateway.cli.progress import Stages
from gateway.cli.table import write_json, write_table
from gateway.errors import ApiError
from gateway.settings.environment import config_path, process_environment, state_dir
from gateway.settings.secrets import SecretError
from rollout.change import moment
from rollout.stores.ledger import LedgerError

if TYPE_CHECKING:
    from gateway.console.restore import Outcome


def add_parser(commands: Any) -> None:
    """Add `restore`."""
    parser = commands.add_parser(
        "restore",
        help="make an installation of a backup",
        description="Check a whole backup, and make a state directory of it. Nothing is there until all of it is "
        "sound. Exit code: 0 done, 1 nothing was restored, 2 usage.",
    )
    add = parser.add_argument
    add(
        "--from", dest="source", required=True, metavar="PLACE", help="a folder, a file NAME.tar, or s3://BUCKET/PREFIX"
    )
    add("--state-dir", type=Path, help="default: $TURNOUT_STATE_DIR, else turnout-data")
    add("--config", type=Path, help="where the configuration goes; default: $TURNOUT_CONFIG, else turnout.toml")
    add("--lake", metavar="PLACE", help="where the lake goes: a path or s3://BUCKET/PREFIX; default: where it was")
    add("--force", action="store_true", help="keep a state directory that is there already under another name")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Restore, and say what is to be done next."""
    from gateway.console.backup_manifest import BackupError  # noqa: PLC0415 - DuckDB, which no other command should load
    from gateway.console.restore import Target, opened, place_configuration, restore  # noqa: PLC0415 - see above

    environment = process_environment()
    state: Path = arguments.state_dir or state_dir(environment)
    if arguments.lake is not None and not arguments.lake.startswith("file://"):
        require_place(arguments.lake)
    lake = None if arguments.lake is None else find_lake(arguments.lake, state, environment)
    access = find_lake(arguments.source, state, environment).access
    stages = Stages(sys.stderr)
    try:
        with opened(arguments.source, access) as source:
            target = Target(state_dir=state, lake=lake, access=access, force=arguments.force)
            done = restore(source, target, environment, person(), stages.show)
        config = place_configuration(state, done.restored.manifest, arguments.config or config_path(environment))
    except (BackupError, ApiError, LedgerError, SecretError, MissingPackageError, OSError) as error:
        raise Abort(refused(error, "nothing was restored", state)) from error
    finally:
        stages.end()
    if arguments.json:
        write_json(_facts(done, config))
    else:
        _write(done, config, state)
    return 0


def _facts(done: Outcome, config: str | None) -> dict[str, Any]:
    manifest = done.restored.manifest
    return {
        "backup": manifest.id,
        "made_at": manifest.made_at,
        "epoch": done.restored.epoch,
        "lake": done.lake,
        "lake_kept": manifest.lake.kept,
        "configuration": config,
        "aside": None if done.aside is None else str(done.aside),
        "kept": list(done.restored.kept),
    }


def _write(done: Outcome, config: str | None, state: Path) -> None:
    manifest = done.restored.manifest
    rows = [
        ("of", f"{moment(manifest.made_at)}, {manifest.host}"),
        ("snapshot", f"{manifest.epoch}.{manifest.version}, now epoch {done.restored.epoch}"),
        ("lake", done.lake if manifest.lake.kept == "copied" else f"not in the backup; read from {done.lake}"),
        ("configuration", config or "not in the backup"),
        *([("former state directory", str(done.aside))] if done.aside is not None else []),
        *(("kept from it", words) for words in done.restored.kept),
    ]
    write_table((f"restored to {state}", ""), rows)
    sys.stdout.write(
        "Start it with `turnout serve`. Erasures of users made since the backup are to be made once more.\n"
    )
