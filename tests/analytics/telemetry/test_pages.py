from __future__ import annotations

from pathlib import Path

from analytics.journal.status import SOURCES, StatusPage
from analytics.telemetry.exposition import exposition
from analytics.telemetry.pages import Pages

NOW = 1_790_000_000_000_000


def page(path: Path, **values: int) -> None:
    made = StatusPage.create(path, boot="b1", pid=1)
    made.change(**values)
    made.close()


def told(directory: Path) -> tuple[Pages, set[str]]:
    pages = Pages(directory, SOURCES)
    return pages, {line for line in exposition(pages.families(NOW)).splitlines() if not line.startswith("#")}


def test_a_page_is_told_with_its_workers_name(tmp_path: Path) -> None:
    page(
        tmp_path / "worker-0.status",
        in_flight=3,
        lost=4,
        journal_trouble=2,
        content_lost=5,
        snapshot_epoch=1,
        snapshot_version=17,
        snapshot_taken_at=NOW - 90_000_000,
        config_source=2,
        stale=1,
        updated_at=NOW - 250_000,
    )
    page(tmp_path / "worker-1.status", updated_at=NOW, snapshot_taken_at=NOW + 5_000_000)
    _, lines = told(tmp_path)

    assert lines >= {
        'turnout_in_flight_requests{worker="worker-0"} 3',
        'turnout_journal_lost_frames_total{worker="worker-0"} 4',
        'turnout_journal_trouble{worker="worker-0"} 2',
        'turnout_content_lost_total{worker="worker-0"} 5',
        'turnout_snapshot_epoch{worker="worker-0"} 1',
        'turnout_snapshot_version{worker="worker-0"} 17',
        'turnout_snapshot_age_seconds{worker="worker-0"} 90',
        'turnout_snapshot_source{worker="worker-0",source="redis"} 1',
        'turnout_snapshot_stale{worker="worker-0"} 1',
        'turnout_snapshot_stale{worker="worker-1"} 0',
        'turnout_worker_page_age_seconds{worker="worker-0"} 0.25',
        'turnout_in_flight_requests{worker="worker-1"} 0',
        'turnout_snapshot_age_seconds{worker="worker-1"} 0',
        "turnout_journal_lost_frames_earlier 0",
    }


def test_losses_of_workers_that_are_gone_are_added_up(tmp_path: Path) -> None:
    page(tmp_path / "worker-0.b0.ended", lost=4)
    page(tmp_path / "worker-1.b0.ended", lost=3)
    _, lines = told(tmp_path)

    assert lines == {"turnout_journal_lost_frames_earlier 7"}


def test_a_page_that_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "worker-0.status").write_text("no page")
    page(tmp_path / "worker-1.status", config_source=99)
    pages, lines = told(tmp_path)

    assert pages.troubles == 1
    assert 'turnout_snapshot_source{worker="worker-1",source="(other)"} 1' in lines
    assert not [line for line in lines if "worker-0" in line]


def test_without_workers_nothing_is_told_of_them(tmp_path: Path) -> None:
    _, lines = told(tmp_path / "missing")

    assert lines == {"turnout_journal_lost_frames_earlier 0"}
