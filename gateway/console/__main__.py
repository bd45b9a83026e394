"""`python -m gateway.console`: the console, started by the supervisor with its listening socket."""

from __future__ import annotations

import argparse
import logging
import socket
import sys
from pathlib import Path

from gateway.console.process import run
from gateway.errors import ApiError
from gateway.settings.environment import process_environment
from gateway.settings.logs import configure
from gateway.settings.problem import SettingsError
from gateway.settings.secrets import SecretError
from gateway.settings.signals import end_cleanly
from rollout.stores.ledger import LedgerError


def main() -> int:
    """Serve on an inherited socket; 0 after a clean end."""
    parser = argparse.ArgumentParser(prog="python -m gateway.console")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    configure("console")
    end_cleanly()
    try:
        run(socket.socket(fileno=arguments.fd), arguments.state_dir, arguments.config, process_environment())
    except (SettingsError, SecretError, LedgerError, ApiError) as error:
        logging.getLogger("turnout.console").critical("console cannot start", extra={"reason": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
