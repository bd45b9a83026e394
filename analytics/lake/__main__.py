"""The shipper's process: `python -m analytics.lake --state-dir DIR --lake DIR --seal-every-s N`.

SIGTERM (and SIGINT) ends it after everything left is shipped; any other end loses nothing. Its standard error is one
JSON object a line, or short lines where it is a terminal. With `--fetch NAME --into DIR` it also brings that file of
the lake to this host, for those who never open the lake, and with `--tell DIR` it leaves there what this host's workers
say of themselves; each in a thread of its own.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import get_args

import msgspec

from analytics.lake.absence import Log
from analytics.lake.fetch import Fetch
from analytics.lake.host import named_host
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.presence import Reporter
from analytics.lake.shipper import Shipper, ShipperRunningError, wall_clock
from analytics.lake.store import OUTBOX, Store
from analytics.lake.told import Telling
from analytics.logline import LogLevel, passes, trace
from analytics.telemetry.lines import fields_of, to_standard_error
from analytics.telemetry.observer import Observer

_NAME = "shipper"
_GARBAGE_THRESHOLD = 100_000
"""Rows are many, short-lived and without cycles: looking for garbage every 700 of them costs a tenth of the time."""
_LOOK_S = 0.05
_LAST_CALL_S = 2.0
_TAKE_OVER_S = 10.0
"""How long to wait for a former shipper to end: it may still be shipping the rest."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the shipper until it is told to stop; return 0, or 1 if another one keeps the journal."""
    arguments = _parser().parse_args(argv)
    log = ShipperLog(arguments.log_level)
    stop = SignalStop()
    state: Path = arguments.state_dir
    try:
        lake = Place(url=arguments.lake or str(state / "lake")).open(state / "journal" / OUTBOX)
        with _beside(lake, arguments, log):
            observer = Observer(state, wall_clock, log)
            _ship(_take_over(state / "journal", lake, stop, log, observer), observer, stop, arguments, log)
    except (ShipperRunningError, MissingPackageError) as error:
        log("error", "shipper_refused", {"reason": str(error)})
        return 1
    return 0


def _ship(shipper: Shipper, observer: Observer, stop: SignalStop, arguments: argparse.Namespace, log: Log) -> None:
    state: Path = arguments.state_dir
    log("info", "shipper_started", {"journal": str(state / "journal"), "seal_every_s": arguments.seal_every_s})
    told = Telling(shipper, observer, arguments.metrics_fd, arguments.otlp)
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
    try:
        shipper.run(stop, seal_every_s=arguments.seal_every_s)
    finally:
        told.stop()
        shipper.close()
        observer.close()
        gc.unfreeze()
    log("info", "shipper_ended", msgspec.structs.asdict(shipper.counts))


@contextmanager
def _beside(lake: Store, arguments: argparse.Namespace, log: Log) -> Generator[None]:
    """Do what was asked for beside shipping while the block lasts; a call of a store that hangs is not waited for."""
    journal: Path = arguments.state_dir / "journal"
    tasks: dict[str, Callable[[threading.Event], None]] = {}
    if arguments.fetch is not None:
        tasks["fetch-copy"] = Fetch(lake, arguments.fetch, arguments.into, log).run
    if arguments.tell is not None:
        journal.mkdir(parents=True, exist_ok=True)
        tasks["tell-presence"] = Reporter(lake, named_host(journal), arguments.tell, log, wall_clock).run
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(stop,), name=name, daemon=True) for name, run in tasks.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(_LAST_CALL_S)


class ShipperLog:
    """Says what is of the level `least` or above, also what ends the process unforeseen."""

    def __init__(self, least: LogLevel) -> None:
        self._least: LogLevel = least
        self._writer, self._render = to_standard_error(_NAME)
        sys.excepthook = self._tell_uncaught

    def __call__(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Say one line."""
        if passes(level, self._least):
            self._writer.put(self._render(fields_of(_NAME, level, event, fields)))

    def _tell_uncaught(self, kind: type[BaseException], error: BaseException, _at: TracebackType | None) -> None:
        self("critical", "the process ends by an error", {"exception": kind.__name__, "traceback": trace(error)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analytics.lake", description="Carry journals to the lake.")
    parser.add_argument("--state-dir", type=Path, required=True, help="where the journal lies")
    parser.add_argument("--lake", help="where Parquet goes, by default lake in the state directory")
    parser.add_argument("--seal-every-s", type=float, default=1.0, help="how often, in seconds")
    parser.add_argument("--fetch", metavar="NAME", help="a small file of the lake to be brought to this host")
    parser.add_argument("--into", type=Path, metavar="DIR", help="where it is brought")
    parser.add_argument("--tell", type=Path, metavar="DIR", help="where the status pages lie of which the lake is told")
    parser.add_argument("--metrics-fd", type=int, help="listening socket on which /metrics is served")
    parser.add_argument("--otlp", help="where spans and metrics are pushed, as JSON")
    parser.add_argument("--log-level", choices=get_args(LogLevel), default="info", help="default: %(default)s")
    return parser


class SignalStop:
    """Set by SIGTERM or SIGINT. A plain flag: a handler that took an Event's lock could meet itself holding it."""

    def __init__(self) -> None:
        self._is_set = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)

    def wait(self, timeout: float) -> bool:
        """Return True as soon as a signal came, False after `timeout` seconds."""
        ends_s = time.monotonic() + timeout
        while not self._is_set and (left_s := ends_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOK_S))
        return self._is_set

    def _told(self, _number: int, _frame: FrameType | None) -> None:
        self._is_set = True


def _take_over(journal: Path, lake: Store, stop: SignalStop, log: Log, observer: Observer) -> Shipper:
    give_up_s = time.monotonic() + _TAKE_OVER_S
    while True:
        try:
            return Shipper(journal, lake, log=log, observer=observer)
        except ShipperRunningError:
            if time.monotonic() >= give_up_s or stop.wait(0.1):
                raise


if __name__ == "__main__":
    sys.exit(main())
