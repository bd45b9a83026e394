"""A delivery that is one file, a tar archive; and what was delivered so, read again.

The law: the archive has its name only when all of it is durable. What is read is read by its name: nothing is ever
unpacked to where an archive says, and whatever is no plain file in it is not there.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from analytics.journal.recovery import sync_directory
from analytics.lake.delivery import UNFINISHED, Delivered, TakenError, digest

SUFFIX = ".tar"
_MODE = 0o600


class ArchiveDelivery:
    """Takes files into an archive that is written to `file`; see `Delivery`."""

    def __init__(self, target: Path, unfinished: Path, file: IO[bytes], scratch: Path) -> None:
        self._target, self._unfinished, self._file, self._scratch = target, unfinished, file, scratch
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - `finish` closes it

    def add(self, name: str, fill: Callable[[Path], None], *, private: bool = False) -> Delivered:  # noqa: ARG002 - the whole archive is private
        """Let `fill` write a file, and put it into the archive."""
        try:
            fill(self._scratch)
            taken = Delivered(name=name, size_bytes=self._scratch.stat().st_size, sha256=digest(self._scratch))
            with self._scratch.open("rb") as file:
                self._tar.addfile(_entry(name, taken.size_bytes), file)
        finally:
            self._scratch.unlink(missing_ok=True)
        return taken

    def finish(self, name: str, manifest: bytes) -> None:
        """Put the manifest behind all others, and give the archive its name."""
        self._tar.addfile(_entry(name, len(manifest)), io.BytesIO(manifest))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unfinished.rename(self._target)
        sync_directory(self._target.parent)


@contextmanager
def archiving(target: Path) -> Generator[ArchiveDelivery]:
    """Yield what takes files for an archive at `target`, which must not be there; what is not finished is removed.

    Raises:
        TakenError: something is there, or somebody else is writing there.
        OSError: the disk refuses.
    """
    target = target.absolute()
    if os.path.lexists(target):
        message = f"{target} is there already; name a file that is not"
        raise TakenError(message)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + UNFINISHED)
    with ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="turnout-")))
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        file = held.enter_context(os.fdopen(fd, "w+b"))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another process is writing {target} (in {unfinished}); wait until it has ended"
            raise TakenError(message) from None
        os.ftruncate(fd, 0)
        try:
            yield ArchiveDelivery(target, unfinished, file, scratch / "file")
        finally:
            if unfinished.exists() and os.path.samestat(unfinished.stat(), os.fstat(fd)):
                unfinished.unlink()


class Archive:
    """An archive that is read; close it in the end.

    Raises:
        OSError: it is no archive, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as held:
            file = held.enter_context(path.open("rb"))
            try:
                self._tar = held.enter_context(tarfile.open(fileobj=file, mode="r:"))
                self._entries = {one.name: one for one in self._tar.getmembers() if one.isreg()}
            except tarfile.TarError as error:
                message = f"{path} is no whole tar archive: {error}"
                raise OSError(message) from error
            self._held = held.pop_all()

    def __str__(self) -> str:
        return str(self._path)

    def read(self, name: str) -> bytes | None:
        """Return a small file's content; None if there is none."""
        file = self._file(name)
        return None if file is None else file.read()

    def bring(self, name: str, path: Path) -> bool:
        """Copy a file to `path`; tell whether there is one."""
        file = self._file(name)
        if file is None:
            return False
        with path.open("wb") as target:
            shutil.copyfileobj(file, target)
        return True

    def close(self) -> None:
        """Close the file."""
        self._held.close()

    def _file(self, name: str) -> IO[bytes] | None:
        entry = self._entries.get(name)
        return None if entry is None else self._tar.extractfile(entry)


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size_bytes, _MODE
    return entry
