from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from analytics.lake.delivery import Delivered, Delivery, TakenError
from analytics.lake.store import Access
from gateway.console.backup import back_up, backing_up
from gateway.console.backup_manifest import BackupError, Manifest
from gateway.settings.secrets import SecretError
from rollout.stores.ledger import LedgerMissingError
from rollout.stores.sqlite import open_ledger
from tests.fakes.backed_up import AT_US, backed_up, installation, untold, wanted

SECRET = "a-secret-from-the-environment-of-32-bytes"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    installation(tmp_path / "state")
    return tmp_path / "state"


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_backup_has_all_that_the_installation_is_made_of(state: Path, tmp_path: Path):
    config = tmp_path / "etc/turnout.toml"
    config.parent.mkdir()
    config.write_text('[prices]\nfile = "prices/list.json"\n')
    (config.parent / "prices").mkdir()
    (config.parent / "prices/list.json").write_text("{}")
    made = backed_up(state, tmp_path / "out", config=config)

    there = names(tmp_path / "out")
    assert there == {*(one.name for one in made.files), "manifest.json"}
    assert {"ledger.sqlite", "secret", "first-keys", "queries/costs.json"} <= there
    assert {"config/turnout.toml", "config/prices/list.json", "journal/host"} <= there
    assert [name for name in there if name.startswith("lake/incoming/worker-0-b1-")]
    assert [name for name in there if name.startswith("journal/worker-0-b1-")]
    assert (made.epoch, made.has_secret, made.config) == (1, True, "config/turnout.toml")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0o600, 0o700}


def test_an_archive_holds_the_same(state: Path, tmp_path: Path):
    made = backed_up(state, tmp_path / "out.tar")

    with tarfile.open(tmp_path / "out.tar") as tar:
        assert [one.name for one in tar][-1] == "manifest.json"
        assert sorted(tar.getnames()) == sorted([*(one.name for one in made.files), "manifest.json"])


def test_secrets_and_lake_are_left_out_where_that_is_wished(state: Path, tmp_path: Path):
    made = backed_up(state, tmp_path / "out", with_secrets=False, lake=None)

    there = names(tmp_path / "out")
    assert not there & {"secret", "first-keys"}
    assert not [name for name in there if name.startswith(("lake/", "journal/"))]
    assert (made.has_secret, made.lake.kept) == (False, "left")
    secret = (state / "secret").read_bytes().strip()
    assert not [name for name in there if secret in (tmp_path / "out" / name).read_bytes()]


def test_an_installation_whose_secret_is_a_variable_is_backed_up_without_it(tmp_path: Path):
    environment = {"TURNOUT_SECRET": SECRET}
    installation(tmp_path / "state", environment)

    assert not backed_up(tmp_path / "state", tmp_path / "out", environment).has_secret
    with pytest.raises(SecretError, match="secret is missing"):
        backed_up(tmp_path / "state", tmp_path / "more")
    with pytest.raises(BackupError, match="another master secret"):
        backed_up(tmp_path / "state", tmp_path / "more", {"TURNOUT_SECRET": SECRET[::-1]})
    assert not (tmp_path / "more").exists()


def test_a_ledger_that_is_not_to_be_trusted_is_not_backed_up(state: Path, tmp_path: Path):
    with closing(sqlite3.connect(state / "ledger.sqlite")) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_never_altered")
        connection.execute("UPDATE audit SET reason = 'forged' WHERE number = 2")

    with pytest.raises(BackupError, match="audit entry 2 was altered"):
        backed_up(state, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_never_started_is_not_backed_up(state: Path, tmp_path: Path):
    (state / "ledger.sqlite").unlink()
    with pytest.raises(LedgerMissingError):
        backed_up(state, tmp_path / "out")
    open_ledger(state, clock=lambda: AT_US).close()
    with pytest.raises(BackupError, match="has no snapshot yet"):
        backed_up(state, tmp_path / "out")


def test_a_place_that_is_taken_is_left_as_it_is(state: Path, tmp_path: Path):
    backed_up(state, tmp_path / "out")
    before = names(tmp_path / "out")

    with pytest.raises(TakenError, match="is not empty"):
        backed_up(state, tmp_path / "out")
    assert names(tmp_path / "out") == before


class Losing:
    """A delivery that misses the lake's files so many times, as if they had been compacted and removed meanwhile."""

    def __init__(self, delivery: Delivery, times: int) -> None:
        self._delivery, self.left = delivery, times

    def add(self, name: str, fill: Callable[[Path], None], *, private: bool = False) -> Delivered:
        if self.left and name.startswith("lake/"):
            self.left -= 1
            raise FileNotFoundError(name)
        return self._delivery.add(name, fill, private=private)

    def finish(self, name: str, manifest: bytes) -> None:
        self._delivery.finish(name, manifest)


def backed_up_losing(state: Path, to: Path, times: int) -> Manifest:
    with backing_up(str(to), Access()) as delivery:
        return back_up(Losing(delivery, times), wanted(state), {}, at=AT_US, host="here", tell=untold)


def test_a_file_that_went_away_meanwhile_is_looked_for_again_and_at_last_given_up(state: Path, tmp_path: Path):
    made = backed_up_losing(state, tmp_path / "out", 2)

    assert [one.name for one in made.files if one.name.startswith("lake/incoming/worker-0-b1-")]
    with pytest.raises(BackupError, match="went away 5 times"):
        backed_up_losing(state, tmp_path / "never", 5)
    assert not (tmp_path / "never").exists()
