"""States, edits and a compiler for tests of ledgers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from rollout.change import Change, State, set_percent
from rollout.flag import Flag
from rollout.stores.ledger import Edit, Ledger

ROLLOUT = "sales"
FLAG = Flag(rollout=ROLLOUT, flag="f", base="gpt", candidate="tuned", salt="s")


def ticking(start: int = 1_800_000_000_000_000) -> Callable[[], int]:
    """Return a clock that is a second later at every look."""
    seconds = itertools.count()
    return lambda: start + next(seconds) * 1_000_000


def compiled(state: State, at: int) -> bytes:
    """Stand for the sealed snapshot: all that a test wants to see of it."""
    percents = {name: held.flag.percent for name, held in state.rollouts.items()}
    return f"{state.epoch}.{state.version} {percents} {at}".encode()


def adding(flag: Flag = FLAG) -> Edit:
    """Return the edit that adds a rollout."""
    return lambda _, __: [Change(action="add_rollout", rollout=flag.rollout, after={"percent": 0.0}, flag=flag)]


def moving(percent: float, seen_version: int) -> Edit:
    """Return the edit that sets a percent."""
    return lambda state, _: set_percent(state, ROLLOUT, percent, seen_version)


def with_rollout(ledger: Ledger) -> Ledger:
    """Return the ledger with one rollout in it."""
    ledger.change(adding(), compiled, actor="test")
    return ledger
