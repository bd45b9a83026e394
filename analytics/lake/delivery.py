"""Files on their way out of an installation: into a new folder, or below a prefix of an object store.

The law: what was handed over whole has a manifest, and nothing else has. A folder has its own name only when all of it
is durable; among objects the manifest comes last. Nothing that was there before is touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from analytics.journal.recovery import sync_directory
from analytics.lake.place import Place
from analytics.lake.store import OBJECTS, Access

UNFINISHED = ".unfinished"
_CHUNK_BYTES = 1024 * 1024


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """One file that was handed over: its name, its size and its SHA-256 in hexadecimal digits."""

    name: str
    size_bytes: int
    sha256: str


class TakenError(OSError):
    """Something is there already, or somebody else is writing there now."""


class Delivery(Protocol):
    """Takes files, and in the end the manifest; `OSError` where the disk or the store refuses."""

    def add(self, name: str, fill: Callable[[Path], None], *, private: bool = False) -> Delivered:
        """Let `fill` write a file, and take it; a private one is for its owner's eyes alone."""
        ...

    def finish(self, name: str, manifest: bytes) -> None:
        """Take the manifest, and give everything the name that it was meant for."""
        ...


@contextmanager
def delivering(target: str, access: Access, *, private: bool = False) -> Generator[Delivery]:
    """Yield what takes files for a folder, or for `s3://BUCKET/PREFIX`; what is not finished in it is removed.

    Raises:
        TakenError: something is there.
        MissingPackageError: see `Place.open`.
        OSError: the disk or the store refuses.
    """
    if target.startswith(OBJECTS):
        with tempfile.TemporaryDirectory(prefix="turnout-") as scratch:
            yield _Objects(target, access, Path(scratch))
        return
    folder = Path(target).resolve()
    require_free(folder)
    with claimed(folder, private=private) as unfinished:
        yield _Folder(folder, unfinished, private=private)


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def claimed(target: Path, *, private: bool) -> Generator[Path]:
    """Yield the folder beside `target` in which it comes to be, for whoever fills it to rename.

    What a dead one left there is removed first, and in the end what was not renamed.

    Raises:
        TakenError: somebody else is at it.
        OSError: the disk refuses.
    """
    unfinished = target.with_name(target.name + UNFINISHED)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
    lock = os.open(unfinished, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another process is writing {target} (in {unfinished}); wait until it has ended"
            raise TakenError(message) from None
        _clear(unfinished)
        try:
            yield unfinished
        finally:
            if unfinished.exists() and os.path.samestat(unfinished.stat(), os.fstat(lock)):
                shutil.rmtree(unfinished, ignore_errors=True)
    finally:
        os.close(lock)


def require_free(target: Path) -> None:
    """Refuse a target that is there already, but for an empty folder.

    Raises:
        TakenError: it is.
    """
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        message = f"{target} is a file; name a folder that is not there yet"
        raise TakenError(message)
    if next(target.iterdir(), None) is not None:
        message = f"{target} is not empty; name a folder that is not there yet, or an empty one"
        raise TakenError(message)


class _Folder:
    def __init__(self, target: Path, unfinished: Path, *, private: bool) -> None:
        self._target, self._unfinished, self._private = target, unfinished, private

    def add(self, name: str, fill: Callable[[Path], None], *, private: bool = False) -> Delivered:
        path, is_private = self._unfinished / name, private or self._private
        for folder in reversed(path.relative_to(self._unfinished).parents[:-1]):
            (self._unfinished / folder).mkdir(mode=0o700 if is_private else 0o777, exist_ok=True)
        try:
            fill(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if is_private:
            path.chmod(0o600)
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        return Delivered(name=name, size_bytes=path.stat().st_size, sha256=digest(path))

    def finish(self, name: str, manifest: bytes) -> None:
        self.add(name, lambda path: _write(path, manifest))
        for folder in sorted(path for path in self._unfinished.rglob("*") if path.is_dir()):
            sync_directory(folder)
        sync_directory(self._unfinished)
        self._unfinished.rename(self._target)
        sync_directory(self._target.parent)


class _Objects:
    def __init__(self, target: str, access: Access, scratch: Path) -> None:
        self._scratch = scratch / "file"
        self._store = Place(url=target, access=access).objects()
        if not self._store.is_empty():
            message = f"{target} is not empty; name a prefix below which nothing lies yet"
            raise TakenError(message)

    def add(self, name: str, fill: Callable[[Path], None], *, private: bool = False) -> Delivered:  # noqa: ARG002 - objects are as private as their bucket
        try:
            fill(self._scratch)
            self._store.send(self._scratch, name)
            return Delivered(name=name, size_bytes=self._scratch.stat().st_size, sha256=digest(self._scratch))
        finally:
            self._scratch.unlink(missing_ok=True)

    def finish(self, name: str, manifest: bytes) -> None:
        self._store.replace(name, manifest)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(body)
