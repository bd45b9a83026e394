from __future__ import annotations

import errno
from pathlib import Path

import pytest

from analytics.lake.place import Place
from gateway.cli import Abort
from gateway.cli.delivered import refused, require_apart, require_outside, require_place


def test_a_full_disk_is_said_with_the_place_and_the_remedy():
    said = refused(OSError(errno.ENOSPC, "No space left on device"), "nothing was backed up", "/mnt/backup")

    assert said.startswith("nothing was backed up: there is no room left at /mnt/backup, or in ")
    assert "make room, or name another place" in said


def test_another_error_of_the_system_is_said_with_its_file_and_one_of_ours_as_it_is():
    taken = NotADirectoryError(errno.ENOTDIR, "Not a directory", "/a/file")

    assert refused(taken, "nothing was exported", "/a/file/x") == (
        "nothing was exported: /a/file: Not a directory; a file is in the way: name another place, or move it"
    )
    assert refused(OSError("somebody is writing there"), "nothing was exported", "/a") == "somebody is writing there"
    assert refused(PermissionError(errno.EACCES, "Permission denied"), "nothing was exported", "/a") == (
        "nothing was exported: /a: Permission denied; give this account the right to it, or name another place"
    )
    assert refused(OSError(errno.EIO, "I/O error"), "nothing was exported", "/a") == (
        "nothing was exported: /a: I/O error; name another place"
    )


def test_no_target_lies_in_the_lake_or_the_state_directory_by_whatever_way(tmp_path: Path):
    (tmp_path / "state/lake").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "state/lake")
    lake = Place(url=str(tmp_path / "state/lake"))
    for target in ("state/lake", "state/lake/x", "link/x.tar", "state/run/../lake/x"):
        with pytest.raises(Abort, match="is inside the lake"):
            require_outside(str(tmp_path / target), lake)
    with pytest.raises(Abort, match="is inside the state directory"):
        require_apart(str(tmp_path / "state/x"), tmp_path / "state")
    for target in (str(tmp_path / "stated"), str(tmp_path), "s3://bucket/lake"):
        require_outside(target, lake)
        require_apart(target, tmp_path / "state")
        require_place(target)


@pytest.mark.parametrize("target", ["http://example.com/x", "gs://bucket/x", "file:///x"])
def test_a_url_that_nobody_writes_to_becomes_no_folder(target: str):
    with pytest.raises(Abort, match="is no place that can be written to"):
        require_place(target)
