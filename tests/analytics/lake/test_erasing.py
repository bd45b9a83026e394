from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from analytics.lake.directory import Directory
from analytics.lake.erasing import Erasing
from analytics.lake.erasure import Erasure
from analytics.lake.manifest import read_manifest
from analytics.lake.verify import verify
from analytics.warehouse.database import Warehouse
from tests.fakes.erasable_lake import (
    ANN,
    ASKED_US,
    BOB,
    CANARY,
    DAY_US,
    PSEUDONYM,
    ErasableLake,
    erasure,
    holding,
    parquet,
    request,
)

WORDS = (CANARY.encode(), ANN)
STAY = ("request_id", "started_at", "rollout", "cost_usd", "response_id", "seq")


@pytest.fixture
def lake(tmp_path: Path) -> ErasableLake:
    return ErasableLake(tmp_path / "lake")


def look(lake: Path, one: Erasure, *, is_whole: bool = True) -> Erasure:
    erasing = Erasing(Directory(lake), lake / "scratch")
    try:
        return erasing.look(one, lambda _: None, is_whole=is_whole)
    finally:
        erasing.close()


def asked(lake: Path, question: str) -> list[Any]:
    warehouse = Warehouse(Directory(lake))
    try:
        with warehouse.connection() as connection:
            return connection.execute(question).fetchall()
    finally:
        warehouse.close()


def everything(lake: Path) -> dict[str, list[dict[str, Any]]]:
    return {str(path.relative_to(lake)): parquet(path) for path in sorted(lake.rglob("*.parquet"))}


SUMS = """
SELECT count(*), count(DISTINCT user_hash), sum(cost_usd), count(DISTINCT request_id),
    (SELECT sum(positive) FROM ratings), list(n ORDER BY n)
FROM requests JOIN (SELECT user_hash, count(*) AS n FROM requests GROUP BY ALL) USING (user_hash)
"""


def test_nothing_of_the_user_is_in_any_file_afterwards_and_every_sum_is_as_it_was(
    lake: ErasableLake, tmp_path: Path
) -> None:
    before, sums = everything(lake.root), asked(lake.root, SUMS)
    kinds = {name.partition("/")[0] for name in holding(lake.root, *WORDS)}
    assert kinds == {"incoming", "merged", "requests", "content"}
    done = look(lake.root, erasure(lake.root))
    after = everything(lake.root)

    assert holding(lake.root, *WORDS) == []
    assert asked(lake.root, SUMS) == sums
    assert after.keys() == before.keys()
    for name, rows in after.items():
        if not name.startswith("content"):
            assert [[row.get(one) for one in STAY] for row in rows] == [
                [row.get(one) for one in STAY] for row in before[name]
            ]
    assert (done.requests, done.contents) == (8, 3)
    assert done.files == len(done.rewritten) == len([name for name in before if before[name] != after[name]])
    assert verify(lake.root, tmp_path / "journal", sleep=lambda _: None).duplicate_request_ids == 0


def test_others_rows_stay_as_they_are(lake: ErasableLake) -> None:
    def of_bob() -> list[Any]:
        files = everything(lake.root).items()
        return [(name, row) for name, rows in files for row in rows if row.get("user_hash") == BOB]

    before = of_bob()
    look(lake.root, erasure(lake.root))

    assert of_bob() == before
    assert [row["body"] for rows in everything(lake.root).values() for row in rows if "body" in row] == [
        b"bob's own words",
        b"bob's own words",
    ]


def test_feedback_stays_with_the_request_that_it_is_about(lake: ErasableLake) -> None:
    look(lake.root, erasure(lake.root))

    [(user,)] = asked(lake.root, "SELECT user_hash FROM requests JOIN feedback USING (request_id)")
    assert user == PSEUDONYM


def test_one_application_may_be_meant_alone(lake: ErasableLake) -> None:
    lake.put([request(180_010, ANN, application="shop")])
    done = look(lake.root, erasure(lake.root, application="shop"))

    assert (done.requests, done.contents, done.files) == (1, 0, 1)
    assert asked(lake.root, "SELECT DISTINCT application FROM requests WHERE user_hash = 'nobody-knows-who'::BLOB") == [
        ("shop",)
    ]


def test_what_the_user_does_later_is_new(lake: ErasableLake) -> None:
    lake.put([request(ASKED_US // 1_000_000, ANN, started_at=ASKED_US + 1)])
    look(lake.root, erasure(lake.root))

    assert asked(lake.root, "SELECT count(*) FROM requests WHERE user_hash = 'ann-ann-ann-hash'::BLOB") == [(1,)]


def test_looking_again_changes_nothing(lake: ErasableLake) -> None:
    first = look(lake.root, erasure(lake.root))
    stamps = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")}
    again = look(lake.root, first)

    assert again == first
    assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")} == stamps


def test_what_is_sealed_later_is_erased_by_the_next_look(lake: ErasableLake) -> None:
    first = look(lake.root, erasure(lake.root, looked_at=ASKED_US))
    lake.put([request(170_000, ANN)])
    lake.put_content(
        [lake.piece(9, "answer", ANN), lake.piece(10, "comment", None, request_id=request(1, ANN).request_id)]
    )
    second = look(lake.root, first, is_whole=False)
    third = look(lake.root, second)

    assert (second.requests, second.contents) == (third.requests, third.contents) == (9, 5)
    assert holding(lake.root, *WORDS) == []


def test_a_compaction_afterwards_finds_nothing_of_the_user(lake: ErasableLake) -> None:
    look(lake.root, erasure(lake.root))
    lake.compact(ASKED_US + 5 * DAY_US)

    assert holding(lake.root, *WORDS) == []
    assert asked(lake.root, "SELECT count(*) FROM requests WHERE user_hash = 'nobody-knows-who'::BLOB") == [(8,)]


def test_the_manifest_knows_the_sizes(lake: ErasableLake) -> None:
    look(lake.root, erasure(lake.root))

    manifest = read_manifest(lake.lake.store)
    for parts in manifest.parts.values():
        for part in parts:
            assert part.size_bytes == (lake.root / part.name).stat().st_size


class StoppedError(Exception):
    """It was stopped where a test wanted it."""


class Stopping(Directory):
    """A directory that takes so many changes and no more."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self.left = changes

    def place(self, name: str, fill: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoppedError
        super().place(name, fill)


def test_whoever_was_stopped_anywhere_ends_in_the_same_state(lake: ErasableLake, tmp_path: Path) -> None:
    shutil.copytree(lake.root, tmp_path / "whole")
    whole = look(tmp_path / "whole", erasure(lake.root))
    for changes in range(100):
        root, kept = tmp_path / f"stopped-{changes}", [erasure(lake.root)]
        shutil.copytree(lake.root, root)
        erasing = Erasing(Stopping(root, changes), tmp_path / "scratch")
        try:
            erasing.look(kept[-1], kept.append, is_whole=True)
        except StoppedError:
            assert asked(root, "SELECT count(*) FROM requests") == asked(lake.root, "SELECT count(*) FROM requests")
            assert look(root, kept[-1]) == whole
            assert everything(root) == everything(tmp_path / "whole")
        else:
            assert changes > 5
            break
        finally:
            erasing.close()
