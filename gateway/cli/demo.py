"""`turnout demo`: the story of a rollout in two minutes, on simulated models and real arrivals, and its table.

It runs an installation of its own in a directory of its own, and the same commands that anybody would type. However it
ends, it ends what it started, and leaves nothing unless it was told to keep it.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from os import getpid
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from gateway.cli import Abort
from gateway.serve.demo import ROLLOUT
from gateway.settings.environment import process_environment

_READY_S = 90.0
_END_S = 60.0
_ARRIVE_S = 30.0
_LOOK_S = 0.1
_SPEED = "25"
_RATED = "0.2"
_LOG = "serve.log"
_PERCENTS = ("10", "25", "50")


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
    """Play the demonstration to its end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with _place(arguments.keep) as folder:
        story = Story(folder, arguments.users)
        with _serving(folder) as ready:
            _begin(ready)
            for at, percent in enumerate(_PERCENTS):
                is_last = at == len(_PERCENTS) - 1
                story.step(at, percent, arguments.rows * (2 if is_last else 1))
            story.compare(len(_PERCENTS) + 2)
        story.verify(len(_PERCENTS) + 3)
        _end(arguments.keep, story.last_step)
    return 0


class Story:
    """What the commands are asked, and what of their answers is told."""

    def __init__(self, folder: Path, users: int) -> None:
        self._place = ("--state-dir", str(folder))
        self._users = users
        self._sent = self._rated = 0
        self.last_step = 0

    def step(self, at: int, percent: str, rows: int) -> None:
        """Move the percentage and let users send requests."""
        told = _FIRST_STEP if at == 0 else _LATER_STEP
        _chapter(at + 2, told.format(percent=percent))
        _say(f"   {self._turnout('rollout', 'set', ROLLOUT, percent, '--reason', 'demonstration').strip()}")
        if at == 0:
            _say(_REPLAY.format(users=self._users))
        words = ("--limit", str(rows), "--users", str(self._users), "--seed", str(at))
        answer = self._turnout("replay", *words, "--speed", _SPEED, "--feedback", _RATED, "--json", may_fail=True)
        found: dict[str, Any] = json.loads(answer)
        both, share = found["users_on_both_arms"], found["candidate_user_share"] or 0.0
        _say(_REPLAYED.format(both=f"{both:,}" if both else "nobody", share=share, **found))
        self._sent, self._rated = found["requests"], found["feedback"]["requests"]

    def compare(self, number: int) -> None:
        """Show the last step's table, as soon as everything is in the lake."""
        _chapter(number, _COMPARE.format(percent=_PERCENTS[-1]))
        self.last_step = json.loads(self._turnout("rollout", "show", ROLLOUT, "--json"))["step"]
        words = ("report", "compare", ROLLOUT, "--step", str(self.last_step))
        given_up_at = time.monotonic() + _ARRIVE_S
        while not (arrived := self._has_arrived(words)) and time.monotonic() < given_up_at:
            time.sleep(_LOOK_S)
        _say(f"   $ turnout {' '.join(words)}\n")
        _say(self._turnout(*words).rstrip())
        _say("" if arrived else _LATE)
        _say(_in_words(json.loads(self._turnout(*words, "--json"))))

    def verify(self, number: int) -> None:
        """Count what was recorded."""
        _chapter(number, _VERIFY)
        found: dict[str, Any] = json.loads(self._turnout("lake", "verify", "--json"))
        _say(_VERIFIED.format(**found))

    def _has_arrived(self, words: Sequence[str]) -> bool:
        """Tell whether the lake has all that the last replay sent, late ratings too."""
        found = json.loads(self._turnout(*words, "--json"))
        arms = (found["base"], found["candidate"])
        return sum(arm["requests"] for arm in arms) >= self._sent and sum(arm["ratings"] for arm in arms) >= self._rated

    def _turnout(self, *words: str, may_fail: bool = False) -> str:
        """Run a command on this installation and none other; return what it printed. Its progress is seen as it is."""
        own = {name: value for name, value in process_environment().items() if not name.startswith("TURNOUT_")}
        done = subprocess.run(
            [*_TURNOUT, *words, *self._place], stdout=subprocess.PIPE, text=True, env=own, check=False
        )
        if done.returncode and not (may_fail and done.stdout):
            message = f"`turnout {' '.join(words)}` failed; the demonstration ends here"
            raise Abort(message)
        return done.stdout


