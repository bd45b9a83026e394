from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from analytics.lake.delivery import Delivered
from analytics.lake.directory import Directory
from gateway.console.backup_manifest import BackupError, Manifest, sealed, unsealed
from gateway.console.restoring import fetch, require_ledger, trusted
from gateway.settings.secrets import load_master
from tests.fakes.backed_up import backed_up, installation, restored, untold

OTHER = "another-secret-of-32-bytes-and-more-of-them"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    installation(tmp_path / "state")
    backed_up(tmp_path / "state", tmp_path / "backup")
    return tmp_path / "backup"


def refused(backup: Path, said: str, environment: dict[str, str] | None = None) -> None:
    """Restore, and see that it is refused with these words and leaves nothing."""
    target = backup.parent / "target"
    with pytest.raises((BackupError, OSError), match=said):
        restored(backup, target, environment)
    assert not target.exists()
    assert not list(target.parent.glob("target*"))


def manifest_of(backup: Path) -> Manifest:
    return unsealed((backup / "manifest.json").read_bytes(), "here")[0]


def resealed(backup: Path, manifest: Manifest) -> None:
    master = load_master(backup, {}, lambda _: b"", create=False)
    (backup / "manifest.json").write_bytes(sealed(manifest, master))


@pytest.mark.parametrize("name", ["ledger.sqlite", "secret", "queries/costs.json", "journal/host", "first-keys"])
def test_every_file_that_is_damaged_cut_or_missing_is_named(backup: Path, name: str):
    whole = (backup / name).read_bytes()
    if name != "secret":
        (backup / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        refused(backup, f"{name} is damaged")
    (backup / name).write_bytes(whole[:-1])
    refused(backup, f"{name} has .* bytes, and had" if name != "secret" else "was altered, or is damaged|has .* bytes")
    (backup / name).unlink()
    refused(backup, "is missing|was made without the master secret")


def test_a_folder_without_a_manifest_is_no_backup(backup: Path, tmp_path: Path):
    (backup / "manifest.json").unlink()
    refused(backup, "no backup of Turnout, or one that was not finished")
    refused(tmp_path / "nothing", "there is no backup at")


def test_a_manifest_that_was_altered_is_not_believed(backup: Path):
    text = (backup / "manifest.json").read_text()
    (backup / "manifest.json").write_text(text.replace('"epoch":1', '"epoch":7'))

    refused(backup, "was altered, or is damaged")


def test_another_secret_is_refused_and_none_is_asked_for(backup: Path, tmp_path: Path):
    refused(backup, "made with another master secret than TURNOUT_SECRET here", {"TURNOUT_SECRET": OTHER})
    secret = (tmp_path / "state/secret").read_text().strip()
    backed_up(tmp_path / "state", tmp_path / "bare", with_secrets=False)
    refused(tmp_path / "bare", "was made without the master secret; set TURNOUT_SECRET")

    assert restored(tmp_path / "bare", tmp_path / "again", {"TURNOUT_SECRET": secret}).restored.epoch == 2


def test_a_backup_of_a_newer_version_is_refused(backup: Path):
    manifest = manifest_of(backup)
    resealed(backup, replace(manifest, turnout="9.9", schemas={**manifest.schemas, "ledger": 9}))

    refused(backup, "made by Turnout 9.9, whose ledger this one does not read")


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "lake/../../escaped", "a//b", "./a", "a\0b"])
def test_a_manifest_that_leads_elsewhere_is_refused(backup: Path, name: str):
    manifest = manifest_of(backup)
    stray = Delivered(name=name, size_bytes=0, sha256="0" * 64)
    resealed(backup, replace(manifest, files=[*manifest.files, stray]))

    refused(backup, "is damaged: it names")


def test_a_manifest_that_names_a_file_twice_or_no_ledger_is_refused(backup: Path):
    manifest = manifest_of(backup)
    resealed(backup, replace(manifest, files=[*manifest.files, manifest.files[0]]))
    refused(backup, "names a file twice, or no ledger")
    resealed(backup, replace(manifest, files=manifest.files[:1]))
    refused(backup, "names a file twice, or no ledger")


def test_a_ledger_that_says_other_things_than_the_manifest_is_refused(backup: Path):
    resealed(backup, replace(manifest_of(backup), audit_entries=99))

    refused(backup, "does not fit its manifest")


def test_a_foreign_manifest_is_refused(backup: Path):
    (backup / "manifest.json").write_bytes(msgspec.json.encode({"turnout_export": 1, "files": []}))

    refused(backup, "is not the manifest of a backup")


def test_files_that_the_manifest_does_not_name_are_left_where_they_are(backup: Path, tmp_path: Path):
    (backup / "lake/incoming/stray.parquet").write_text("not ours")
    trust = trusted(Directory(backup), {})
    (tmp_path / "into").mkdir()

    fetch(Directory(backup), trust.manifest, tmp_path / "into", tmp_path / "lake", untold)

    assert require_ledger(trust.manifest, tmp_path / "into").fault is None
    assert not list(tmp_path.glob("lake/**/stray.parquet"))
    assert (tmp_path / "into/secret").stat().st_mode & 0o777 == 0o600
    shutil.rmtree(tmp_path / "into")
