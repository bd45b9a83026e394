"""`turnout demo`: the story in two minutes, on simulated models and a real arrival trace, in a directory of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from typing import Any

from gateway.cli import Abort, main
from gateway.serve.demo import ROLLOUT

_READY_S = 60.0
_END_S = 60.0
_PERCENTS = ("10", "25")


def add_parser(commands: Any) -> None:
    """Add `demo`."""
    parser = commands.add_parser("demo", help="watch a rollout move: simulated models, a real arrival trace")
    parser.add_argument("--rows", type=int, default=1000, help="rows of the trace per step; default: %(default)s")
    parser.add_argument("--users", type=int, default=300, help="users; default: %(default)s")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start a demonstration, give the candidate 10 % and then 25 % of the users, and check what was recorded."""
    with tempfile.TemporaryDirectory(prefix="turnout-demo-") as folder:
        serving = _started(folder)
        try:
            for percent in _PERCENTS:
                _step(["rollout", "set", ROLLOUT, percent, "--state-dir", folder])
                rows, users = str(arguments.rows), str(arguments.users)
                _step(["replay", "--state-dir", folder, "--limit", rows, "--users", users, "--speed", "max"])
            _step(["rollout", "whois", "user-0001", "--state-dir", folder])
        finally:
            serving.terminate()
            serving.wait(_END_S)
        _step(["lake", "verify", "--state-dir", folder])
    _say("Now start your own: `make run`, then change base_url in an application.")
    return 0


def _started(folder: str) -> subprocess.Popen[bytes]:
    command = ["serve", "--demo", "--state-dir", folder, "--port", "0", "--console-port", "0"]
    _say(f"$ turnout {' '.join(command)}")
    serving = subprocess.Popen(
        [sys.executable, "-m", "gateway", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    given_up_at = time.monotonic() + _READY_S
    for line in serving.stdout or ():
        if line.startswith(b"Turnout is ready"):
            return serving
        if time.monotonic() > given_up_at:
            break
    serving.terminate()
    message = "the demonstration did not start; run `turnout serve --demo` to see why"
    raise Abort(message)


def _step(words: list[str]) -> None:
    _say(f"\n$ turnout {' '.join(words)}")
    if main(words) != 0:
        message = f"`turnout {words[0]}` failed; the demonstration ends here"
        raise Abort(message)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
