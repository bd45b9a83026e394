"""`python -m gateway.proxy`: one worker, started by the supervisor with its listening socket."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from gateway.proxy.beginning import FIRST_SNAPSHOT_S, Channel, NoSnapshotError
from gateway.proxy.board import FOLDER, Board
from gateway.proxy.lessee import Lessee
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder
from gateway.proxy.worker import Place, run
from gateway.settings.built_in import built_in
from gateway.settings.environment import process_environment
from gateway.settings.logs import configure
from gateway.settings.schema import Redis, Server
from gateway.settings.secrets import SecretError
from gateway.settings.signals import end_cleanly
from gateway.settings.snapshot import Snapshot

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
    parser.add_argument("--redis", help="of a fleet: the [redis] table as JSON, by which limits are leased")
    parser.add_argument("--lake", type=Path, help="of a fleet's gateway: snapshots come by Redis, and here lies a copy")
    parser.add_argument("--config", type=Path, help="of a fleet's gateway: its file, for base where nobody knows more")
    parser.add_argument("--patience-s", type=float, default=FIRST_SNAPSHOT_S, help="how long a snapshot is waited for")
    parser.add_argument("--ready-fd", type=int, help="gets one byte, and is closed, once requests are accepted")
    arguments = parser.parse_args()
    configure(arguments.name)
    end_cleanly()
    board, environment = _board(arguments.state_dir), process_environment()
    try:
        redis = msgspec.json.decode(arguments.redis, type=Redis) if arguments.redis is not None else None
        place = Place(
            limits=msgspec.json.decode(arguments.server, type=Server),
            throttle=Throttle(board, arguments.workers, gateways=redis.gateways if redis is not None else 0),
            channel=_channel(redis, arguments, environment),
            patience_s=arguments.patience_s,
            lessee=_lessee(redis, board, arguments.state_dir, environment),
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


def _channel(redis: Redis | None, arguments: argparse.Namespace, environment: Mapping[str, str]) -> Channel | None:
    """Return the way of a fleet's snapshots.

    Raises:
        SecretError: Redis needs a secret that cannot be had.
    """
    if redis is None or arguments.lake is None:
        return None
    from gateway.settings.access import redis_access  # noqa: PLC0415 - only a fleet's worker needs Redis' library
    from rollout.stores.redis import RedisSnapshots  # noqa: PLC0415 - see above

    access = redis_access(redis, environment)
    base = partial(_built_in, arguments.config) if arguments.config is not None else None
    return Channel(name="redis", source=partial(RedisSnapshots, access), lake=arguments.lake, built_in=base)


def _built_in(config: Path) -> Snapshot:
    """Return what the definitions in this host's own file say, with everybody at base.

    Raises:
        SettingsError: the file cannot be served.
        NoBaseError: it lacks what a gateway needs that knows nothing else.
    """
    from gateway.settings.load import load_checked  # noqa: PLC0415 - hardly any worker ever reads the file

    definitions, _ = load_checked(config, None)
    return built_in(definitions, time.time_ns() // 1000)


def _lessee(
    redis: Redis | None, board: Board | None, state_dir: Path, environment: Mapping[str, str]
) -> Callable[[Holder], Lessee] | None:
    """Return what makes a worker's part in leasing a fleet's limits; None where there is no fleet, or no board.

    Raises:
        SecretError: Redis needs a secret that cannot be had.
    """
    if redis is None or board is None:
        return None
    from gateway.settings.access import redis_access  # noqa: PLC0415 - only a fleet's worker needs Redis' library
    from rollout.stores.redis_limits import RedisLeases  # noqa: PLC0415 - see above

    file = state_dir / "run" / FOLDER / "lessee.json"
    host = f"{socket.gethostname()}-{secrets.token_hex(8)}"
    store = partial(RedisLeases, redis_access(redis, environment))
    return lambda holder: Lessee(board, holder, store, file, host, redis.gateways)


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b".")
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