_TURNOUT = (sys.executable, "-m", "gateway")


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

    own = {name: value for name, value in process_environment().items() if not name.startswith("TURNOUT_")}
    words = ("serve", "--demo", "--state-dir", str(folder), "--port", "0", "--console-port", "0")
    with (folder / _LOG).open("wb") as log:
        serving = subprocess.Popen(
            [*_TURNOUT, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=own,
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


def _begin(ready: str) -> None:
    base_url = next((line.split()[1] for line in ready.splitlines() if line.startswith("  gateway ")), "")
    _say(_TITLE)
    _chapter(1, _START.format(base_url=base_url))


def _end(keep: Path | None, step: int) -> None:
    _say(_DONE)
    _say(_NOT_KEPT if keep is None else _KEPT.format(place=keep, step=step))


def _in_words(found: dict[str, Any]) -> str:
    """Return the table's three main lines as a sentence; what lies within chance is said to."""
    by, base, candidate = found["difference"], found["base"]["satisfaction"], found["candidate"]["satisfaction"]
    liked, slower, dearer = by["satisfaction"], by["latency_p50_ms"]["relative"], by["cost_usd"]["relative"]
    if liked["value"] is None or slower is None or dearer is None:
        return _TOO_FEW
    proven = liked["low"] is not None and (liked["low"] > 0 or liked["high"] < 0)
    taste = ("more" if liked["value"] > 0 else "less") if proven else "neither more nor less, as far as so few can tell"
    return _IN_WORDS.format(
        taste=taste,
        base=base["value"],
        candidate=candidate["value"],
        time=f"{abs(slower):.0%} {'more' if slower > 0 else 'less'}",
        cost=f"{abs(dearer):.0%} {'more' if dearer > 0 else 'less'}",
    )


def _chapter(number: int, text: str) -> None:
    _say(f"\n{number}. {text}")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) >= 1):
        message = f"{text!r} is not a whole number from 1 to 999999"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


_TITLE = """
A company has fine-tuned a model. Is it better than the one that its users have now? Turnout stands between the
applications and the models, gives the new one to a growing share of the users, and measures both. Two minutes."""

_START = """The gateway runs on this machine, before two simulated models: the base, and the fine-tuned candidate.
   Applications change nothing but their base_url, to {base_url}
   They ask for "sales-companion"; which model answers is Turnout's business. So far it is the base, for everybody."""

_FIRST_STEP = """An operator gives the candidate {percent} % of the users.
   $ turnout rollout set sales-companion {percent}"""

_LATER_STEP = """Nothing broke, so {percent} %. Who had the candidate keeps it: a hash of the user decides, not chance.
   $ turnout rollout set sales-companion {percent}"""

_REPLAY = """   {users:,} simulated users ask, at the times at which users of a real service did, 25 times as fast;
   a fifth of the answers are rated, with a thumb or with stars."""

_REPLAYED = """   {requests:,} requests, {failed:,} failed. The candidate served {share:.1%} of the users: {candidate_users:,} of
   {users:,}; {both} had both models in this step."""

_COMPARE = """Which is better? Every request was recorded with model, latency, tokens and cost, every rating with its
   request. DuckDB adds up the step at {percent} %, when both models had the same hours and about as many users:"""

_IN_WORDS = """   In words: users like the candidate {taste} ({candidate:.0%} against {base:.0%}); it takes {time} time
   and costs {cost}. Whether that is worth it, a person decides."""

_TOO_FEW = "   In words: too few requests to say anything."

_LATE = "   (Some of it is still on its way to the lake: this machine is busy.)"

_VERIFY = """The installation has ended in good order. Is every request in its records, once?
   $ turnout lake verify"""

_VERIFIED = "   {records:,} requests recorded, {missing:,} missing, {duplicate_request_ids:,} twice."

_DONE = """
The models, their prices and the users' taste were made up; the gateway, its records and the table were not.
Your own models: copy turnout.example.toml to turnout.toml, then `make run`."""

_NOT_KEPT = (
    """Nothing is left on the disk. To compute the table yourself: make demo ARGS="--keep DIR", and docs/reports.md."""
)

_KEPT = """Its files are in {place}. The same table from them, and each number by SQL of your own (docs/reports.md):
   $ turnout report compare --step {step} --direct --state-dir {place}
   $ turnout lake verify --state-dir {place}"""
