from __future__ import annotations

import fcntl
import os
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from analytics.lake.archive import Archive, archiving
from analytics.lake.delivery import TakenError


def body(text: bytes) -> Callable[[Path], None]:
    def fill(path: Path) -> None:
        path.write_bytes(text)

    return fill


def test_an_archive_has_its_name_when_it_is_whole_and_is_read_by_names(tmp_path: Path):
    target = tmp_path / "there" / "a.tar"
    with archiving(target) as archive:
        taken = archive.add("lake/x", body(b"one"))
        assert not target.exists()
        archive.finish("manifest.json", b"{}")

    assert (taken.name, taken.size_bytes) == ("lake/x", 3)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["a.tar"]
    with closing(Archive(target)) as found:
        assert (found.read("lake/x"), found.read("manifest.json"), found.read("other")) == (b"one", b"{}", None)
        assert found.bring("lake/x", tmp_path / "x")
        assert not found.bring("other", tmp_path / "y")
        assert str(found) == str(target)
    assert (tmp_path / "x").read_bytes() == b"one"


def test_what_is_not_finished_is_not_there_and_what_is_there_is_left(tmp_path: Path):
    with archiving(tmp_path / "a.tar") as archive:
        archive.add("x", body(b"one"))
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "a.tar").write_text("another's")
    with pytest.raises(TakenError, match="is there already"), archiving(tmp_path / "a.tar"):
        pass
    assert (tmp_path / "a.tar").read_text() == "another's"


def test_what_a_killed_one_left_is_overwritten_and_what_a_living_one_writes_is_not(tmp_path: Path):
    unfinished = tmp_path / "a.tar.unfinished"
    unfinished.write_text("half " * 10_000)
    other = os.open(unfinished, os.O_RDWR)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TakenError, match="another process"), archiving(tmp_path / "a.tar"):
            pass
    finally:
        os.close(other)
    with archiving(tmp_path / "a.tar") as archive:
        archive.finish("manifest.json", b"{}")

    with closing(Archive(tmp_path / "a.tar")) as found:
        assert found.read("manifest.json") == b"{}"


def test_a_cut_archive_is_refused_and_links_in_one_are_not_there(tmp_path: Path):
    with archiving(tmp_path / "a.tar") as archive:
        archive.add("x", body(b"x" * 50_000))
        archive.finish("manifest.json", b"{}")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:20_000])
    (tmp_path / "none.tar").write_text("no archive")
    for name in ("cut.tar", "none.tar"):
        with pytest.raises(OSError, match="no whole tar archive"):
            Archive(tmp_path / name)

    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        entry = tarfile.TarInfo("secret")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with closing(Archive(tmp_path / "links.tar")) as found:
        assert found.read("secret") is None
