from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from analytics.lake.place import MissingPackageError, Place
from analytics.lake.store import Store
from gateway.console.lake_copy import AGAIN_S, Copying, lake_copy
from gateway.settings.last_good import LAKE_COPY, LAKE_FOLDER, LastGood
from gateway.settings.snapshot import Snapshot, seal, unseal
from rollout.stores.ledger import StoreUnavailableError
from tests.fakes.object_server import Bucket, serving_objects
from tests.fakes.proxy import SECRETS, snapshot


def open_seal(sealed: bytes) -> Snapshot:
    return unseal(sealed, SECRETS.snapshot)


def sealed(**changes: Any) -> bytes:
    return seal(snapshot(**changes), SECRETS.snapshot)


class Ledger:
    """A `SnapshotSource` that gives each thing once, or raises it."""

    def __init__(self) -> None:
        self.next: bytes | Exception | None = None
        self.closed = False

    def poll(self) -> bytes | None:
        given, self.next = self.next, None
        if isinstance(given, Exception):
            raise given
        return given

    def close(self) -> None:
        self.closed = True


class Console:
    """A copying with a clock that the test moves."""

    def __init__(self, lake: Place) -> None:
        self.now = 100.0
        self.ledger = Ledger()
        self.raised: list[Snapshot] = []
        self.copy = lake_copy(lake, open_seal)
        self.may = True
        self.copying = Copying(
            self.ledger, self.copy, open_seal, self.raised.append, clock=lambda: self.now, may=lambda: self.may
        )

    def tick(self, given: bytes | Exception | None = None, *, after_s: float = 0.0) -> bytes | None:
        self.now += after_s
        self.ledger.next = given
        self.copying.tick()
        return self.copy.newest_sealed()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving_objects() as serving:
        yield serving


@pytest.fixture
def bucket(port: int) -> Bucket:
    made = Bucket(f"t-{uuid4()}", port)
    made.ask("PUT")
    return made


def far(bucket: Bucket) -> Place:
    return Place(url=f"s3://{bucket.name}/lake", access=bucket.access)


@pytest.fixture(params=["directory", "objects"])
def console(request: pytest.FixtureRequest, tmp_path: Path) -> Console:
    if request.param == "directory":
        return Console(Place(url=str(tmp_path)))
    return Console(far(request.getfixturevalue("bucket")))


def test_each_new_snapshot_is_left_in_the_lake(console: Console):
    assert console.tick() is None

    assert console.tick(sealed(version=8)) == sealed(version=8)
    assert console.tick(sealed(version=9)) == sealed(version=9)
    assert not console.raised


def test_a_directory_has_it_where_gateways_look(tmp_path: Path):
    Console(Place(url=str(tmp_path))).tick(sealed(version=8))

    newest = LastGood(tmp_path / LAKE_FOLDER, "anybody", open_seal).newest()
    assert newest is not None
    assert newest.order == (1, 8)


def test_a_bucket_has_it_under_the_same_name(bucket: Bucket):
    Console(far(bucket)).tick(sealed(version=8))

    assert bucket.store("/lake").read(LAKE_COPY) == sealed(version=8)


def test_a_newer_copy_raises_the_epoch_once_and_is_replaced_by_what_comes_then(console: Console):
    console.copy.keep(sealed(version=9))

    assert console.tick(sealed(version=8)) == sealed(version=9)
    assert [one.order for one in console.raised] == [(1, 9)]

    assert console.tick(sealed(epoch=2, version=1)) == sealed(epoch=2, version=1)
    assert len(console.raised) == 1


@pytest.mark.parametrize("left", [b"", b"no snapshot", sealed(version=7)])
def test_what_is_older_or_no_snapshot_of_this_installation_is_replaced(console: Console, left: bytes):
    console.copy.keep(left)

    assert console.tick(sealed(version=8)) == sealed(version=8)
    assert not console.raised


def test_a_ledger_that_cannot_be_read_is_asked_again(console: Console):
    console.tick(StoreUnavailableError("locked"))

    assert console.tick(sealed(version=8)) == sealed(version=8)


def test_a_lake_that_is_away_is_tried_again_and_said_once(bucket: Bucket, caplog: pytest.LogCaptureFixture):
    nowhere = Place(url="s3://no-such-bucket/lake", access=bucket.access)
    console = Console(nowhere)

    with caplog.at_level(logging.ERROR):
        for given in (sealed(version=8), None, None):
            console.now += AGAIN_S
            console.ledger.next = given
            console.copying.tick()
    assert [line.message for line in caplog.records] == ["no copy of the snapshot in the lake; it is tried again"]

    Bucket("no-such-bucket", bucket.port).ask("PUT")
    assert console.tick() is None
    assert console.tick(after_s=AGAIN_S) == sealed(version=8)


class Bare(Place, frozen=True, kw_only=True):
    """A place on a host where a package is missing."""

    def open(self, spool: Path | None = None) -> Store:
        del spool
        message = "pip install"
        raise MissingPackageError(message)


def test_a_missing_package_is_said_like_a_lake_that_is_away():
    with pytest.raises(OSError, match="pip install"):
        lake_copy(Bare(url="s3://bucket"), open_seal).newest_sealed()


def test_closing_lets_go_of_the_ledger(tmp_path: Path):
    console = Console(Place(url=str(tmp_path)))
    console.copying.close()

    assert console.ledger.closed


def test_a_console_that_is_not_the_writer_leaves_no_copy_until_it_is(tmp_path: Path):
    console = Console(Place(url=str(tmp_path)))
    console.may = False
    assert console.tick(sealed(version=8)) is None

    console.may = True

    assert console.tick() == sealed(version=8)


def test_a_copy_that_became_newer_later_is_not_overwritten_either(tmp_path: Path):
    console = Console(Place(url=str(tmp_path)))
    console.tick(sealed(version=8))
    console.copy.keep(sealed(epoch=2, version=1))

    assert console.tick(sealed(version=9)) == sealed(epoch=2, version=1)
    assert [one.order for one in console.raised] == [(2, 1)]
