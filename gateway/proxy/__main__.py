"""`python -m gateway.proxy`: one worker, started by the supervisor with its listening socket."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path

import msgspec

from gateway.proxy.board import FOLDER, Board
from gateway.proxy.queueing import Throttle
from gateway.proxy.worker import NoSnapshotError, Place, run
from gateway.settings.environment import process_environment
from gateway.settings.logs import configure
from gateway.settings.schema import Server
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
    parser.add_argument("--ready-fd", type=int, help="gets one byte, and is closed, once requests are accepted")
    arguments = parser.parse_args()
    configure(arguments.name)
    end_cleanly()
    board = _board(arguments.state_dir)
    try:
        place = Place(
            limits=msgspec.json.decode(arguments.server, type=Server),
            throttle=Throttle(board, arguments.workers),
            on_ready=partial(_tell, arguments.ready_fd),
        )
        run(arguments.name, socket.socket(fileno=arguments.fd), arguments.state_dir, process_environment(), place)
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


def _tell(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b".")
        os.close(ready_fd)


if __name__ == "__main__":
    sys.exit(main())
