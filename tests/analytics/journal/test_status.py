from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from analytics.journal.status import Status, StatusError, StatusPage, read


def test_a_reader_sees_what_the_worker_set(tmp_path: Path) -> None:
    path = tmp_path / "run" / "worker-0.status"
    page = StatusPage.create(path, boot="0123456789abcdef", pid=4711)
    page.requests += 5
    page.in_flight += 2
    page.in_flight -= 1
    page.lost = 3
    page.content_lost = 5
    page.anonymous += 1
    page.split += 4
    page.change(snapshot_epoch=2, snapshot_version=9, snapshot_taken_at=77, config_source=1, updated_at=88)

    assert read(path) == Status(
        boot="0123456789abcdef",
        pid=4711,
        requests=5,
        in_flight=1,
        lost=3,
        content_lost=5,
        snapshot_epoch=2,
        snapshot_version=9,
        snapshot_taken_at=77,
        config_source=1,
        anonymous=1,
        split=4,
        updated_at=88,
    )
    page.close()


def test_a_new_boot_starts_from_0(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.status"
    former = StatusPage.create(path, boot="b1", pid=1)
    former.requests = 10
    page = StatusPage.create(path, boot="b2", pid=2)

    assert read(path) == Status(boot="b2", pid=2)
    former.close()
    page.close()


def test_a_page_that_died_in_the_middle_of_a_change_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.status"
    page = StatusPage.create(path, boot="b1", pid=1)
    page.cells[1] += 1

    assert read(path).boot == "b1"
    page.close()


@pytest.mark.parametrize("content", [b"", b"short", bytes(168)])
def test_a_file_that_is_no_page_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "worker-0.status"
    path.write_bytes(content)

    with pytest.raises(StatusError, match="restart the worker"):
        read(path)


def test_a_page_without_a_file_counts_and_takes_its_counts_along(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    page = StatusPage.unpublished(boot="b1", pid=4711)
    page.requests += 5
    with pytest.raises(OSError, match="run"):
        page.publish(tmp_path / "run" / "worker-0.status")
    page.lost += 1

    page.publish(tmp_path / "worker-0.status")
    page.requests += 1

    assert read(tmp_path / "worker-0.status") == Status(boot="b1", pid=4711, requests=6, lost=1)
    assert [path.name for path in tmp_path.iterdir() if path.name != "run"] == ["worker-0.status"]
    page.close()


CHANGING = """
import sys, time
from pathlib import Path
from analytics.journal.status import StatusPage
page = StatusPage.create(Path(sys.argv[1]), boot="b1", pid=1)
print("ready", flush=True)
count = 0
while True:
    count += 1
    page.change(snapshot_epoch=count, snapshot_version=count)
    if count % 10 == 0:
        time.sleep(0.00001)
"""


def test_values_changed_together_are_seen_together_from_another_process(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.status"
    with subprocess.Popen([sys.executable, "-c", CHANGING, str(path)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        seen = [read(path) for _ in range(500)]
        worker.kill()

    assert all(status.snapshot_epoch == status.snapshot_version for status in seen)
    assert len({status.snapshot_epoch for status in seen}) > 1
