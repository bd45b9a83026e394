"""`python -m gateway.console`: the console, started by the supervisor with its listening socket."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from analytics.lake.place import Place
from gateway.console.process import can_open, run
from gateway.console.standby import stand_by
from gateway.errors import ApiError
from gateway.settings.environment import process_environment
from gateway.settings.logs import configure
from gateway.settings.problem import SettingsError
from gateway.settings.schema import Redis, Sql
from gateway.settings.secrets import SecretError
from gateway.settings.signals import end_cleanly
from rollout.stores.ledger import LedgerError

_log = logging.getLogger("turnout.console")


def main() -> int:
    """Serve on an inherited socket; 0 after a clean end."""
    parser = argparse.ArgumentParser(prog="python -m gateway.console")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--lake", help="where reports read; default: lake in the state directory")
    parser.add_argument("--retention-days", type=int, help="how long the lake keeps what it has; default: for ever")
    parser.add_argument("--sql", default="{}", help="the [sql] table as JSON")
    parser.add_argument("--redis", help="the [redis] table as JSON, of a console that publishes to a fleet")
    arguments = parser.parse_args()
    configure("console")
    end_cleanly()
    listener, environment = socket.socket(fileno=arguments.fd), process_environment()
    try:
        while (trouble := _served(listener, arguments, environment)) is not None:
            _log.critical("the console answers nothing but 503", extra={"reason": str(trouble)})
            stand_by(listener, trouble, partial(can_open, arguments.state_dir, arguments.config, environment))
    except (SettingsError, SecretError) as error:
        _log.critical("console cannot start", extra={"reason": str(error)})
        return 1
    return 0


def _served(
    listener: socket.socket, arguments: argparse.Namespace, environment: Mapping[str, str]
) -> ApiError | str | None:
    """Serve until the end; return what is wrong with the ledger if it keeps the console from that."""
    try:
        lake = Place(url=arguments.lake) if arguments.lake else None
        redis = msgspec.json.decode(arguments.redis, type=Redis) if arguments.redis is not None else None
        sql = msgspec.json.decode(arguments.sql, type=Sql)
        run(
            listener,
            arguments.state_dir,
            arguments.config,
            environment,
            lake=lake,
            redis=redis,
            sql=sql,
            retention_days=arguments.retention_days,
        )
    except ApiError as error:
        return error
    except LedgerError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
