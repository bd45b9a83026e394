"""What the shipper tells of itself and of what it reads: to whoever scrapes, and to an OTLP backend if there is one.

What is only needed by one of them is imported when it is there: a host that pushes nothing loads nothing of
OpenTelemetry's SDK.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib.metadata import version
from typing import Protocol
from urllib.parse import unquote

import msgspec

from analytics.lake.shipper import Shipper, wall_clock
from analytics.telemetry import conventions as named
from analytics.telemetry import names
from analytics.telemetry.observer import Observer
from analytics.telemetry.series import Family

_ROWS = ("records", "interrupted", "feedback", "content")
_TROUBLES = ("late", "undecodable", "quarantined", "unwritable", "failures")
_S = 1 / 1_000_000


class _Ending(Protocol):
    """What runs beside the shipper until it ends."""

    def stop(self) -> None:
        """End it."""
        ...


class Telling:
    """What is told from now on until `stop`: on the listening socket `metrics_fd`, and to the backend of `otlp`."""

    def __init__(self, shipper: Shipper, observer: Observer, metrics_fd: int | None, otlp: str | None) -> None:
        self._shipper = shipper
        self._running: list[_Ending] = []
        observer.ask_shipper = lambda: families(shipper)
        if otlp is not None:
            self._push(observer, otlp)
        if metrics_fd is not None:
            self._serve(observer, metrics_fd)

    def stop(self) -> None:
        """Tell no more."""
        for one in self._running:
            one.stop()

    def _serve(self, observer: Observer, fd: int) -> None:
        from analytics.telemetry.scrape import ScrapeServer  # noqa: PLC0415 - see above

        server = ScrapeServer(socket.socket(fileno=fd), observer.page)
        server.start()
        self._running.append(server)

    def _push(self, observer: Observer, otlp: str) -> None:
        from analytics.telemetry.post import Backend  # noqa: PLC0415 - see above
        from analytics.telemetry.push import Pusher, Pushing  # noqa: PLC0415 - see above

        pushing = msgspec.json.decode(otlp, type=Pushing)
        backend = Backend(pushing.url, headers_of(os.environ))
        pusher = Pusher(pushing, backend, resource(), observer, wall_clock)
        observer.tell = pusher.take
        observer.ask_shipper = lambda: [*families(self._shipper), pusher.family()]
        pusher.start()
        self._running.append(pusher)


def families(shipper: Shipper) -> list[Family]:
    """Return the counts since its start, and its heartbeats."""
    counts = shipper.counts
    return [
        Family(names.STORE_AWAY, [((), float(shipper.is_away))]),
        Family(names.SHIPPED, [((name,), getattr(counts, name)) for name in _ROWS]),
        Family(names.SHIPPER_TROUBLE, [((name,), getattr(counts, name)) for name in _TROUBLES]),
        Family(names.HEARTBEAT, [((worker,), beat.at * _S) for worker, beat in shipper.beats.items()]),
    ]


def headers_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a backend wants."""
    pairs = (pair.partition("=") for pair in environment.get(named.HEADERS_VARIABLE, "").split(",") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def resource() -> dict[str, str]:
    """Return who tells, by OpenTelemetry's names."""
    return {
        named.WHO: named.TURNOUT,
        named.WHICH_VERSION: version("turnout"),
        named.WHICH_INSTANCE: socket.gethostname(),
    }
