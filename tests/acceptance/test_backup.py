"""A backup of a running installation, restored: nothing is lost, nothing is double, and all answers are the same."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from analytics.lake.alone import CompactionRunningError
from analytics.lake.compact import compact
from analytics.lake.place import Place
from analytics.lake.shipper import Shipper
from analytics.lake.verify import verify
from gateway.cli import main
from tests.acceptance.harness import ROLLOUT, Installation, installed
from tests.fakes.plain import PLAIN


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installation")) as installation:
        installation.set_percent(25)
        yield installation


class Traffic:
    """Requests, one after the other and half of them streamed, with compaction beside them, until it is over."""

    def __init__(self, one: Installation) -> None:
        self._one, self._over = one, threading.Event()
        self.answered: list[str] = []

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(2)
        self._running = [self._pool.submit(self._ask), self._pool.submit(self._compact)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for one in self._running:
            one.result()

    def wait_for(self, count: int) -> None:
        """Wait until so many more were answered."""
        sought = len(self.answered) + count
        while len(self.answered) < sought and not self._over.wait(0.01):
            if any(one.done() for one in self._running):
                pytest.fail("traffic or compaction ended")

    def _ask(self) -> None:
        headers = {"authorization": f"Bearer {self._one.keys['application']}"}
        with httpx.Client(
            base_url=self._one.base_url, headers=headers, trust_env=False, verify=PLAIN, timeout=30
        ) as client:
            for number in itertools.count():
                if self._over.is_set():
                    return
                body = {"model": ROLLOUT, "messages": [{"role": "user", "content": "hi"}], "stream": number % 2 == 0}
                answer = client.post("/chat/completions", json=body, headers={"x-user-id": f"user-{number % 50}"})
                assert answer.status_code == 200
                self.answered.append(answer.headers["x-request-id"])

    def _compact(self) -> None:
        place = Place(url=str(self._one.state_dir / "lake"))
        while not self._over.wait(0.2):
            with suppress(CompactionRunningError):
                compact(place, self._one.state_dir)


def rows(state: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a lake by id, as an export has them."""
    assert main(["lake", "export", "--lake", str(state / "lake"), "--to", str(folder), "--format", "jsonl"]) == 0
    lines = [line for path in (folder / "requests").glob("*.jsonl") for line in path.read_text().splitlines()]
    return {row["request_id"]: row for row in map(json.loads, lines)}


def test_a_backup_taken_under_traffic_and_compaction_is_a_moment_of_the_installation(one: Installation, tmp_path: Path):
    with Traffic(one) as traffic:
        traffic.wait_for(20)
        before = set(traffic.answered)
        done = one.turnout("backup", "--to", str(tmp_path / "backup"))
        assert done.returncode == 0, done.stderr
        traffic.wait_for(5)
    one.settle()
    original = rows(one.state_dir, tmp_path / "original")

    done = one.turnout("restore", "--from", str(tmp_path / "backup"), "--state-dir", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr
    lake, journal = tmp_path / "again/lake", tmp_path / "again/journal"
    assert (found := verify(lake, journal)).sound, found
    assert found.records + found.waiting >= len(before)
    shipper = Shipper(journal, lake)
    shipper.tick()
    shipper.close()
    assert (found := verify(lake, journal)).sound, found
    copy = rows(tmp_path / "again", tmp_path / "copy")
    assert before <= copy.keys() <= original.keys()
    assert all(row == original[name] for name, row in copy.items() if row["outcome"] != "interrupted")
    assert all(row["outcome"] == "ok" for name, row in copy.items() if name in before)


def answers(one: Installation, *words: str) -> Any:
    done = one.turnout(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compared(one: Installation, *words: str) -> str:
    """Return the head-to-head table as people read it, but for when: sums of floats differ behind what is printed."""
    done = one.turnout("report", "compare", *words)
    assert done.returncode == 0, done.stderr
    table, said, _ = done.stdout.partition("Everything that had ended by ")
    assert said
    return table


@pytest.mark.slow
def test_a_restored_installation_answers_as_the_former_one_did(one: Installation, tmp_path: Path):
    with Traffic(one) as traffic:
        traffic.wait_for(20)
    one.settle()
    table, found = compared(one), one.look()

    archive, again = tmp_path / "backup.tar", tmp_path / "again"
    again.mkdir()
    assert one.turnout("backup", "--to", str(archive)).returncode == 0
    moved = one.turnout("restore", "--from", str(archive), "--state-dir", str(again / "state"))
    assert moved.returncode == 0, moved.stderr
    there = ["--state-dir", str(again / "state"), "--direct"]

    assert compared(one, *there) == table
    restored = verify(again / "state/lake", again / "state/journal")
    assert (restored.sound, restored.records, restored.outcomes) == (True, found.records, found.outcomes)
    entries = answers(one, "rollout", "history", "--verify", *there)
    assert (entries["whole"], entries["entries"][0]["action"]) == (True, "restore_backup")


@pytest.mark.slow
def test_a_restored_installation_serves_the_same_users_by_the_same_keys(one: Installation, tmp_path: Path):
    backup, key = tmp_path / "backup", one.keys["application"]
    said = [arm_of(one.base_url, key, f"user-{number}") for number in range(30)]
    assert one.turnout("backup", "--to", str(backup)).returncode == 0
    (tmp_path / "again").mkdir()
    moved = one.turnout("restore", "--from", str(backup), "--state-dir", str(tmp_path / "again/state"))
    assert moved.returncode == 0, moved.stderr

    with installed(tmp_path / "again") as again:
        assert again.keys == one.keys
        assert again.show()["percent"] == 25
        assert {version.partition(".")[0] for version in again.versions()} == {"2"}
        assert [arm_of(again.base_url, key, f"user-{number}") for number in range(30)] == said
        assert again.settle().sound


def arm_of(base_url: str, key: str, user: str) -> str:
    """Ask as a user, and return the arm that answered."""
    body = {"model": ROLLOUT, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key}", "x-user-id": user}
    sent = {"json": body, "headers": headers, "timeout": 30}
    answer = httpx.post(f"{base_url}/chat/completions", **sent, trust_env=False, verify=PLAIN)
    assert answer.status_code == 200
    return answer.headers["x-turnout-arm"]
