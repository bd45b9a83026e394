from __future__ import annotations

from pathlib import Path

from analytics.lake.needed import ELSEWHERE_S, needed_elsewhere, needed_here

FILES = {
    "incoming/worker-0-b1-000001-0-10.parquet": 0,
    "incoming/worker-0-b1-000002-0-10.parquet": 0,
    "incoming/feedback/worker-0-b1-000002-10-20.parquet": 0,
    "incoming/worker-0-b1-interrupted-7.parquet": 0,
    "incoming/worker-0-b0-000002-0-10.parquet": 0,
    "incoming/worker-0-b0-interrupted-7.parquet": 0,
    "merged/000001-requests.parquet": 0,
}


def test_files_of_segments_that_are_there_are_needed_and_interrupted_ones_of_their_boots(tmp_path: Path) -> None:
    (tmp_path / "worker-0-b1-000002.segment").touch()
    names = list(FILES)

    assert needed_here(tmp_path)(FILES) == {names[1], names[2], names[3]}


def test_where_there_is_no_journal_nothing_is_needed(tmp_path: Path) -> None:
    assert needed_here(tmp_path / "none")(FILES) == set()


def test_files_of_other_hosts_are_needed_for_hours() -> None:
    now_s = ELSEWHERE_S

    def clock() -> int:
        return now_s * 1_000_000

    assert needed_elsewhere(clock)(FILES) == set()
    now_s -= 1
    assert needed_elsewhere(clock)(FILES) == {name for name in FILES if name.startswith("incoming")}
