"""What goes wrong and when, all drawn from one number; a test that fails prints it, and so can be played again."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from tests.fakes.link import CLEAN, Fault, Link

SEED_VARIABLE = "TURNOUT_FAULT_SEED"
_WAYS = ("upward", "downward")


@dataclass(frozen=True, kw_only=True)
class Happening:
    """A link's faults `at_s` seconds after the beginning, for `lasts_s` seconds; then it is clean again."""

    at_s: float
    lasts_s: float
    upward: Fault = CLEAN
    downward: Fault = CLEAN


def seed_of(environment: Mapping[str, str]) -> int:
    """Return the seed that the environment names, or a new one."""
    named = environment.get(SEED_VARIABLE)
    return int(named) if named is not None else secrets.randbits(32)


@pytest.fixture
def fault_seed() -> int:
    """Give a test its seed; pytest shows what is written here when the test fails."""
    seed = seed_of(os.environ)
    sys.stdout.write(f"Play this again with {SEED_VARIABLE}={seed}\n")
    return seed


def draw_fault(draw: Random) -> Fault:
    """Draw one fault of one direction."""
    at_bytes = draw.choice((0, draw.randrange(1, 2_000)))
    return draw.choice(
        (
            Fault(delay_s=draw.uniform(0.01, 0.1)),
            Fault(drip_bytes=draw.randrange(1, 200), drip_s=draw.uniform(0.001, 0.01)),
            Fault(reset_at_bytes=at_bytes),
            Fault(half_close_at_bytes=at_bytes),
            Fault(swallows=True),
        )
    )


def draw_happenings(seed: int, *, count: int, between_s: float = 0.3, longest_s: float = 0.5) -> list[Happening]:
    """Draw faults one after the other, with moments between them in which all is well."""
    draw, at_s = Random(seed), 0.0
    happenings: list[Happening] = []
    for _ in range(count):
        at_s += draw.uniform(0, between_s)
        lasts_s = draw.uniform(0.05, longest_s)
        faults = {way: draw_fault(draw) for way in draw.choice((_WAYS[:1], _WAYS[1:], _WAYS))}
        happenings.append(Happening(at_s=at_s, lasts_s=lasts_s, **faults))
        at_s += lasts_s
    return happenings


def play(happenings: Sequence[Happening], link: Link) -> None:
    """Let it happen to a link; returns when all is over and the link is clean."""
    began = time.monotonic()
    for one in happenings:
        time.sleep(max(0.0, began + one.at_s - time.monotonic()))
        link.turn(upward=one.upward, downward=one.downward)
        time.sleep(one.lasts_s)
        link.turn()
