"""Where a backup is restored to: beside a state directory first, and into its place when all of it is sound.

The law: a state directory that runs is left alone, one that has something in it is kept under another name, and at
every moment there is either the former one, or the restored one, or none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from analytics.journal.recovery import sync_directory
from analytics.lake.archive import Archive
from analytics.lake.delivery import claimed, require_free
from analytics.lake.directory import Directory, place
from analytics.lake.layout import CONTENT
from analytics.lake.place import Place
from analytics.lake.store import OBJECTS, Access
from gateway.console.backup_manifest import LAKE, LAKE_FILE, BackupError, Manifest
from gateway.console.restoring import Restored, Source, Tell, fetch, renew, require_ledger, trusted
from gateway.settings.schema import Lake
from rollout.stores.ledger import LOCK_FILE

SERVE_LOCK = "serve.lock"
"""What a running supervisor holds, in the state directory."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to: the state directory, and the lake (None: where it was, `access` being how that is reached).

    `force` keeps a state directory that has something in it under another name, in the place of a refusal.
    """

    state_dir: Path
    lake: Place | None
    access: Access = Access()
    force: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored, where its lake is, and where the former state directory is kept, if there was one."""

    restored: Restored
    lake: str
    aside: Path | None


def restore(source: Source, target: Target, environment: Mapping[str, str], actor: str, tell: Tell) -> Outcome:
    """Restore a backup. Nothing is there until all of it is sound.

    Raises:
        BackupError: the backup is not to be trusted, or something is in the way.
        TakenError, MissingPackageError, ApiError, LedgerError, OSError: see what it calls.
    """
    state_dir = target.state_dir.resolve()
    with ExitStack() as held:
        is_used = _require_at_rest(state_dir, held, force=target.force)
        trust = trusted(source, environment)
        place = _lake_place(trust.manifest, target, state_dir)
        state = held.enter_context(claimed(state_dir, private=True))
        lake = state / LAKE
        if place is not None and place.directory is None and not place.objects().is_empty():
            message = f"{place.url} is not empty; name another place for the lake with --lake"
            raise BackupError(message)
        if place is not None and place.directory is not None:
            require_free(place.directory.resolve())
            lake = held.enter_context(claimed(place.directory.resolve(), private=False))
        fetch(source, trust.manifest, state, lake, tell)
        facts = require_ledger(trust.manifest, state)
        done = renew(trust, facts, state, state_dir if is_used else None, actor)
        _settle(state, trust.manifest, place)
        if (lake / CONTENT).is_dir():
            (lake / CONTENT).chmod(0o700)
        if place is not None:
            _put_lake(lake, place, tell)
        durable(state)
        aside = _exchange(state, state_dir) if is_used else None
        if aside is None:
            state.rename(state_dir)
        sync_directory(state_dir.parent)
    where = place.url if place is not None else _left_at(trust.manifest, state_dir)
    return Outcome(restored=done, lake=where, aside=aside)


@contextmanager
def opened(place: str, access: Access) -> Generator[Source]:
    """Open a backup for reading: a folder, an archive, or `s3://BUCKET/PREFIX`.

    Raises:
        BackupError: nothing is there.
        MissingPackageError, OSError: it cannot be read.
    """
    path = Path(place)
    if place.startswith(OBJECTS):
        yield Place(url=place, access=access).objects()
    elif path.is_dir():
        yield Directory(path)
    elif path.is_file():
        with closing(Archive(path)) as archive:
            yield archive
    else:
        message = f"there is no backup at {place}; name a folder, an archive (.tar) or s3://BUCKET/PREFIX"
        raise BackupError(message)


def place_configuration(state_dir: Path, manifest: Manifest, path: Path) -> str | None:
    """Put the backup's configuration at `path` unless something is there; return where it is. None: it has none."""
    if manifest.config is None:
        return None
    kept = state_dir / manifest.config
    if not os.path.lexists(path):
        _copy_beside(kept, path.absolute())
        return str(path)
    if path.is_file() and path.read_bytes() == kept.read_bytes():
        return f"{path}, as it was"
    return f"{kept} ({path} is another one, and was left as it is)"


def durable(folder: Path) -> None:
    """Make a folder and everything in it durable."""
    for path in [*sorted(folder.rglob("*")), folder]:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _require_at_rest(state_dir: Path, held: ExitStack, *, force: bool) -> bool:
    """Refuse a state directory that is in use; tell whether there is something in it, which `force` lets pass."""
    if not os.path.lexists(state_dir):
        return False
    if os.path.ismount(state_dir):
        message = (
            f"{state_dir} is a mount point, which cannot be exchanged for another; restore into a folder inside it"
        )
        raise BackupError(message)
    for name in (SERVE_LOCK, LOCK_FILE):
        _hold(state_dir / name, state_dir, held)
    if force and state_dir.is_dir():
        return next(state_dir.iterdir(), None) is not None
    require_free(state_dir)
    return False


def _hold(path: Path, state_dir: Path, held: ExitStack) -> None:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    held.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message = f"Turnout runs on {state_dir}; stop it first, or restore to another state directory"
        raise BackupError(message) from None


def _lake_place(manifest: Manifest, target: Target, state_dir: Path) -> Place | None:
    """Return where the lake goes; None: into the state directory, or nowhere."""
    if manifest.lake.kept == "left":
        if target.lake is not None:
            message = "this backup has no lake; leave --lake out"
            raise BackupError(message)
        return None
    if target.lake is not None:
        is_inside = target.lake.directory is not None and target.lake.directory.resolve() == state_dir / LAKE
        return None if is_inside else target.lake
    return None if manifest.lake.url is None else Place(url=manifest.lake.url, access=target.access)


def _settle(state: Path, manifest: Manifest, place: Place | None) -> None:
    """Let the restored state name its lake."""
    path = state / LAKE_FILE
    told = msgspec.json.decode(path.read_bytes(), type=Lake) if path.exists() else Lake()
    url = manifest.lake.url if manifest.lake.kept == "left" else None
    if place is not None:
        url = place.url if place.directory is None else str(place.directory.resolve())
    path.write_bytes(msgspec.json.encode(replace(told, url=url)) + b"\n")


def _put_lake(lake: Path, place: Place, tell: Tell) -> None:
    """Give a lake that is not in the state directory its place."""
    if place.directory is not None:
        durable(lake)
        lake.rename(place.directory.resolve())
        sync_directory(place.directory.resolve().parent)
        return
    store = place.objects()
    files = [path for path in sorted(lake.rglob("*")) if path.is_file()]
    for number, path in enumerate(files):
        tell("files of the lake", number, len(files))
        store.send(path, str(path.relative_to(lake)))
    shutil.rmtree(lake)


def _exchange(state: Path, state_dir: Path) -> Path:
    """Keep the former state directory under a name of its own, and let the restored one take its place."""
    number = 1
    while (
        aside := state_dir.with_name(f"{state_dir.name}-before-restore{'' if number == 1 else f'-{number}'}")
    ).exists():
        number += 1
    state_dir.rename(aside)
    state.rename(state_dir)
    return aside


def _left_at(manifest: Manifest, state_dir: Path) -> str:
    return manifest.lake.url or str(state_dir / LAKE)


def _copy_beside(kept: Path, path: Path) -> None:
    """Copy a configuration to `path`, and what lay beside it to where it lay, if nothing is there."""
    for source in sorted(one for one in kept.parent.rglob("*") if one.is_file()):
        target = path if source == kept else path.parent / source.relative_to(kept.parent)
        if not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            place(target, lambda unfinished, source=source: _copy(source, unfinished))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
