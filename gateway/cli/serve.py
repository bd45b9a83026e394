"""`turnout serve`: one host with its workers, shipper and console."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.cli import Abort
from gateway.settings.environment import config_path, process_environment, state_dir

if TYPE_CHECKING:
    from gateway.serve.start import Host

FIRST_KEYS = "first-keys"
_PATIENCE_S = 1.0
_DIGITS = 6
"""More are no port and no count of workers, and past 4,300 Python refuses to read them."""


def add_parser(commands: Any) -> None:
    """Add `serve`."""
    environment = process_environment()
    parser = commands.add_parser("serve", help="run the gateway, the shipper and the console on this host")
    parser.add_argument(
        "--config",
        type=Path,
        default=config_path(environment),
        help="the configuration; default: $TURNOUT_CONFIG, else turnout.toml",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=state_dir(environment),
        help="where its state is; default: $TURNOUT_STATE_DIR, else turnout-data",
    )
    parser.add_argument("--demo", action="store_true", help="two simulated models and a ready-made configuration")
    parser.add_argument(
        "--role", choices=("all", "gateway", "console"), default="all", help="this host's part in a fleet; default: all"
    )
    parser.add_argument("--host", help="address of the gateway; default: the file's, or 127.0.0.1")
    parser.add_argument("--port", type=_port, help="port of the gateway; 0: any; default: the file's, or 8080")
    parser.add_argument("--console-port", type=_port, help="port of the console; 0: any; default: the file's, or 8081")
    parser.add_argument("--metrics-port", type=_port, help="port of /metrics; 0: any; default: the file's, or 9464")
    parser.add_argument("--workers", type=_workers, help="worker processes; default: the file's, or one per core")
    parser.add_argument("--takeover", action="store_true", help="take over from the `turnout serve` that runs here")
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    return _number(text, 0, 65_535, "a port")


def _workers(text: str) -> int:
    return _number(text, 1, 256, "a count of workers")


def _number(text: str, least: int, most: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and least <= int(text) <= most):
        message = f"{text!r} is not {what}; write a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    from gateway.serve.start import Options, StartError, prepare  # noqa: PLC0415 - only this command needs it
    from gateway.settings.logs import configure  # noqa: PLC0415 - see above
    from gateway.settings.problem import SettingsError  # noqa: PLC0415 - see above
    from gateway.settings.secrets import SecretError  # noqa: PLC0415 - see above

    options = Options(
        config=arguments.config,
        state_dir=arguments.state_dir,
        role=arguments.role,
        demo=arguments.demo,
        host=arguments.host,
        port=arguments.port,
        console_port=arguments.console_port,
        metrics_port=arguments.metrics_port,
        workers=arguments.workers,
        takeover=arguments.takeover,
    )
    say = configure("serve")
    try:
        host = prepare(options, process_environment())
    except (StartError, SettingsError, SecretError) as error:
        raise Abort(str(error)) from error
    host.supervisor.listen_to_signals()
    for note in host.notes:
        say(f"turnout: {note}")
    if host.trouble is not None:
        say(f"turnout: {host.trouble}\nturnout: serving by the last good snapshot")
    try:
        host.supervisor.run(_watching(host))
    finally:
        host.close()
    _print(f"Turnout has ended. What it knows and recorded stays in {host.state_dir}\n")
    return int(host.supervisor.has_failed)


def _watching(host: Host) -> Callable[[], None]:
    announcement = Announcement(host)

    def each_time() -> None:
        announcement.once_ready()
        host.watch()

    return each_time


def _print(text: str) -> None:
    """Print for a person; that nobody reads it is no reason not to serve."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()


class Announcement:
    """Tells the person at the terminal, once, where everything is: as soon as the gateway and the console answer."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._is_told = False

    def once_ready(self) -> None:
        """Tell it if it is time."""
        addresses = self._host.addresses
        if self._is_told or (addresses.gateway and not _answers(addresses.gateway, "/readyz")):
            return
        if self._host.trouble is not None or not addresses.console or _answers(addresses.console, "/healthz"):
            self._is_told = True
            _print(self._text())

    def _text(self) -> str:
        host = self._host
        gateway, keys = host.addresses.gateway, host.first_keys()
        lines = ["", "Turnout is ready."]
        if gateway:
            lines.append(f"  gateway   {gateway}/v1   (the base_url of your applications)")
        if host.trouble is not None:
            lines.append("  console   down until the ledger is mended (see above)")
        elif host.addresses.console:
            lines.append(f"  console   {host.addresses.console}/api/v1   (`turnout rollout list` speaks to it)")
        if keys:
            lines.append(f"  keys      {host.state_dir / FIRST_KEYS}")
        if gateway and host.public_name is not None and "application" in keys:
            lines += ["", "Try it:", "", _curl(gateway, keys["application"], host.public_name)]
            lines += ["", _next(host.public_name, _command(), _place(host.state_dir))]
        return "\n".join([*lines, "", ""])


def _command() -> str:
    """Return how this program is called from the folder that it was started in."""
    if which("turnout") is not None:
        return "turnout"
    own = Path(sys.argv[0]).absolute()
    if own.name == "__main__.py":
        return f"{sys.executable} -m gateway"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)


def _place(used: Path) -> str:
    return "" if used == state_dir(process_environment()).absolute() else f"--state-dir {quote(str(used))} "


def _next(name: str, command: str, place: str) -> str:
    return f"""Then give the candidate 10 % of the users, and ask who gets which:

  {command} rollout set {place}{name} 10
  {command} rollout whois {place}alice

Ctrl-C ends it; what was recorded stays."""


def _curl(gateway: str, key: str, model: str) -> str:
    body = f'{{"model": "{model}", "user": "alice", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    return (
        f"  curl -i {gateway}/v1/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {key}' \\\n"
        f"    -H 'Content-Type: application/json' \\\n"
        f"    -d '{body}'"
    )


def _answers(address: str, path: str) -> bool:
    target = urlsplit(address)
    connection = HTTPConnection(target.hostname or "", target.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
