"""Runs an analyst's SQL in a process of its own, which is killed when it takes too long. Owns its limits.

One fresh process for each statement, with an empty environment: whatever it does to itself, nothing is left of it, and
what started it only reads bytes. `sandboxed.py` is what runs there, `walls.py` what holds it.

SandboxError
├── RefusedQueryError      DuckDB does not take it, or it is not one SELECT: the remedy is the analyst's
├── QueryLimitError        it needs more time, memory, rows or bytes than there are
├── CancelledQueryError    somebody cancelled it
└── NoSandboxError         it cannot be run here: no copy, no process, or a wall is missing that is required
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import msgspec

from analytics.freshness import UNKNOWN, Freshness
from analytics.lake.aside import step_back
from analytics.warehouse.order import Form, Head, Order, Scalar, Tail
from analytics.warehouse.progress import Heard, Tell
from analytics.warehouse.walls import Bounds, Walls

MIB = 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_SLACK_BYTES = MIB
"""For an answer's head and tail; a process that writes more than it may is not ours any more."""
_TOLD_BYTES = 2048
_CHILD = "analytics.warehouse.sandboxed"


class SandboxError(RuntimeError):
    """A statement got no answer: see the tree above."""


class RefusedQueryError(SandboxError):
    """It is not one SELECT, or DuckDB does not take it; in DuckDB's words."""


class QueryLimitError(SandboxError):
    """It needs more than there is."""


class CancelledQueryError(SandboxError):
    """Somebody cancelled it."""


class NoSandboxError(SandboxError):
    """It cannot be run here."""


class QueryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one statement may use and give. The address space bounds what DuckDB's own limit does not see.

    One that `steps_back` runs, from its first moment, only while nothing else wants the processor: requests come first.
    """

    time_s: float = 30.0
    memory_limit_mib: int = 256
    address_space_bytes: int = 2048 * MIB
    rows: int = 100_000
    answer_bytes: int = 32 * MIB
    require_landlock: bool = False
    steps_back: bool = True


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Columns (name, DuckDB's type), how many rows, and these as text, a line each; `as_of` is microseconds UTC.

    How fresh the copy is that was asked, is added by who had it made.
    """

    columns: tuple[tuple[str, str], ...]
    rows: int
    text: bytes
    walls: Walls
    as_of: int
    freshness: Freshness = UNKNOWN


