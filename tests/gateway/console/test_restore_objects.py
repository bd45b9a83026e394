"""Backups in buckets, and of lakes in buckets."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from analytics.lake.delivery import TakenError
from analytics.lake.place import Place
from analytics.lake.shipper import Shipper
from analytics.lake.verify import verify
from gateway.console.backup_manifest import BackupError
from gateway.console.restore import Outcome, Target, opened, restore
from tests.fakes.backed_up import AT_US, backed_up, installation, untold
from tests.fakes.object_server import Bucket, serving_objects


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serving_objects() as port:
        yield port


@pytest.fixture
def bucket(server: int) -> Bucket:
    made = Bucket(f"t-{uuid.uuid4()}", server)
    made.ask("PUT")
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    installation(tmp_path / "state")
    return tmp_path / "state"


def from_bucket(bucket: Bucket, state: Path, lake: Place | None = None) -> Outcome:
    with opened(f"s3://{bucket.name}/backup", bucket.access) as source:
        return restore(source, Target(state_dir=state, lake=lake, access=bucket.access), {}, "ops", untold)


def test_a_backup_in_a_bucket_is_restored_and_one_that_was_not_finished_is_refused(
    state: Path, bucket: Bucket, tmp_path: Path
):
    url = f"s3://{bucket.name}/backup"
    backed_up(state, url, access=bucket.access)

    assert from_bucket(bucket, tmp_path / "again").restored.epoch == 2
    assert verify(tmp_path / "again/lake", tmp_path / "again/journal").records == 5
    with pytest.raises(TakenError, match="is not empty"):
        backed_up(state, url, access=bucket.access)
    store = bucket.store("/backup")
    store.remove("lake.json")
    store.remove("queries/costs.json")
    with pytest.raises(BackupError, match=r"/backup/queries/costs\.json is missing"):
        from_bucket(bucket, tmp_path / "more")
    store.remove("manifest.json")
    with pytest.raises(BackupError, match="not finished"):
        from_bucket(bucket, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_a_lake_in_a_bucket_is_copied_where_that_is_wished_and_restored_to_another(
    state: Path, bucket: Bucket, tmp_path: Path
):
    shutil.rmtree(state / "lake")
    place = Place(url=f"s3://{bucket.name}/lake", access=bucket.access)
    shipper = Shipper(state / "journal", bucket.store("/lake", state / "journal/outbox"), lambda: AT_US)
    shipper.tick()
    shipper.close()
    backed_up(state, f"s3://{bucket.name}/backup", access=bucket.access, lake=place, lake_url=place.url)

    with pytest.raises(BackupError, match="name another place for the lake with --lake"):
        from_bucket(bucket, tmp_path / "again")
    target = Place(url=f"s3://{bucket.name}/new", access=bucket.access)
    done = from_bucket(bucket, tmp_path / "again", target)

    assert done.lake == target.url
    assert msgspec.json.decode((tmp_path / "again/lake.json").read_bytes())["url"] == target.url
    assert not (tmp_path / "again/lake").exists()
    before = verify(bucket.store("/lake"), state / "journal")
    after = verify(bucket.store("/new"), tmp_path / "again/journal")
    assert (before.records, before.outcomes, before.sound) == (after.records, after.outcomes, after.sound)
    assert after.sound
