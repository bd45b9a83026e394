"""`turnout demo`: the story of a rollout that decides for itself, in at most five minutes, on simulated models.

It runs an installation of its own in a directory of its own, and the same commands that anybody would type. However it
ends, it ends what it started, and leaves nothing unless it was told to keep it.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from gateway.cli import INTERRUPTED, Abort
from gateway.simulate.stories import STORIES


def add_parser(commands: Any) -> None:
    """Add `demo`."""
    parser = commands.add_parser("demo", help="watch a rollout decide: simulated models, real arrivals, real gates")
    parser.add_argument(
        "--story", choices=tuple(STORIES), default="equal", help="what the candidate is like; default: %(default)s"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the installation's files there, in a new folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play the demonstration to its end; 1 when that is not the declared one; broken off, say what is left of it."""
    _listen_to_signals()
    try:
        return _play(arguments)
    except KeyboardInterrupt:
        kept: Path | None = arguments.keep
        left = "everything of it was removed" if kept is None else f"its files so far are in {kept}"
        message = f"the demonstration was broken off; {left}"
        raise Abort(message, exit_code=INTERRUPTED) from None


def _play(arguments: argparse.Namespace) -> int:
    from gateway.cli.staging import installed  # noqa: PLC0415 - only this command needs it
    from gateway.cli.story import Play  # noqa: PLC0415 - `turnout --help` need not load an HTTP client

    story = STORIES[arguments.story]
    with _place(arguments.keep) as folder:
        play = Play(folder, story)
        with installed(folder, story) as (ready, troupe):
            play.begin(ready)
            with play.users(troupe):
                is_declared = play.follow()
            play.compare()
            play.history()
        play.verify()
        play.end(arguments.keep, is_declared=is_declared)
    return 0 if is_declared else 1


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


def _listen_to_signals() -> None:
    """Let them break it off, also SIGINT where a script's background has it ignored.

    What this process starts would inherit that, and replay ends by SIGINT. A hangup that `nohup` ignores stays ignored.
    """
    from gateway.cli.troupe import BREAKING  # noqa: PLC0415 - only this command needs it

    for number in BREAKING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
