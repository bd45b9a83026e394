from __future__ import annotations

import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from analytics.lake.directory import Directory
from analytics.lake.fetch import Fetch, main
from analytics.lake.store import StoreAwayError

NAME = "snapshots/console.snapshot"
PATIENCE_S = 15.0


class Lake(Directory):
    """A lake that may be away."""

    is_away = False

    def read(self, name: str) -> bytes | None:
        if self.is_away:
            message = "the store is away"
            raise StoreAwayError(message)
        return super().read(name)


class Bench:
    """A fetch from one folder into another, with what it says."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "lake" / NAME
        self.source.parent.mkdir(parents=True)
        self.lake = Lake(folder / "lake")
        self.into = folder / "into"
        self.said: list[tuple[str, str]] = []
        self.fetch = Fetch(self.lake, NAME, self.into, self._say)

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        assert fields["file"] == NAME
        self.said.append((level, event))

    def appear(self, content: bytes) -> None:
        """Put the file there as the lake's writers do: whole at once."""
        unfinished = self.source.with_suffix(".unfinished")
        unfinished.write_bytes(content)
        unfinished.rename(self.source)

    @property
    def here(self) -> bytes | None:
        path = self.into / NAME
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_the_lake_has_comes_whole_and_for_its_owner_alone(bench: Bench):
    assert not bench.fetch.once()
    assert bench.here is None

    bench.source.write_bytes(b"first")
    assert bench.fetch.once()
    assert bench.here == b"first"
    assert stat.S_IMODE((bench.into / NAME).parent.stat().st_mode) == 0o700

    bench.source.write_bytes(b"second")
    assert bench.fetch.once()
    assert bench.here == b"second"


def test_what_is_here_already_is_not_written_again(bench: Bench):
    bench.source.write_bytes(b"first")
    bench.fetch.once()
    before = (bench.into / NAME).stat().st_ino

    assert bench.fetch.once()
    assert (bench.into / NAME).stat().st_ino == before


def test_it_is_tried_until_it_is_there_and_what_is_wrong_is_said_once(bench: Bench):
    bench.lake.is_away = True
    stop = threading.Event()
    thread = threading.Thread(target=bench.fetch.run, args=(stop, 0.01))
    thread.start()
    try:
        wait_until(lambda: bench.said == [("warning", "copy_not_fetched")])
        bench.lake.is_away = False
        wait_until(lambda: bench.said[1:] == [("info", "copy_fetched")])
        bench.appear(b"at last")
        wait_until(lambda: bench.here == b"at last")
    finally:
        stop.set()
        thread.join()


def wait_until(is_so: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_command_says_by_its_status_whether_there_was_one(bench: Bench, capfd: pytest.CaptureFixture[str]):
    words = ["--lake", str(bench.source.parent.parent), "--name", NAME, "--into", str(bench.into)]
    assert main(words) == 3

    bench.source.write_bytes(b"first")
    done = subprocess.run([sys.executable, "-m", "analytics.lake.fetch", *words], check=False)
    assert (done.returncode, bench.here) == (0, b"first")

    bench.source.unlink()
    bench.source.mkdir()
    assert main(words) == 1
    assert "Is a directory" in capfd.readouterr().err
