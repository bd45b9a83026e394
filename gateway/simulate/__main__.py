"""`python -m gateway.simulate --config FILE [--fd N | --port N]`: one simulated server for a supervisor.

The first line on standard output is JSON: `{"base_url": ..., "models": [...]}`.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import msgspec

from gateway.settings.logs import configure
from gateway.simulate.config import BadSimulationError, load
from gateway.simulate.server import announcement, listen, run


def main() -> int:
    """Serve until a signal; 2 when the configuration or the address is refused."""
    arguments = _parser().parse_args()
    configure("simulate")
    try:
        config = load(arguments.config)
        if arguments.port is not None:
            config = msgspec.structs.replace(config, port=arguments.port)
        listening = socket.socket(fileno=arguments.fd) if arguments.fd is not None else listen(config)
    except BadSimulationError as error:
        sys.stderr.write(f"turnout: {error}\n")
        return 2
    sys.stdout.write(announcement(config, listening) + "\n")
    sys.stdout.flush()
    run(config, sockets=[listening])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.simulate", description="One simulated model server.")
    parser.add_argument("--config", type=Path, required=True, help="a simulation file (TOML)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--fd", type=int, help="a listening socket that this process inherited")
    where.add_argument("--port", type=int, help="listen on this port; 0: any")
    return parser


if __name__ == "__main__":
    sys.exit(main())