class Cancellation:
    """Ends one statement from another thread, whether it runs already or not."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.is_set = False

    def cancel(self) -> None:
        """Kill it."""
        with self._lock:
            self.is_set = True
            if self._process is not None:
                self._process.kill()

    def follow(self, process: subprocess.Popen[bytes]) -> None:
        """Let this process be the one to kill."""
        with self._lock:
            self._process = process
            if self.is_set:
                process.kill()


def _nobody(_: int) -> None:
    """Hear nothing."""


def run(
    query: str,
    copy: Path,
    limits: QueryLimits,
    *,
    parameters: Mapping[str, Scalar] | None = None,
    form: Form = "json",
    cancellation: Cancellation | None = None,
    tell: Tell = _nobody,
) -> Answer:
    """Return a statement's answer from a published copy. It blocks, for `limits.time_s` and half a second at most.

    `tell` hears now and then, in the same thread, how many percent of it are done, as far as DuckDB can tell.

    Raises:
        SandboxError: see there.
    """
    order = Order(
        query=query,
        parameters=dict(parameters or {}),
        form=form,
        bounds=Bounds(memory_bytes=limits.address_space_bytes, cpu_s=int(limits.time_s) + 1),
        memory_limit_mib=limits.memory_limit_mib,
        rows=limits.rows,
        answer_bytes=limits.answer_bytes,
        require_landlock=limits.require_landlock,
    )
    stop = cancellation or Cancellation()
    descriptor = _nameless(copy)
    try:
        return _Statement(order, limits, stop, Heard(tell)).answer(descriptor)
    finally:
        os.close(descriptor)


class _Statement:
    """One statement on its way."""

    def __init__(self, order: Order, limits: QueryLimits, stop: Cancellation, heard: Heard) -> None:
        self._order = order
        self._limits = limits
        self._stop = stop
        self._heard = heard
        self._told = b""

    def answer(self, copy: int) -> Answer:
        as_of = os.fstat(copy).st_mtime_ns // 1000
        with tempfile.TemporaryFile() as ordered, _channel() as (heard, told):
            ordered.write(msgspec.json.encode(self._order))
            ordered.seek(0)
            began_s = time.monotonic()
            with subprocess.Popen(
                [sys.executable, "-I", "-m", _CHILD, str(copy), str(told.fileno())],
                stdin=ordered,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={},
                pass_fds=[copy, told.fileno()],
                process_group=0,
            ) as process:
                told.close()
                try:
                    if self._limits.steps_back:
                        step_back(process.pid)
                    self._stop.follow(process)
                    written, is_late = self._read(process, heard, began_s + self._limits.time_s)
                finally:
                    process.kill()
        return self._judged(written, process.returncode, as_of, is_late=is_late)

    def _read(self, process: subprocess.Popen[bytes], heard: BinaryIO, end_s: float) -> tuple[bytes, bool]:
        """Return what it wrote until it ended, was late, or wrote too much; and whether it was late."""
        written = bytearray()
        with selectors.DefaultSelector() as open_pipes:
            takes = (written.extend, self._keep, self._heard.take)
            for pipe, take in zip((process.stdout, process.stderr, heard), takes, strict=True):
                if pipe is not None:
                    open_pipes.register(pipe, selectors.EVENT_READ, take)
            while open_pipes.get_map():
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    return bytes(written), True
                for key, _ in open_pipes.select(left_s):
                    chunk = os.read(key.fd, _CHUNK_BYTES)
                    key.data(chunk)
                    if not chunk or (key.fileobj is heard and self._heard.is_enough):
                        open_pipes.unregister(key.fileobj)
                if len(written) > self._limits.answer_bytes + _SLACK_BYTES:
                    return bytes(written), False
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end_s - time.monotonic()))
        return bytes(written), False

    def _keep(self, chunk: bytes) -> None:
        self._told = (self._told + chunk)[-_TOLD_BYTES:]

    def _judged(self, written: bytes, code: int, as_of: int, *, is_late: bool) -> Answer:
        if self._stop.is_set:
            message = "the query was cancelled"
            raise CancelledQueryError(message)
        if is_late or code == -signal.SIGXCPU:
            message = f"the query took longer than {self._limits.time_s:g} s; ask for less, for example a shorter time"
            raise QueryLimitError(message)
        body, _, end = written.rpartition(b"\n")
        try:
            tail = msgspec.json.decode(end, type=Tail)
        except msgspec.MsgspecError:
            raise self._broken(code, written) from None
        if tail.reason is not None:
            raise self._refused(tail)
        line, _, text = body.partition(b"\n")
        head = msgspec.json.decode(line, type=Head)
        return Answer(columns=head.columns, rows=tail.rows, text=text, walls=head.walls, as_of=as_of)

    def _refused(self, tail: Tail) -> SandboxError:
        limits = self._limits
        if tail.reason == "refused":
            return RefusedQueryError(tail.message)
        if tail.reason == "unconfined":
            return NoSandboxError("this host's kernel has no Landlock, and [sql] require_landlock is set")
        if tail.reason == "memory":
            return self._too_much_memory()
        if tail.reason == "rows":
            return QueryLimitError(f"the answer has more than {limits.rows:,} rows; aggregate, or add LIMIT")
        size = f"{limits.answer_bytes / MIB:g} MiB"
        return QueryLimitError(f"the answer is longer than {size}; ask for fewer rows or columns")

    def _too_much_memory(self) -> QueryLimitError:
        limit = self._limits.memory_limit_mib
        return QueryLimitError(
            f"the query needs more memory than {limit} MiB; group by less, or ask for a shorter time"
        )

    def _broken(self, code: int, written: bytes) -> SandboxError:
        """Say why there is no tail: the process was ended by a limit of the system's, or never began to answer."""
        if len(written) > self._limits.answer_bytes:
            return self._refused(Tail(reason="bytes"))
        if code < 0 or b"MemoryError" in self._told or b"bad_alloc" in self._told:
            return self._too_much_memory()
        told = self._told.decode("utf-8", "replace").strip().splitlines()
        return NoSandboxError(f"the query's process ended with {code}: {told[-1] if told else 'without a word'}")


@contextmanager
def _channel() -> Generator[tuple[BinaryIO, BinaryIO]]:
    """Yield the ends of a pipe, to hear and to tell; it is told without ever waiting for who hears."""
    near, far = os.pipe()
    os.set_blocking(far, False)
    with os.fdopen(near, "rb", 0) as heard, os.fdopen(far, "wb", 0) as told:
        yield heard, told


def _nameless(copy: Path) -> int:
    """Open a copy by a link that has no name any more: so the process cannot tell where it lies.

    Raises:
        NoSandboxError: there is no copy.
    """
    try:
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".") as folder:
            link = Path(folder, "copy")
            link.hardlink_to(copy)
            return os.open(link, os.O_RDONLY)
    except FileNotFoundError as error:
        message = f"there is no copy to ask: {copy.name} is missing"
        raise NoSandboxError(message) from error
