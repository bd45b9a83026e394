from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from analytics.journal.syncer import Syncer
from analytics.journal.writer import Writer
from analytics.record import Frame, Record


def test_syncing_beside_appends_and_rotations_loses_nothing(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Callable[[Path], list[Frame]]
) -> None:
    writer = Writer(tmp_path, "w0", "b1", segment_bytes=4000)
    with Syncer(writer, every_s=0.0005):
        for seq in range(1, 5001):
            writer.append(closed(seq))
    writer.close()

    assert [frame.seq for frame in frames_in(tmp_path)] == list(range(1, 5001))
    assert (writer.lost, writer.sync_errors) == (0, 0)


def test_the_thread_ends_with_the_block(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    with Syncer(writer, every_s=0.001):
        assert "journal-syncer" in [thread.name for thread in threading.enumerate()]

    assert "journal-syncer" not in [thread.name for thread in threading.enumerate()]
    writer.close()
