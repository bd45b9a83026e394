from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.settings.last_good import LastGood
from gateway.settings.snapshot import Snapshot, seal, unseal
from tests.fakes.proxy import SECRETS, snapshot


def sealed(**changes: Any) -> bytes:
    return seal(snapshot(**changes), SECRETS.snapshot)


def open_seal(given: bytes) -> Snapshot:
    return unseal(given, SECRETS.snapshot)


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path):
    LastGood(tmp_path, "worker-0", open_seal).keep(sealed())

    newest = LastGood(tmp_path, "worker-0", open_seal).newest()
    assert newest is not None
    assert seal(newest, SECRETS.snapshot) == sealed()


def test_only_its_owner_may_read_it(tmp_path: Path):
    before = os.umask(0)
    try:
        LastGood(tmp_path, "worker-0", open_seal).keep(sealed())
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "worker-0.snapshot").stat().st_mode) == 0o600


def test_a_later_snapshot_takes_the_place_of_the_former_and_leaves_no_draft(tmp_path: Path):
    one = LastGood(tmp_path, "worker-0", open_seal)

    one.keep(sealed(version=7))
    one.keep(sealed(version=8))

    assert [path.name for path in tmp_path.iterdir()] == ["worker-0.snapshot"]
    newest = one.newest()
    assert newest is not None
    assert newest.version == 8


def test_a_worker_starts_by_the_newest_copy_of_any_worker(tmp_path: Path):
    for name, order in (("worker-0", (1, 9)), ("worker-1", (2, 1)), ("worker-2", (1, 99))):
        LastGood(tmp_path, name, open_seal).keep(sealed(epoch=order[0], version=order[1]))

    newest = LastGood(tmp_path, "worker-3", open_seal).newest()

    assert newest is not None
    assert newest.order == (2, 1)


def test_a_draft_that_was_never_finished_is_no_snapshot(tmp_path: Path):
    (tmp_path / "worker-0.draft").write_bytes(sealed(version=99))

    assert LastGood(tmp_path, "worker-0", open_seal).newest() is None


@pytest.mark.parametrize("damage", [b"", b"x", sealed()[:-1], sealed(schema=2), seal(snapshot(), b"foreign")])
def test_a_copy_that_cannot_be_trusted_is_passed_over_and_said(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    LastGood(tmp_path, "worker-0", open_seal).keep(sealed(version=3))
    (tmp_path / "worker-1.snapshot").write_bytes(damage)

    newest = LastGood(tmp_path, "worker-2", open_seal).newest()

    assert newest is not None
    assert newest.version == 3
    assert [record.message for record in caplog.records] == ["last good snapshot unusable"]


def test_a_copy_that_cannot_be_read_is_passed_over(tmp_path: Path):
    (tmp_path / "worker-1.snapshot").mkdir()

    assert LastGood(tmp_path, "worker-0", open_seal).newest() is None


def test_without_a_folder_there_is_none(tmp_path: Path):
    assert LastGood(tmp_path / "missing", "worker-0", open_seal).newest() is None


def test_what_cannot_be_written_is_raised_and_the_former_copy_stays(tmp_path: Path):
    one = LastGood(tmp_path, "worker-0", open_seal)
    one.keep(sealed(version=7))
    (tmp_path / "worker-0.draft").mkdir()

    with pytest.raises(OSError, match=r"worker-0\.draft"):
        one.keep(sealed(version=8))

    newest = one.newest()
    assert newest is not None
    assert newest.version == 7
