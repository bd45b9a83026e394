"""What befalls the Redis of a fleet, or its console, while a block lasts; afterwards all is there again."""

from __future__ import annotations

import hmac
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rollout.stores.redis import HINTS, KEY, LARGEST_BYTES
from tests.acceptance.fleet import Fleet
from tests.acceptance.harness import until
from tests.fakes.link import Fault, Link

POISONED_EVERY_S = 0.05
_SWALLOWING = Fault(swallows=True)
Befalling = Callable[[Fleet], AbstractContextManager[None]]


@contextmanager
def stopped(one: Fleet) -> Iterator[None]:
    """Let Redis hang: it takes connections and answers nobody."""
    one.redis.pause()
    try:
        yield
    finally:
        one.redis.resume()


@contextmanager
def killed(one: Fleet) -> Iterator[None]:
    """End Redis; it comes back empty."""
    one.redis.end()
    try:
        yield
    finally:
        one.redis.start()


@contextmanager
def blackholed(link: Link) -> Iterator[None]:
    """Let the network before Redis swallow everything."""
    link.turn(upward=_SWALLOWING, downward=_SWALLOWING)
    try:
        yield
    finally:
        link.turn()


@contextmanager
def emptied(one: Fleet) -> Iterator[None]:
    """Empty Redis, again and again as soon as the console has put the value back."""
    held: bytes = one.redis.ask("GET", KEY)

    def flush() -> None:
        if one.redis.ask("GET", KEY) == held:
            one.redis.ask("FLUSHALL")

    with repeating(flush, every_s=0.2):
        yield
    until(lambda: one.redis.ask("GET", KEY) == held, "the console puts it back")


@contextmanager
def poisoned(one: Fleet) -> Iterator[None]:
    """Put one foreign value after the other where the snapshot belongs, and hint at each."""
    held: bytes = one.redis.ask("GET", KEY)
    body = held[32:]
    foreign = hmac.digest(b"another installation's key......", body, "sha256") + body
    numbers = itertools.count()
    values = (b"", b"x", b"{}", held[:-1], held[:32], held + b" ", foreign, b"\x00" * 1_000, b"\xff" * 1_000_000)

    def poison() -> None:
        number = next(numbers)
        kind = number % (len(values) + 2)
        one.redis.ask("DEL", KEY)
        if kind < len(values):
            one.redis.ask("SET", KEY, values[kind] + str(number).encode() * (kind % 2))
        elif kind == len(values):
            one.redis.ask("SETRANGE", KEY, str(LARGEST_BYTES + number), "x")
        else:
            one.redis.ask("RPUSH", KEY, held)
        one.redis.ask("PUBLISH", HINTS, f"look {number}")

    with repeating(poison, every_s=POISONED_EVERY_S):
        yield
    until(lambda: one.redis.ask("TYPE", KEY) == b"string", "the console replaces what was no text")
    until(lambda: one.redis.ask("GET", KEY) == held, "the console puts it back")


@contextmanager
def without_console(one: Fleet) -> Iterator[None]:
    """Kill the console's host; another one starts with its state directory."""
    one.lose(one.console)
    try:
        yield
    finally:
        one.add("console", "console")


@contextmanager
def repeating(act: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Do something again and again while the block lasts, at least once."""
    over = threading.Event()

    def keep_acting() -> None:
        act()
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=keep_acting)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
