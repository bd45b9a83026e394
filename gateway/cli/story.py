"""What `turnout demo` tells: its chapters, the commands that anybody would type, and what the controller does.

The commands run on the demonstration's installation and none other, whatever the environment of the caller names.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from analytics.comparison import Comparison
from gateway.cli import Abort
from gateway.cli.client import HttpConsole
from gateway.cli.following import Following, Paint, is_as_declared, is_over, plain
from gateway.cli.found import found_key, found_url
from gateway.cli.staging import CONFIG, PLAN
from gateway.cli.troupe import TURNOUT, Troupe, own_environment
from gateway.console.gate_views import GateView
from gateway.serve.demo import ROLLOUT
from gateway.simulate.stories import Story

LONGEST_S = 600.0
"""When a story is given up that has not ended. Its plan needs 250 s at most, on a machine that keeps up."""
GA_S = 10.0
"""So long general availability is watched in the end."""
SPEED = 13.5
USERS = 6000
RATED = 0.9
STREAMED = 0.8
_LOOK_S = 0.5
_ARRIVE_S = 60.0
_REPORTS = 5
_TIMEOUT_S = 30.0
_REPLAY_LOG = "replay.log"
_COLOURS = {"pass": "32", "fail": "31", "hold": "33", "inconclusive": "33"}


class Play:
    """What the commands are asked, and what of their answers is told."""

    def __init__(self, folder: Path, story: Story) -> None:
        self._folder, self._story = folder, story
        self._place = ("--state-dir", str(folder))
        self._following = Following(_paint())
        self._troupe: Troupe | None = None
        self._replay: subprocess.Popen[bytes] | None = None
        self._rounds = 0

    @property
    def last_step(self) -> int:
        """The last step in which both models had users."""
        return self._following.last_step

    def begin(self, ready: str) -> None:
        """Tell what there is, from what `turnout serve` says once it is ready, and the plan by which all is judged."""
        base_url = next((line.split()[1] for line in ready.splitlines() if line.startswith("  gateway ")), "")
        _say(_TITLE.format(tells=self._story.tells, promise=self._story.promise))
        _chapter(1, _START.format(base_url=base_url, plan=_indented(PLAN), path=self._folder / CONFIG))

    @contextmanager
    def users(self, troupe: Troupe) -> Generator[None]:
        """Let users ask until the block ends, at the times at which users of a real service did.

        A block that is broken off leaves them to the troupe's end.
        """
        _chapter(2, _REPLAY.format(users=USERS, speed=SPEED, rated=RATED).replace("90%", "90 %"))
        self._troupe = troupe
        self._ask_on()
        yield
        if self._replay is not None:
            troupe.end(self._replay, by=signal.SIGINT)
        _say(f"\n   The users stop. Replay says: {_last_line(self._folder / _REPLAY_LOG)}")

    def _ask_on(self) -> None:
        """Begin the trace again where it is over: its hour lasts four minutes here."""
        if self._troupe is None or (self._replay is not None and self._replay.poll() is None):
            return
        words = ["--users", str(USERS), "--speed", str(SPEED), "--feedback", str(RATED), "--seed", str(self._rounds)]
        words += ["--concurrency", "256", "--stream-share", str(STREAMED)]
        self._rounds += 1
        self._replay = self._troupe.start(("replay", *words, *self._place), self._folder / _REPLAY_LOG)

    def follow(self) -> bool:
        """Start the plan and tell what the controller does, to its end; return whether that is the declared one."""
        _chapter(3, _FOLLOW)
        began_s = time.monotonic()
        self._turnout("rollout", "start", ROLLOUT, "--reason", f"demonstration: {self._story.name}")
        headers = {"authorization": f"Bearer {found_key(self._folder)}"}
        with httpx.Client(
            base_url=found_url(self._folder), headers=headers, timeout=_TIMEOUT_S, trust_env=False
        ) as client:
            console = HttpConsole(client)
            return self.watch(lambda: console.gate(ROLLOUT, _REPORTS), began_s)

    def watch(self, look: Callable[[], GateView], began_s: float) -> bool:
        """Tell what is seen until it is over; return whether that is the declared end."""
        over_s: float | None = None
        while (elapsed_s := time.monotonic() - began_s) < LONGEST_S:
            self._ask_on()
            view = look()
            for line in self._following.look(view, elapsed_s):
                _say(line)
            if is_over(view):
                over_s = elapsed_s if over_s is None else over_s
                if view.controller.standing != "at_ga" or elapsed_s - over_s >= GA_S:
                    return is_as_declared(self._story, view)
            time.sleep(_LOOK_S)
        _say(f"\n   After {LONGEST_S:g} seconds it is not decided, so this is given up.")
        return False

    def compare(self) -> None:
        """Show the table of the last step in which both models had users, as soon as everything is in the lake."""
        _chapter(4, _COMPARE)
        words = ("report", "compare", ROLLOUT, "--step", str(self.last_step))
        _say(f"   $ turnout {' '.join(words)}\n")
        given_up_at, seen = time.monotonic() + _ARRIVE_S, -1
        while (found := self._report(words)) is None or _rows(found) != seen:
            if time.monotonic() > given_up_at:
                break
            seen = seen if found is None else _rows(found)
            time.sleep(_LOOK_S)
        if found is None:
            _say(_NO_TABLE)
            return
        _say(self._turnout(*words).rstrip())
        _say(in_words(found))

    def history(self) -> None:
        """Show who moved what, when and why."""
        _chapter(5, _HISTORY.format(rollout=ROLLOUT))
        _say(self._turnout("rollout", "history", ROLLOUT, "--verify").rstrip())

    def verify(self) -> None:
        """Count what was recorded."""
        _chapter(6, _VERIFY)
        found: dict[str, Any] = json.loads(self._turnout("lake", "verify", "--json"))
        _say(_VERIFIED.format(**found))

    def end(self, keep: Path | None, *, is_declared: bool) -> None:
        """Tell whether it ended as it had to, what is left, and where to go from here."""
        ended = _AS_DECLARED if is_declared else _OTHERWISE
        _say("\n" + ended.format(name=self._story.name, promise=self._story.promise))
        _say(_DONE)
        _say(_NOT_KEPT if keep is None else _KEPT.format(place=keep, step=self.last_step, rollout=ROLLOUT))

    def _report(self, words: Sequence[str]) -> Comparison | None:
        """Return the table; None where a busy machine did not compute it in time."""
        try:
            return msgspec.json.decode(self._turnout(*words, "--json"), type=Comparison)
        except Abort:
            return None

    def _turnout(self, *words: str) -> str:
        """Run a command on this installation and none other; return what it printed."""
        done = subprocess.run(
            [*TURNOUT, *words, *self._place], stdout=subprocess.PIPE, text=True, env=own_environment(), check=False
        )
        if done.returncode:
            message = f"`turnout {' '.join(words)}` failed; the demonstration ends here"
            raise Abort(message)
        return done.stdout


def in_words(found: Comparison) -> str:
    """Return the table's three main lines as a sentence; what may be chance is said to be."""
    base, candidate = found.base.satisfaction.value, found.candidate.satisfaction.value
    liked = found.difference["satisfaction"]
    by = found.difference
    slower, slowest, dearer = (by[name].relative for name in ("latency_p50_ms", "latency_p99_ms", "cost_usd"))
    if base is None or candidate is None or slower is None or slowest is None or dearer is None:
        return _TOO_FEW
    proven = liked.low is not None and liked.high is not None and (liked.low > 0 or liked.high < 0)
    taste = _TASTES[proven, candidate > base]
    return _IN_WORDS.format(
        taste=taste, base=base, candidate=candidate, time=_times(slower, slowest), cost=_more(dearer)
    ).replace("%", " %")


