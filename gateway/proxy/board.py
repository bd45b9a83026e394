"""The limits of one host in memory that its workers share: a small file for each limit, a row in it for each worker.

Law: nothing here waits for another worker once it serves. A row belongs to whoever holds the lock of its file, which
the system gives up when that process is gone, however it went; then any other worker takes the lock and clears the row.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import mmap
import os
import select
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.proxy.leased import LeasedSheet
from gateway.proxy.limits import HELD, MOMENTARY, ROW_CELLS, Sheet

FOLDER = "limits-1"
"""The number is the layout's: versions that differ in it share nothing."""
ROWS = 512
"""Twice as many as a host may have workers: while they are replaced, two generations serve."""
_CELL_BYTES = 8
_NAME_BYTES = 16
_ROSTER = "roster"
LESSEE = ROWS - 1
"""The last row is no worker's: what the host leased of a fleet's limit."""
_POKES = "pokes"
_POKE, _POKES_AT_ONCE = b".", 65_536
_LEASE_LOCK = "lease.lock"
_SHEET_BYTES = ROWS * ROW_CELLS * _CELL_BYTES

_log = logging.getLogger("turnout.proxy")


class NoRowError(OSError):
    """As many processes as there are rows for workers share this host's limits."""


class Board:
    """One worker's hold on the shared limits in `folder`.

    Raises:
        OSError: the files cannot be made, or there is no row left.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._pages: dict[str, memoryview[int]] = {}
        self._pokes: int | None = None
        self._roster = _mapped(folder / _ROSTER, (1 + ROWS) * _CELL_BYTES)
        with _one_at_a_time(folder):
            self.row, self._life = self._free_row()
            self._clear(self.row)
            self._roster[1 + self.row] = os.getpid()
            self._roster[0] = max(self._roster[0], self.row + 1)

    def sheet(self, name: str) -> Sheet | None:
        """Return the sheet of the limit of this name; None when its file cannot be made, which is logged."""
        page = self._page_of(name)
        return Sheet(page, self.row, self._roster) if page is not None else None

    def leased(self, name: str) -> LeasedSheet | None:
        """Return the sheet of a fleet's limit; None when its file cannot be made, which is logged."""
        page = self._page_of(name)
        return LeasedSheet(page, self.row, self._roster, LESSEE) if page is not None else None

    def is_met(self, name: str) -> bool:
        """Tell whether any worker of this host has met the limit of this name."""
        return _file_name(name) in self._pages or (self._folder / _file_name(name)).exists()

    def poke(self) -> None:
        """Tell the host's lessee that more of some lease is wanted; it looks by itself twice a second."""
        with suppress(OSError):
            os.write(self._fifo(), _POKE)

    def poked(self, within_s: float) -> None:
        """Wait for a poke, or so long; the lessee's part."""
        try:
            fifo = self._fifo()
        except OSError:
            return time.sleep(within_s)
        if select.select([fifo], [], [], within_s)[0]:
            with suppress(BlockingIOError):
                os.read(fifo, _POKES_AT_ONCE)
        return None

    def lessee(self) -> int | None:
        """Become the host's lessee until the file that is returned is closed; None while another process is.

        Raises:
            OSError: the lock's file cannot be opened.
        """
        return _locked(self._folder / _LEASE_LOCK)

    def sweep(self) -> int:
        """Clear the rows of workers that are gone, and return how many slots that gave back.

        Raises:
            OSError: a row's file was removed, or cannot be opened: whether its worker lives cannot be told.
        """
        freed = 0
        for row in range(self._roster[0]):
            if row != self.row and self._roster[1 + row]:
                freed += self._bury(row)
        return freed

    def close(self) -> None:
        """Leave the row to others."""
        self._clear(self.row)
        self._roster[1 + self.row] = 0
        os.close(self._life)
        os.close(self._folder_fd)
        if self._pokes is not None:
            os.close(self._pokes)
            self._pokes = None

    def _fifo(self) -> int:
        """Return the pipe that every worker of the host may write to and its lessee reads."""
        if self._pokes is None:
            with suppress(FileExistsError):
                os.mkfifo(self._folder / _POKES, 0o600)
            self._pokes = os.open(self._folder / _POKES, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return self._pokes

    def _bury(self, row: int) -> int:
        # Neither a new file nor a new folder of that name: their locks say nothing of the worker that has the row here.
        life = _held(os.open(f"row-{row}", os.O_RDWR | os.O_CLOEXEC, dir_fd=self._folder_fd))
        if life is None:
            return 0
        try:
            pid, freed = self._roster[1 + row], self._clear(row)
            self._roster[1 + row] = 0
        finally:
            os.close(life)
        if freed:
            _log.warning("a worker is gone; what it held is free again", extra={"gone_pid": pid, "slots": freed})
        return freed

    def _free_row(self) -> tuple[int, int]:
        for row in range(LESSEE):
            if (life := _locked(self._folder / f"row-{row}")) is not None:
                return row, life
        message = f"all {LESSEE} rows of {self._folder} are taken"
        raise NoRowError(message)

    def _clear(self, row: int) -> int:
        """Empty a row, whose lock this worker holds, on every sheet there is; return the slots that it had."""
        freed = 0
        for path in self._folder.glob("*.limit"):
            page = self._page(path.name)
            freed += page[row * ROW_CELLS + HELD]
            for cell in MOMENTARY:
                page[row * ROW_CELLS + cell] = 0
        return freed

    def _page_of(self, name: str) -> memoryview[int] | None:
        try:
            return self._page(_file_name(name))
        except OSError as error:
            reason = {"limit": name, "reason": str(error)}
            _log.error("a limit is not shared: this worker keeps its part of it", extra=reason)
            return None

    def _page(self, name: str) -> memoryview[int]:
        if name not in self._pages:
            self._pages[name] = _mapped(self._folder / name, _SHEET_BYTES)
        return self._pages[name]


def _file_name(limit: str) -> str:
    return f"{hashlib.blake2b(limit.encode(), digest_size=_NAME_BYTES).hexdigest()}.limit"


@contextmanager
def _one_at_a_time(folder: Path) -> Generator[None]:
    """Let one worker at a time look for its row; who does not serve yet may wait."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _locked(path: Path) -> int | None:
    """Return the file, locked by this process until it is closed; None when another process has it."""
    return _held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _held(life: int) -> int | None:
    """Lock an open file, or close it and return None when another process has it."""
    try:
        fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(life)
        return None
    except OSError:
        os.close(life)
        raise
    return life


def _mapped(path: Path, size_bytes: int) -> memoryview[int]:
    """Map a file, which is made whole if it is not there: its blocks are on the disk before anybody writes to them."""
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        try:
            unfinished.write_bytes(bytes(size_bytes))
            with suppress(FileExistsError):
                path.hardlink_to(unfinished)
        finally:
            unfinished.unlink(missing_ok=True)
    with path.open("rb+") as file:
        if os.fstat(file.fileno()).st_size != size_bytes:
            message = f"{path} was damaged: stop Turnout, remove the file and start again"
            raise OSError(message)
        return memoryview(mmap.mmap(file.fileno(), size_bytes)).cast("q")
