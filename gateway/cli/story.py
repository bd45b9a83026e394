"""What `turnout demo` tells: its chapters, each one or two of the commands that anybody would type, and their answers.

The commands run on the demonstration's installation and none other, whatever the environment of the caller names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from analytics.comparison import Comparison
from gateway.cli import Abort
from gateway.serve.demo import ROLLOUT
from gateway.settings.environment import process_environment

PERCENTS = ("10", "25", "50")
TURNOUT = (sys.executable, "-m", "gateway")
_ARRIVE_S = 30.0
_LOOK_S = 0.2
_SPEED = "25"
_RATED = "0.2"


def own_environment() -> dict[str, str]:
    """Return this process's environment without the variables that name another installation."""
    return {name: value for name, value in process_environment().items() if not name.startswith("TURNOUT_")}


class Story:
    """What the commands are asked, and what of their answers is told."""

    def __init__(self, folder: Path, users: int) -> None:
        self._place = ("--state-dir", str(folder))
        self._users = users
        self._failed = self._sent = self._pieces = 0
        self.last_step = 0

    def step(self, at: int, percent: str, rows: int) -> None:
        """Move the percentage and let users send requests."""
        told = _FIRST_STEP if at == 0 else _LATER_STEP
        so_far = f"{self._failed:,} requests" if self._failed else "No request"
        _chapter(at + 2, told.format(percent=percent, so_far=so_far))
        moved = self._turnout("rollout", "set", ROLLOUT, percent, "--reason", "demonstration", "--json")
        self.last_step = json.loads(moved)["step"]
        if at == 0:
            _say(_REPLAY.format(users=self._users))
        words = ("--limit", str(rows), "--users", str(self._users), "--seed", str(at))
        answer = self._turnout("replay", *words, "--speed", _SPEED, "--feedback", _RATED, "--json", may_fail=True)
        found: dict[str, Any] = json.loads(answer)
        both, share = found["users_on_both_arms"], found["candidate_user_share"] or 0.0
        _say(_REPLAYED.format(both=f"{both:,}" if both else "nobody", share=f"{share:.1%}".replace("%", " %"), **found))
        self._failed += found["failed"]
        self._sent = found["requests"]
        self._pieces += found["feedback"]["accepted"]

    def compare(self, number: int) -> None:
        """Show the last step's table, as soon as everything is in the lake."""
        _chapter(number, _COMPARE.format(percent=PERCENTS[-1]))
        words = ("report", "compare", ROLLOUT, "--step", str(self.last_step))
        given_up_at = time.monotonic() + _ARRIVE_S
        while not (arrived := self._has_arrived(found := self._report(words))) and time.monotonic() < given_up_at:
            time.sleep(_LOOK_S)
        _say(f"   $ turnout {' '.join(words)}\n")
        _say(self._turnout(*words).rstrip())
        _say("" if arrived else _LATE)
        _say(in_words(found))

    def verify(self, number: int) -> None:
        """Count what was recorded."""
        _chapter(number, _VERIFY)
        found: dict[str, Any] = json.loads(self._turnout("lake", "verify", "--json"))
        _say(_VERIFIED.format(**found))

    def _has_arrived(self, found: Comparison) -> bool:
        """Tell whether the lake has all requests of the last replay, and every piece of feedback, late ones too."""
        if found.base.requests + found.candidate.requests < self._sent:
            return False
        fates: list[dict[str, Any]] = json.loads(self._turnout("feedback", "count", "--json"))
        pieces = sum(
            count for fate in fates for status, count in fate.items() if status not in {"application", "unmatched"}
        )
        return pieces >= self._pieces

    def _report(self, words: Sequence[str]) -> Comparison:
        return msgspec.json.decode(self._turnout(*words, "--json"), type=Comparison)

    def _turnout(self, *words: str, may_fail: bool = False) -> str:
        """Run a command on this installation and none other; return what it printed. Its progress is seen as it is."""
        done = subprocess.run(
            [*TURNOUT, *words, *self._place], stdout=subprocess.PIPE, text=True, env=own_environment(), check=False
        )
        if done.returncode and not (may_fail and done.stdout):
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


def begin(ready: str) -> None:
    """Tell what there is, from what `turnout serve` says once it is ready."""
    base_url = next((line.split()[1] for line in ready.splitlines() if line.startswith("  gateway ")), "")
    _say(_TITLE)
    _chapter(1, _START.format(base_url=base_url))


def end(keep: Path | None, step: int) -> None:
    """Tell what is left, and where to go from here."""
    _say(_DONE)
    _say(_NOT_KEPT if keep is None else _KEPT.format(place=keep, step=step))


def _chapter(number: int, text: str) -> None:
    _say(f"\n{number}. {text}")


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

_LATER_STEP = """{so_far} failed so far; now {percent} %. Who had the candidate keeps it: a hash of the user decides.
   $ turnout rollout set sales-companion {percent}"""

_REPLAY = """   {users:,} simulated users ask, at the times at which users of a real service did, 25 times as fast;
   a fifth of the answers are rated, with a thumb or with stars."""

_REPLAYED = """   {requests:,} requests, {failed:,} failed. The candidate served {candidate_users:,} of {users:,} users,
   {share}; {both} had both models in this step."""

_COMPARE = """Which is better? Every request was recorded with model, latency, tokens and cost, every rating with its
   request. DuckDB adds up the step at {percent} %, when both models had the same hours and about as many users:"""

_IN_WORDS = """   In words: {taste} ({candidate:.0%} of the ratings are good, {base:.0%} with the base).
   Half of its answers take {time}; a request costs {cost}.
   Whether that is worth it, a person decides."""

_TASTES = {
    (True, True): "Users like the candidate more",
    (True, False): "Users like the candidate less",
    (False, True): "Users may like the candidate more, or it is chance",
    (False, False): "Users may like the candidate less, or it is chance",
}

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
