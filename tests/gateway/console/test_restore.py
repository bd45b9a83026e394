from __future__ import annotations

import fcntl
import os
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analytics.lake.delivery import TakenError
from analytics.lake.shipper import Shipper
from analytics.lake.verify import verify
from gateway.console.backup_manifest import BackupError
from gateway.console.control import Control
from gateway.console.installation import Installation, master_keys, open_installation
from gateway.console.restore import place_configuration
from gateway.settings.last_good import LastGood
from gateway.settings.snapshot import unseal
from tests.fakes.backed_up import AT_US, backed_up, installation, restored
from tests.fakes.console import SALES, definitions


@pytest.fixture
def state(tmp_path: Path) -> Path:
    installation(tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def backup(state: Path, tmp_path: Path) -> Path:
    backed_up(state, tmp_path / "backup")
    return tmp_path / "backup"


def opened(state: Path) -> Installation:
    return open_installation(state, definitions(), {}, create=False)


def key_of(state: Path, role: str) -> str:
    return next(line.split()[1] for line in (state / "first-keys").read_text().splitlines() if line.startswith(role))


def seen(control: Control) -> dict[str, Any]:
    """Return what must be the same before and after."""
    view = control.show(SALES, with_salt=True)
    whois = [msgspec.to_builtins(one) for one in control.whois("alice")]
    return {"percent": view.percent, "salt": view.salt, "version": view.version, "whois": whois}


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_after_a_restore_everything_is_as_it_was_but_the_epoch(state: Path, tmp_path: Path, name: str):
    place = tmp_path / name
    backed_up(state, place)
    with closing(opened(state)) as one:
        before, entries = seen(one.control), one.ledger.entries()

    done = restored(place, tmp_path / "again")

    with closing(opened(tmp_path / "again")) as one:
        assert seen(one.control) == before
        assert (one.ledger.state().epoch, one.ledger.verify()) == (2, None)
        restore, *rest = one.ledger.entries()
        assert rest == entries
        assert (restore.action, restore.actor, restore.reason) == ("restore_backup", "ops", "restored from a backup")
        assert restore.after["backup"] == done.restored.manifest.id
        for role in ("admin", "application"):
            assert one.control.keys.authenticate(key_of(tmp_path / "again", role)) is not None
    assert (tmp_path / "again/queries/costs.json").read_text() == (state / "queries/costs.json").read_text()
    assert key_of(tmp_path / "again", "admin") == key_of(state, "admin")


def test_records_are_there_once_and_what_was_under_way_is_interrupted(backup: Path, tmp_path: Path):
    restored(backup, tmp_path / "again")
    lake, journal = tmp_path / "again/lake", tmp_path / "again/journal"
    assert (found := verify(lake, journal)).sound, found
    assert (found.records, found.waiting, found.open) == (5, 1, 1)

    shipper = Shipper(journal, lake, lambda: AT_US)
    shipper.tick()
    shipper.close()

    found = verify(lake, journal)
    assert found.sound
    assert found.outcomes == {"ok": 6, "interrupted": 1}


def test_a_running_installation_and_a_directory_in_use_are_refused(state: Path, backup: Path):
    with pytest.raises(TakenError, match="is not empty"):
        restored(backup, state)
    with closing(opened(state)), pytest.raises(BackupError, match="Turnout runs on"):
        restored(backup, state, force=True)
    lock = os.open(state / "serve.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="Turnout runs on"):
            restored(backup, state, force=True)
    finally:
        os.close(lock)
    assert (state / "ledger.sqlite").exists()
    with pytest.raises(TakenError, match="is a file"):
        restored(backup, state / "secret")


def test_a_mount_point_is_refused(backup: Path):
    with pytest.raises(BackupError, match="is a mount point"):
        restored(backup, Path("/"))


def test_force_keeps_the_former_directory_and_what_no_restore_may_undo(state: Path, backup: Path, tmp_path: Path):
    with closing(opened(state)) as one:
        control = one.control
        control.set_percent(SALES, 10, control.show(SALES).version, actor="test")
        later = control.keys.create_key("ops", None, "later", actor="test")
        app = next(key for key in control.keys.list_keys() if key.role == "app")
        control.keys.revoke_key(app.id, actor="test")

    done = restored(backup, state, force=True)
    again = restored(backup, state, force=True)

    assert done.aside == tmp_path / "state-before-restore"
    assert again.aside == tmp_path / "state-before-restore-2"
    assert sorted(done.restored.kept) == sorted(
        [f"key {later.kept.id} stays made", f"key {app.id} stays revoked", f"rollout {SALES} stays at 10 %"]
    )
    with closing(opened(state)) as one:
        assert one.control.show(SALES).percent == 10
        assert one.control.keys.authenticate(later.key) is not None
        assert one.control.keys.authenticate(key_of(state, "application")) is None
        assert one.ledger.state().epoch == 3
    assert (tmp_path / "state-before-restore/ledger.sqlite").exists()


def test_force_raises_the_epoch_above_what_workers_saw_and_minds_no_foreign_directory(
    state: Path, backup: Path, tmp_path: Path
):
    with closing(opened(state)) as one:
        one.control.start(above=8)
        sealed = one.ledger.sealed()
    (state / "run").mkdir()
    key = master_keys(state, {}, create=False).snapshot
    LastGood(state / "run", "worker-0", partial(unseal, signing_key=key)).keep(sealed or b"")
    (state / "ledger.sqlite").write_text("no ledger")
    assert restored(backup, state, force=True).restored.epoch == 10

    other = tmp_path / "other"
    installation(other)
    assert restored(backup, other, force=True).restored.epoch == 2


def test_an_empty_directory_is_taken(backup: Path, tmp_path: Path):
    (tmp_path / "again").mkdir()

    assert restored(backup, tmp_path / "again").aside is None
    assert (tmp_path / "again/ledger.sqlite").exists()
    assert not (tmp_path / "again.unfinished").exists()


def test_the_lake_goes_where_it_was_or_where_it_is_told(state: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    backed_up(state, tmp_path / "backup", lake_url=str(elsewhere))

    assert restored(tmp_path / "backup", tmp_path / "one").lake == str(elsewhere)
    assert verify(elsewhere, tmp_path / "one/journal").records == 5
    assert msgspec.json.decode((tmp_path / "one/lake.json").read_bytes())["url"] == str(elsewhere)
    assert not (tmp_path / "one/lake").exists()
    with pytest.raises(TakenError, match="elsewhere is not empty"):
        restored(tmp_path / "backup", tmp_path / "two")
    assert not (tmp_path / "two").exists()
    restored(tmp_path / "backup", tmp_path / "two", lake=tmp_path / "third")
    assert verify(tmp_path / "third", tmp_path / "two/journal").records == 5
    restored(tmp_path / "backup", tmp_path / "three", lake=tmp_path / "three/lake")
    assert verify(tmp_path / "three/lake", tmp_path / "three/journal").records == 5


def test_a_backup_without_a_lake_brings_none(state: Path, tmp_path: Path):
    backed_up(state, tmp_path / "backup", lake=None, lake_url="s3://bucket/lake")

    assert restored(tmp_path / "backup", tmp_path / "again").lake == "s3://bucket/lake"
    assert msgspec.json.decode((tmp_path / "again/lake.json").read_bytes())["url"] == "s3://bucket/lake"
    assert not (tmp_path / "again/journal").exists()
    with pytest.raises(BackupError, match="has no lake"):
        restored(tmp_path / "backup", tmp_path / "more", lake=tmp_path / "lake")


def test_the_configuration_goes_where_nothing_is(state: Path, tmp_path: Path):
    config = tmp_path / "etc/turnout.toml"
    (config.parent / "prices").mkdir(parents=True)
    config.write_text('[prices]\nfile = "prices/list.json"\n')
    (config.parent / "prices/list.json").write_text("{}")
    backed_up(state, tmp_path / "backup", config=config)
    done = restored(tmp_path / "backup", tmp_path / "again")
    manifest = done.restored.manifest
    target = tmp_path / "new/other.toml"

    assert place_configuration(tmp_path / "again", manifest, target) == str(target)
    assert target.read_text() == config.read_text()
    assert (target.parent / "prices/list.json").read_text() == "{}"
    assert place_configuration(tmp_path / "again", manifest, target) == f"{target}, as it was"
    target.write_text("# mine")
    assert "was left as it is" in (place_configuration(tmp_path / "again", manifest, target) or "")
    assert target.read_text() == "# mine"
    assert place_configuration(tmp_path / "again", msgspec.structs.replace(manifest, config=None), target) is None
