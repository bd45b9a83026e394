"""`turnout demo`: the story of a rollout in two minutes, on simulated models and real arrivals, and its table.

It runs an installation of its own in a directory of its own, and the same commands that anybody would type. However it
ends, it ends what it started, and leaves nothing unless it was told to keep it.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from os import getpid
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from gateway.cli import INTERRUPTED, Abort
from gateway.cli.story import PERCENTS, TURNOUT, Story, begin, end, own_environment

_READY_S = 90.0
_END_S = 60.0
_LOOK_S = 0.1
_LOG = "serve.log"


def add_parser(commands: Any) -> None:
    """Add `demo`."""
    parser = commands.add_parser("demo", help="watch a rollout move: simulated models, real arrivals, the table")
    parser.add_argument(
        "--rows", type=_count, default=1000, help="requests of the first two steps; default: %(default)s"
    )
    parser.add_argument("--users", type=_count, default=300, help="users; default: %(default)s")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the installation's files there, in a new folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play the demonstration to its end; broken off, say what is left of it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _play(arguments)
    except KeyboardInterrupt:
        kept: Path | None = arguments.keep
        left = "everything of it was removed" if kept is None else f"its files so far are in {kept}"
        message = f"the demonstration was broken off; {left}"
        raise Abort(message, exit_code=INTERRUPTED) from None


def _play(arguments: argparse.Namespace) -> int:
    with _place(arguments.keep) as folder:
        story = Story(folder, arguments.users)
        with _serving(folder) as ready:
            begin(ready)
            for at, percent in enumerate(PERCENTS):
                is_last = at == len(PERCENTS) - 1
                story.step(at, percent, arguments.rows * (2 if is_last else 1))
            story.compare(len(PERCENTS) + 2)
        story.verify(len(PERCENTS) + 3)
        end(arguments.keep, story.last_step)
    return 0


@contextmanager
def _place(keep: Path | None) -> Generator[Path]:
    """Yield a new folder; it is removed in the end unless it is to be kept."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="turnout-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        message = f"{keep}: cannot be made ({error.strerror}); name a folder that is not there yet with --keep"
        raise Abort(message, exit_code=2) from error
    yield keep.absolute()


@contextmanager
def _serving(folder: Path) -> Generator[str]:
    """Serve until the block ends, however it ends; yield what the installation says once it is ready.

    It is in a process group of its own: Ctrl-C reaches this process alone, which then ends it in good order.
    """
    from gateway.serve.running import die_with_parent  # noqa: PLC0415 - only this command needs it

    ports = ("--port", "0", "--console-port", "0", "--metrics-port", "0")
    words = ("serve", "--demo", "--state-dir", str(folder), *ports)
    with (folder / _LOG).open("wb") as log:
        serving = subprocess.Popen(
            [*TURNOUT, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=own_environment(),
            process_group=0,
            preexec_fn=partial(die_with_parent, getpid()),  # noqa: PLW1509 - see there why it is safe
        )
    try:
        yield _ready(serving, folder / _LOG)
    finally:
        _finish(serving)


def _ready(serving: subprocess.Popen[bytes], log: Path) -> str:
    given_up_at = time.monotonic() + _READY_S
    while time.monotonic() < given_up_at:
        said = log.read_text(errors="replace")
        if "Turnout is ready" in said and "Try it" in said:
            return said
        if serving.poll() is not None:
            break
        time.sleep(_LOOK_S)
    message = f"the demonstration did not start. The end of its log:\n{log.read_text(errors='replace')[-2000:]}"
    raise Abort(message)


def _finish(serving: subprocess.Popen[bytes]) -> None:
    """End it in good order; a second Ctrl-C meanwhile changes nothing, for it takes a second or two."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    serving.terminate()
    try:
        serving.wait(_END_S)
    except subprocess.TimeoutExpired:
        serving.kill()
        serving.wait()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) >= 1):
        message = f"{text!r} is not a whole number from 1 to 999999"
        raise argparse.ArgumentTypeError(message)
    return int(text)
