"""A backup of an installation, made while it runs or not: ledger, keys, saved queries, configuration, lake and journal.

The law: what is copied fits together. The lake and its journal are of one moment, as `analytics/lake/capture.py` says,
and the ledger is of a later one, so that it knows every decision that a record tells of. Nothing of the installation is
written, nothing waits for a backup.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec

from analytics.lake.archive import SUFFIX, archiving
from analytics.lake.capture import capture
from analytics.lake.delivery import Delivered, Delivery, delivering
from analytics.lake.place import Place
from analytics.lake.store import OBJECTS, Access, Store
from gateway.console.backup_manifest import (
    CONFIG,
    FIRST_KEYS,
    JOURNAL,
    LAKE,
    LAKE_FILE,
    LEDGER,
    MANIFEST,
    QUERIES,
    SCHEMAS,
    SECRET,
    BackupError,
    Manifest,
    sealed,
)
from gateway.console.backup_manifest import Lake as LakeKept
from gateway.settings.load import files_beside
from gateway.settings.secrets import derived, load_master
from gateway.settings.snapshot import is_signed
from rollout.stores.copy import LedgerFacts, copy_ledger, read_facts

Tell = Callable[[str, int, int], None]
"""Hears how far it is: of what, how many files of how many."""

_TRIES = 5
_DEMO = "demo*.toml"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is to have: the lake at `lake` (None: none of it), the secrets or not, and which configuration.

    `lake_url` is how the installation names its lake; None: it lies in the state directory.
    """

    state_dir: Path
    config: Path | None
    lake: Place | None
    lake_url: str | None
    with_secrets: bool = True


@contextmanager
def backing_up(target: str, access: Access) -> Generator[Delivery]:
    """Yield what takes a backup's files: for a folder, an archive (`.tar`), or `s3://BUCKET/PREFIX`.

    Raises:
        TakenError, MissingPackageError, OSError: see `delivering`.
    """
    if target.endswith(SUFFIX) and not target.startswith(OBJECTS):
        with archiving(Path(target)) as archive:
            yield archive
        return
    with delivering(target, access, private=True) as delivery:
        yield delivery


def back_up(
    delivery: Delivery, wanted: Wanted, environment: Mapping[str, str], *, at: int, host: str, tell: Tell
) -> Manifest:
    """Hand over a backup, and return its manifest. `at` is now, in microseconds since 1970 UTC; `host` is this machine.

    Raises:
        BackupError: there is no installation, or its audit chain is broken.
        LedgerError, SecretError, OSError: it cannot be read, or the disk or the store refuses.
    """
    master = load_master(wanted.state_dir, environment, secrets.token_bytes, create=False)
    with tempfile.TemporaryDirectory(prefix="turnout-") as folder:
        scratch = Path(folder)
        files = [] if wanted.lake is None else list(_lake(delivery, wanted.lake, wanted.state_dir, scratch, tell))
        copy_ledger(wanted.state_dir / LEDGER, scratch / LEDGER)
        facts = _checked(scratch / LEDGER, wanted.state_dir, master)
        files.append(delivery.add(LEDGER, lambda path: _copy(scratch / LEDGER, path)))
        files += _beside(delivery, wanted)
    config = next((one.name for one in files if one.name.startswith(f"{CONFIG}/")), None)
    manifest = Manifest(
        id=secrets.token_hex(8),
        made_at=at,
        turnout=version("turnout"),
        host=host,
        schemas=SCHEMAS,
        epoch=facts.state.epoch,
        version=facts.state.version,
        audit_entries=facts.head.count,
        audit_head=facts.head.hash,
        has_secret=any(one.name == SECRET for one in files),
        config=config,
        lake=LakeKept(kept="left" if wanted.lake is None else "copied", url=wanted.lake_url),
        files=files,
    )
    delivery.finish(MANIFEST, sealed(manifest, master))
    return manifest


def _checked(ledger: Path, state_dir: Path, master: bytes) -> LedgerFacts:
    facts = read_facts(ledger)
    if facts.fault is not None:
        message = f"the ledger in {state_dir} is not to be trusted, and was not backed up: {facts.fault}"
        raise BackupError(message)
    if facts.sealed is None:
        message = f"{state_dir} has no snapshot yet, so there is nothing to back up; start `turnout serve` once"
        raise BackupError(message)
    if not is_signed(facts.sealed, derived(master).snapshot):
        message = (
            f"the ledger in {state_dir} was made with another master secret than the one that is here; bring its own"
        )
        raise BackupError(message)
    return facts


def _lake(delivery: Delivery, place: Place, state_dir: Path, scratch: Path, tell: Tell) -> Iterator[Delivered]:
    """Hand over the lake and its journal; where a file goes away meanwhile, what counts now is looked at once more."""
    store = place.open()
    journal = scratch / JOURNAL
    done: dict[str, Delivered] = {}
    for _ in range(_TRIES):
        journal.mkdir()
        captured = capture(store, state_dir / JOURNAL, journal)
        if _copied(delivery, store, captured.files, done, tell):
            yield from (done[name] for name in captured.files)
            for name, body in captured.small.items():
                yield delivery.add(f"{LAKE}/{name}", lambda path, body=body: _write(path, body))
            for path in sorted(journal.iterdir()):
                yield delivery.add(f"{JOURNAL}/{path.name}", lambda target, path=path: _copy(path, target))
            return
        for path in journal.iterdir():
            path.unlink()
        journal.rmdir()
    message = f"files of the lake {store} went away {_TRIES} times while they were copied; try again"
    raise BackupError(message)


def _copied(delivery: Delivery, store: Store, names: Mapping[str, int], done: dict[str, Delivered], tell: Tell) -> bool:
    """Hand over those files that are not `done` yet; tell whether all were there."""
    for number, name in enumerate(names):
        tell("files of the lake", number, len(names))
        if name in done:
            continue

        def fill(path: Path, name: str = name) -> None:
            if not store.bring(name, path):
                raise FileNotFoundError(name)

        try:
            done[name] = delivery.add(f"{LAKE}/{name}", fill)
        except FileNotFoundError:
            return False
    return True


def _beside(delivery: Delivery, wanted: Wanted) -> Iterator[Delivered]:
    """Hand over the saved queries, the configuration and, if they are wanted, the secrets."""
    state_dir = wanted.state_dir
    names = [f"{QUERIES}/{path.name}" for path in sorted((state_dir / QUERIES).glob("*.json"))]
    names += [path.name for path in sorted(state_dir.glob(_DEMO))] + [LAKE_FILE]
    names += [SECRET, FIRST_KEYS] if wanted.with_secrets else []
    for name in names:
        if (state_dir / name).is_file():
            yield delivery.add(name, lambda path, name=name: _copy(state_dir / name, path))
    if wanted.config is not None and wanted.config.is_file():
        yield from _configuration(delivery, wanted.config.absolute())


def _configuration(delivery: Delivery, config: Path) -> Iterator[Delivered]:
    """Hand over the configuration, and the files that it names, as far as they lie in its folder or below it."""
    yield delivery.add(f"{CONFIG}/{config.name}", lambda path: _copy(config, path))
    folder = config.parent.resolve()
    for path in files_beside(config):
        if path.is_file() and path.resolve().is_relative_to(folder):
            name = path.resolve().relative_to(folder)
            yield delivery.add(f"{CONFIG}/{name}", lambda target, path=path: _copy(path, target))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(body)
