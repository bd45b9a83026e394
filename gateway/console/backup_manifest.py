"""What a backup says of itself: signed, so that one that was altered, cut or mixed up is not believed.

The manifest comes last and names every file with size and SHA-256. Its signature is made with a key derived from the
master secret: whoever restores has that, from the backup or from the environment.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from analytics import content, feedback, record
from analytics.lake.delivery import Delivered
from gateway.settings import snapshot
from gateway.settings.secrets import derive
from rollout.stores import files

MANIFEST = "manifest.json"
SCHEMA = 1
LEDGER, SECRET, FIRST_KEYS, LAKE_FILE = "ledger.sqlite", "secret", "first-keys", "lake.json"
QUERIES, JOURNAL, LAKE, CONFIG = "queries", "journal", "lake", "config"
"""Files and folders of a backup: those of a state directory, and the configuration beside them."""

SCHEMAS: Mapping[str, int] = {
    "ledger": files.SCHEMA,
    "snapshot": snapshot.SCHEMA,
    "requests": record.SCHEMA,
    "feedback": feedback.SCHEMA,
    "content": content.SCHEMA,
}
"""The versions that this Turnout writes, and the newest that it reads."""

_LABEL = "backup"


class Lake(msgspec.Struct, frozen=True, kw_only=True):
    """The lake: `copied` into the backup with its journal, or left where it is. `url` None: in the state directory."""

    kept: Literal["copied", "left"]
    url: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup, and of which moment (microseconds since 1970 UTC) it is.

    `epoch` and `version` are the ledger's, `audit_head` the last hash of its audit chain of so many entries.
    """

    turnout_backup: int = SCHEMA
    id: str
    made_at: int
    turnout: str
    host: str
    schemas: Mapping[str, int]
    epoch: int
    version: int
    audit_entries: int
    audit_head: str
    has_secret: bool
    config: str | None
    lake: Lake
    files: Sequence[Delivered]


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    manifest: msgspec.Raw
    signature: str


class BackupError(RuntimeError):
    """A backup that is not restored, or was not made; the message says why, and where."""


def sealed(manifest: Manifest, master: bytes) -> bytes:
    """Return the manifest's file."""
    body = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Sealed(manifest=msgspec.Raw(body), signature=_signature(body, master))) + b"\n"


def unsealed(text: bytes, place: str) -> tuple[Manifest, bytes, str]:
    """Read a manifest's file, and return what it says, and its signature with the bytes that it is over.

    Raises:
        BackupError: it is none, or one of a later version.
    """
    try:
        found = msgspec.json.decode(text, type=_Sealed)
        schema = msgspec.json.decode(found.manifest, type=dict[str, msgspec.Raw]).get("turnout_backup")
        if schema is not None and bytes(schema).isdigit() and int(bytes(schema)) > SCHEMA:
            message = f"{place} was made by a newer Turnout; install that one to restore it"
            raise BackupError(message)
        return msgspec.json.decode(found.manifest, type=Manifest), bytes(found.manifest), found.signature
    except msgspec.MsgspecError as error:
        message = f"{place}/{MANIFEST} is not the manifest of a backup, or is damaged: {error}"
        raise BackupError(message) from error


def is_signed(body: bytes, signature: str, master: bytes) -> bool:
    """Tell whether a manifest was signed with this master secret."""
    return hmac.compare_digest(signature.encode(), _signature(body, master).encode())


def newer_parts(manifest: Manifest) -> list[str]:
    """Return what of a backup is of a version that this Turnout does not read."""
    return [name for name, version in manifest.schemas.items() if version > SCHEMAS.get(name, 0)]


def _signature(body: bytes, master: bytes) -> str:
    return hmac.digest(derive(master, _LABEL), body, "sha256").hex()
