from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.settling import GRACE_S, Openings, by_boot, dead_boots
from analytics.record import Opened


def test_an_unclosed_request_is_overdue_a_minute_after_its_total_timeout_or_when_its_worker_is_dead(
    opened: Callable[[int], Opened],
) -> None:
    openings = Openings()
    openings.open(opened(2), 7, 1000.0)
    openings.open(opened(1), 8, 1000.0)
    openings.open(opened(3), 6, 1000.0)
    openings.close(3)
    openings.close(99)

    assert (openings.first_seq, openings.first_segment) == (1, 7)
    assert openings.overdue(now_s=1000 + 600 + GRACE_S - 1, is_dead=False) == []
    assert [one.opened.seq for one in openings.overdue(now_s=1000 + 600 + GRACE_S, is_dead=False)] == [1, 2]
    assert [one.opened.seq for one in openings.overdue(now_s=0.0, is_dead=True)] == [1, 2]
    assert (Openings().first_seq, Openings().first_segment) == (None, math.inf)


def test_a_boot_without_a_locked_segment_is_dead_unless_a_new_one_appears(tmp_path: Path) -> None:
    alive, dead = Writer(tmp_path, "w0", "b1"), Writer(tmp_path, "w0", "b2")
    dead.close()
    names = segments(tmp_path)

    assert [boot for boot, _ in by_boot(names)] == [("w0", "b1"), ("w0", "b2")]
    assert dead_boots(tmp_path, names) == {("w0", "b2")}
    (tmp_path / "w0-b2-000002.segment").write_bytes(b"")
    assert dead_boots(tmp_path, names) == set()
    alive.close()
