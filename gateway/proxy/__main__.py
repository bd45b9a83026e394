"""`python -m gateway.proxy`: one worker, started by the supervisor with its listening socket."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from gateway.proxy.beginning import Channel, NoSnapshotError
from gateway.proxy.board import FOLDER, Board
from gateway.proxy.queueing import Throttle
from gateway.proxy.worker import Place, run
from gateway.settings.environment import process_environment
from gateway.settings.logs import configure
from gateway.settings.schema import Redis, Server
from gateway.settings.secrets import SecretError
from gateway.settings.signals import end_cleanly

_log = logging.getLogger("turnout.proxy")


def main() -> int:
    """Serve on an inherited socket; 0 after a clean end."""
    parser = argparse.ArgumentParser(prog="python -m gateway.proxy")
    parser.add_argument("--name", required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--server", default="{}", help="the [server] table as JSON")
    parser.add_argument("--trace-share", type=float, help="which share of new traces is sampled; left out: none begin")
    parser.add_argument("--redis", help="of a fleet's gateway: the [redis] table as JSON, by which snapshots come")
    parser.add_argument("--lake", type=Path, help="of a fleet's gateway: where a copy of the snapshot lies")
    parser.add_argument("--ready-fd", type=int, help="gets one byte, and is closed, once requests are accepted")
    arguments = parser.parse_args()
    configure(arguments.name)
    end_cleanly()
    board, environment = _board(arguments.state_dir), process_environment()
    try:
        place = Place(
            limits=msgspec.json.decode(arguments.server, type=Server),
            throttle=Throttle(board, arguments.workers),
            channel=_channel(arguments.redis, arguments.lake, environment),
            trace_share=arguments.trace_share,
            on_ready=partial(_tell, arguments.ready_fd),
        )
        run(arguments.name, socket.socket(fileno=arguments.fd), arguments.state_dir, environment, place)
    except (NoSnapshotError, SecretError, OSError, msgspec.MsgspecError) as error:
        _log.critical("worker cannot start", extra={"reason": str(error)})
        return 1
    finally:
        if board is not None:
            board.close()
    return 0


def _board(state_dir: Path) -> Board | None:
    """Return what this host's workers share; without it each keeps its part of every limit."""
    try:
        return Board(state_dir / "run" / FOLDER)
    except OSError as error:
        _log.error("limits are divided, not shared", extra={"reason": str(error)})
        return None


def _channel(redis: str | None, lake: Path | None, environment: Mapping[str, str]) -> Channel | None:
    """Return the way of a fleet's snapshots.

    Raises:
        SecretError: Redis needs a secret that cannot be had.
    """
    if redis is None:
        return None
    from gateway.settings.access import redis_access  # noqa: PLC0415 - only a fleet's worker needs Redis' library
    from rollout.stores.redis import RedisSnapshots  # noqa: PLC0415 - see above

    access = redis_access(msgspec.json.decode(redis, type=Redis), environment)
    return Channel(name="redis", source=partial(RedisSnapshots, access), lake=lake)


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b".")
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
