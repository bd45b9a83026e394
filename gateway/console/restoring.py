"""An installation made of a backup: checked whole, put together beside its place, and then given its name.

The law: nothing that is there is touched before all of the backup is here and sound, and what was there is kept. The
restored ledger says so in its audit, and its epoch is above whatever workers have seen: they follow it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Protocol

import msgspec

from analytics.lake.delivery import Delivered, digest
from gateway.console.backup_manifest import (
    FIRST_KEYS,
    LAKE,
    LEDGER,
    MANIFEST,
    SECRET,
    BackupError,
    Manifest,
    is_signed,
    newer_parts,
    unsealed,
)
from gateway.console.installation import newest_snapshot, now_us
from gateway.console.publication import Publication
from gateway.settings.compile import definitions_of
from gateway.settings.secrets import MASTER_BYTES, MASTER_VARIABLE, Derived, derived
from gateway.settings.snapshot import BadSnapshotError, Snapshot, unseal
from rollout.change import Change, State, carried_over, moment, restored
from rollout.stores.copy import LedgerFacts, read_facts
from rollout.stores.ledger import LedgerError
from rollout.stores.sqlite import open_ledger

Tell = Callable[[str, int, int], None]
_PRIVATE = (LEDGER, SECRET, FIRST_KEYS)
_REASON = "restored from a backup"


class Source(Protocol):
    """Where a backup is read from: a folder, an archive, a prefix of a bucket."""

    def read(self, name: str) -> bytes | None:
        """Return a small file's content; None if there is none."""
        ...

    def bring(self, name: str, path: Path) -> bool:
        """Copy a file to `path`; tell whether there is one."""
        ...


