from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from analytics.lake.delivery import Delivered
from gateway.console.backup_manifest import (
    SCHEMAS,
    BackupError,
    Lake,
    Manifest,
    is_signed,
    newer_parts,
    sealed,
    unsealed,
)

MASTER = b"m" * 32
MANIFEST = Manifest(
    id="ab",
    made_at=1,
    turnout="0.1.0",
    host="here",
    schemas=SCHEMAS,
    epoch=1,
    version=2,
    audit_entries=3,
    audit_head="0" * 64,
    has_secret=True,
    config=None,
    lake=Lake(kept="copied", url=None),
    files=[Delivered(name="ledger.sqlite", size_bytes=1, sha256="0" * 64)],
)


def test_a_manifest_is_read_as_it_was_sealed():
    found, body, signature = unsealed(sealed(MANIFEST, MASTER), "here")

    assert found == MANIFEST
    assert is_signed(body, signature, MASTER)
    assert not is_signed(body, signature, b"n" * 32)


def test_a_manifest_that_was_altered_has_another_signature():
    text = sealed(MANIFEST, MASTER)
    _, body, signature = unsealed(text.replace(b'"size_bytes":1', b'"size_bytes":2'), "here")

    assert not is_signed(body, signature, MASTER)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"turnout_export": 1}', b"\x00\x01", sealed(MANIFEST, MASTER)[:200]])
def test_what_is_no_manifest_is_refused_with_its_place(text: bytes):
    with pytest.raises(BackupError, match=r"there/manifest.json is not the manifest of a backup, or is damaged"):
        unsealed(text, "there")


def test_a_newer_versions_manifest_is_refused_as_such():
    newer = {**msgspec.to_builtins(MANIFEST), "turnout_backup": 2, "files": "something else"}
    text = msgspec.json.encode({"manifest": newer, "signature": "00"})

    with pytest.raises(BackupError, match="made by a newer Turnout"):
        unsealed(text, "there")


def test_parts_of_a_newer_version_are_named():
    assert newer_parts(MANIFEST) == []
    assert newer_parts(replace(MANIFEST, schemas={**SCHEMAS, "ledger": 99, "dreams": 1})) == ["ledger", "dreams"]