def _times(half: float, slowest: float) -> str:
    """Say what the p50 says, and the p99 too where it says something else."""
    agree = slowest * half > 0 or round(slowest, 2) == 0
    return f"{_more(half)} time" if agree else f"{_more(half)} time, but the slowest one in a hundred {_more(slowest)}"


def _more(relative: float) -> str:
    if round(relative, 2) == 0:
        return "as much"
    return f"{abs(relative):.0%} {'more' if relative > 0 else 'less'}"


def _rows(found: Comparison) -> int:
    return found.base.requests + found.candidate.requests


def _paint() -> Paint:
    """Return colours for a terminal that wants them."""
    if not sys.stdout.isatty() or "NO_COLOR" in own_environment():
        return plain
    return lambda word: f"\x1b[1;{_COLOURS[word]}m{word}\x1b[0m" if word in _COLOURS else word


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return lines[-1].removeprefix("turnout: ") if lines else "nothing"


def _indented(text: str) -> str:
    return "".join(f"      {line}\n" if line else "\n" for line in text.splitlines())


def _chapter(number: int, text: str) -> None:
    _say(f"\n{number}. {text}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


_TITLE = """
A company has fine-tuned a model. May it answer all users? Turnout gives it to a growing share of them, measures both
models, and decides by what it has proven: onward, or back. At most five minutes.

In this story the candidate {tells}.
If Turnout is right, {promise}."""

_START = """The gateway runs on this machine, before two simulated models: the base, and the fine-tuned candidate.
   Applications change nothing but their base_url, to {base_url}
   They ask for "sales-companion"; which model answers is Turnout's business. So far it is the base, for everybody.

   This is the plan, as it stands in {path}:

{plan}
   Steps of a minute, wide margins, small minima: good for five minutes of show, and NO VALUES FOR REAL TRAFFIC. There,
   leave them out: the default plan takes three weeks, asks for far narrower proof, and asks a person between phases."""

_REPLAY = """{users:,} simulated users ask at the times at which users of a real service did, {speed:g} times as fast;
   {rated:.0%} of the answers are rated, with a thumb or with stars."""

_FOLLOW = """An operator starts the plan, and does nothing more.
   $ turnout rollout start sales-companion"""

_COMPARE = """The last step in which both models had users, head to head. Every request was recorded with model,
   latency, tokens and cost, every rating with its request; DuckDB adds them up:"""

_HISTORY = """Who moved what, when, and on which evidence? The audit is a chain of hashes.
   $ turnout rollout history {rollout} --verify
"""

_IN_WORDS = """   In words: {taste} ({candidate:.0%} of the ratings are good, {base:.0%} with the base).
   Half of its answers take {time}; a request costs {cost}."""

_TASTES = {
    (True, True): "Users like the candidate more",
    (True, False): "Users like the candidate less",
    (False, True): "Users may like the candidate more, or it is chance",
    (False, False): "Users may like the candidate less, or it is chance",
}

_NO_TABLE = "   This machine is too busy to compute it now."

_TOO_FEW = "   In words: too few requests to say anything."

_VERIFY = """The installation has ended in good order. Is every request in its records, once?
   $ turnout lake verify"""

_VERIFIED = "   {records:,} requests recorded, {missing:,} missing, {duplicate_request_ids:,} twice."

_AS_DECLARED = 'Story "{name}" ended as declared: {promise}.'
_OTHERWISE = 'Story "{name}" did NOT end as declared, which was: {promise}.'

_DONE = """
The models, their prices and the users' taste were made up; the gateway, its records and its decisions were not.
Other stories: make demo STORY=equal, slow, failing or unhappy.
Your own models: copy turnout.example.toml to turnout.toml, then `make run`."""

_NOT_KEPT = (
    """Nothing is left on the disk. To compute the table yourself: make demo ARGS="--keep DIR", and docs/reports.md."""
)

_KEPT = """Its files are in {place}. The same table from them, each number by SQL of your own (docs/reports.md), and
what the gate said at each look:
   $ turnout report compare --step {step} --direct --state-dir {place}
   $ turnout gate history {rollout} --direct --state-dir {place}
   $ turnout lake verify --state-dir {place}"""
