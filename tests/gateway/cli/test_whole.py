from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.whole import write_whole


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond it, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_for_which_there_is_no_room_stays_what_it_was(tmp_path: Path):
    (tmp_path / "kept.csv").write_text("of yesterday")
    for name in ("kept.csv", "new.csv"):
        with no_file_larger_than(1024), pytest.raises(OSError, match="too large"):
            write_whole(tmp_path / name, b"x" * 4000)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept.csv", "of yesterday")]


def test_a_link_stays_one_and_the_file_behind_it_keeps_its_rights(tmp_path: Path):
    kept, link = tmp_path / "kept.csv", tmp_path / "link.csv"
    kept.write_text("of yesterday")
    kept.chmod(0o640)
    link.symlink_to(kept)
    write_whole(link, b"of today")

    assert (kept.read_text(), kept.stat().st_mode & 0o777, link.is_symlink()) == ("of today", 0o640, True)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pipe_takes_what_comes(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(tmp_path / "pipe", b"rows")
        assert os.read(reader, 10) == b"rows"
    finally:
        os.close(reader)