class Trusted(msgspec.Struct, frozen=True, kw_only=True):
    """A backup's manifest, found to be signed, and the master secret that it is signed with."""

    manifest: Manifest
    master: bytes


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored: the backup, the epoch that is in force now, and what was kept of a later state, in words."""

    manifest: Manifest
    epoch: int
    kept: Sequence[str]


def trusted(source: Source, environment: Mapping[str, str]) -> Trusted:
    """Read a backup's manifest and find the master secret, in the backup or in the environment.

    Raises:
        BackupError: it is no backup, not a whole one, altered, of a newer version; or the secret is another one.
    """
    text = source.read(MANIFEST)
    if text is None:
        message = f"{source} has no {MANIFEST}: it is no backup of Turnout, or one that was not finished"
        raise BackupError(message)
    manifest, body, signature = unsealed(text, str(source))
    _require_names(manifest, source)
    kept = source.read(SECRET) if manifest.has_secret else None
    given = environment.get(MASTER_VARIABLE)
    if kept is None and given is None:
        message = f"{source} was made without the master secret; set {MASTER_VARIABLE} to the one that it was made with"
        raise BackupError(message)
    master = (given or "").encode("utf-8", "surrogateescape") if kept is None or given is not None else kept
    master = master.removesuffix(b"\n").removesuffix(b"\r")
    if len(master) < MASTER_BYTES or not is_signed(body, signature, master):
        one = f"was made with another master secret than {MASTER_VARIABLE} here" if given is not None else "was altered"
        message = f"{source}/{MANIFEST} {one}, or is damaged: nothing was restored"
        raise BackupError(message)
    if newer := newer_parts(manifest):
        message = f"{source} was made by Turnout {manifest.turnout}, whose {', '.join(newer)} this one does not read"
        raise BackupError(message)
    return Trusted(manifest=manifest, master=master)


def fetch(source: Source, manifest: Manifest, state: Path, lake: Path, tell: Tell) -> None:
    """Bring every file of a backup, those of the lake to `lake`, the rest to `state`; each is compared on its way.

    Raises:
        BackupError: a file is missing, cut, or another than the one that was backed up.
        OSError: the disk or the store refuses.
    """
    for number, file in enumerate(manifest.files):
        tell("files", number, len(manifest.files))
        folder, _, rest = file.name.partition("/")
        target = lake / rest if folder == LAKE and rest else state / file.name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not source.bring(file.name, target):
            message = f"{source}/{file.name} is missing: nothing was restored"
            raise BackupError(message)
        _require_same(file, target, source)
        if file.name in _PRIVATE:
            target.chmod(0o600)


def require_ledger(manifest: Manifest, state: Path) -> LedgerFacts:
    """Return what the fetched ledger says, if it is the one that the manifest tells of.

    Raises:
        BackupError: it is not.
        LedgerError: it is none, or damaged.
    """
    facts = read_facts(state / LEDGER)
    said = (manifest.epoch, manifest.version, manifest.audit_entries, manifest.audit_head)
    if (
        facts.fault is not None
        or facts.sealed is None
        or said
        != (
            facts.state.epoch,
            facts.state.version,
            facts.head.count,
            facts.head.hash,
        )
    ):
        message = f"the ledger of the backup does not fit its manifest: {facts.fault or 'it says other things'}"
        raise BackupError(message)
    return facts


def renew(trust: Trusted, facts: LedgerFacts, state: Path, former: Path | None, actor: str) -> Restored:
    """Raise the fetched ledger's epoch and write the restore into its audit.

    What the `former` state directory decided later, and no restore may undo, is taken over: see `carried_over`.

    Raises:
        BackupError: the snapshot in it cannot be read.
        ApiError, LedgerError: the ledger refuses.
    """
    keys = derived(trust.master)
    try:
        definitions = definitions_of(unseal(facts.sealed or b"", keys.snapshot))
    except BadSnapshotError as error:
        message = f"the backup's ledger cannot be restored: {error}"
        raise BackupError(message) from error
    seen = _last_seen(former, keys)
    kept: list[Change] = []

    def edit(before: State, _: int) -> Sequence[Change]:
        manifest = trust.manifest
        told = {"backup": manifest.id, "made_at": moment(manifest.made_at)}
        if seen is not None and seen.order > (before.epoch, before.version):
            kept[:] = carried_over(before, seen.keys, (entry.flag for entry in seen.rollouts.values()))
        return [restored(before, told, seen.epoch if seen is not None else 0), *kept]

    with closing(open_ledger(state, clock=now_us, create=False)) as ledger:
        after = Publication(ledger, definitions, keys).change(edit, actor=actor, reason=_REASON)
    return Restored(manifest=trust.manifest, epoch=after.epoch, kept=[_words(change) for change in kept])


def _last_seen(former: Path | None, keys: Derived) -> Snapshot | None:
    """Return the newest snapshot of a former state directory; None if it has none of this installation's."""
    if former is None:
        return None
    found = [newest_snapshot(former, keys)]
    try:
        sealed = read_facts(former / LEDGER).sealed
        found.append(unseal(sealed, keys.snapshot) if sealed is not None else None)
    except (LedgerError, BadSnapshotError):
        pass
    return max((one for one in found if one is not None), key=lambda one: one.order, default=None)


def _words(change: Change) -> str:
    if change.key is not None:
        return f"key {change.key.id} stays {'made' if change.action == 'create_key' else 'revoked'}"
    return f"rollout {change.rollout} stays at {change.flag.percent:g} %" if change.flag is not None else change.action


def _require_names(manifest: Manifest, source: Source) -> None:
    """Refuse a manifest that names what lies nowhere in a backup, or one file twice."""
    names = [file.name for file in manifest.files]
    strange = [name for name in names if not _is_ours(name)]
    if strange or len(set(names)) != len(names) or LEDGER not in names:
        what = f"it names {strange[0]!r}" if strange else "it names a file twice, or no ledger"
        message = f"{source}/{MANIFEST} is damaged: {what}; nothing was restored"
        raise BackupError(message)


def _is_ours(name: str) -> bool:
    path = PurePosixPath(name)
    return str(path) == name and not path.is_absolute() and not {"..", "."} & set(path.parts) and "\0" not in name


def _require_same(file: Delivered, path: Path, source: Source) -> None:
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        message = f"{source}/{file.name} has {size_bytes:,} bytes, and had {file.size_bytes:,}: nothing was restored"
        raise BackupError(message)
    if digest(path) != file.sha256:
        message = f"{source}/{file.name} is damaged: its SHA-256 is another one; nothing was restored"
        raise BackupError(message)
