"""How soon a wrong split is noticed, and how often a right one is called wrong."""

from __future__ import annotations

import math
from functools import partial

from analytics.srm import ALARM_ODDS, log_odds
from benchmarks.gates.drawn.deals import dealt
from benchmarks.gates.runs import Aim, Case, Outcome, Table

_LIMIT = math.log(ALARM_ODDS)
_EVERY = 100


def play(due: float, real: float, users: int, seed: int, run: int) -> Outcome:
    """Deal users out, looking after every hundred, until the split is believed to be wrong."""
    every = _EVERY
    counts = dealt(seed, f"{due} as {real}", run, share=real, users=users, every=every)
    for number, candidates in enumerate(counts, start=1):
        if log_odds((candidates, number * every - candidates), (due, 1 - due)) >= _LIMIT:
            return {"alarm": 1.0, "users": float(number * every)}
    return {"alarm": 0.0, "users": None}


def table() -> Table:
    """Return right splits, and the wrong ones of the design."""
    right = [
        Case(
            name=f"{due * 100:g} % as due, 100,000 users",
            play=partial(play, due, due, 100_000),
            aims={"alarm": Aim(at_most=1 / ALARM_ODDS)},
        )
        for due in (0.05, 0.1, 0.25, 0.5)
    ]
    wrong = [
        Case(
            name=f"{due * 100:g} % due, {real * 100:g} % dealt",
            play=partial(play, due, real, 300_000),
            aims={"users": Aim(reference=reference, grain=_EVERY)},
        )
        for due, real, reference in (
            (0.05, 0.055, 30_600),
            (0.05, 0.06, 7_900),
            (0.05, 0.075, 1_900),
            (0.5, 0.52, 10_200),
        )
    ]
    return Table(
        name="sample-ratio",
        title="Users dealt out wrongly",
        words=(
            "Looked at after every hundred new users. Share of runs with an alarm, and the median of users until then."
        ),
        runs=2_000,
        figures={"alarm": "share", "users": "median"},
        cases=[*right, *wrong],
    )
