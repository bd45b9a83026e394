from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.lake.directory import Directory
from analytics.lake.erasure import Erasure, Erasures
from analytics.warehouse import peeked
from analytics.warehouse.evidence import WHOLE_S, Evidence
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import DAY_US, NOW, WINDOW, drawn, gate_row, said_of
from tests.fakes.handmade_lake import AT_US, HandmadeLake

HOURLY = replace(WINDOW, hour_s=3 * 86_400.0)
"""Its present hour has some of the rows, and not all."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def evidence(lake: HandmadeLake, clock: Clock, tmp_path: Path) -> Iterator[Evidence]:
    made = Evidence(tmp_path / "e.duckdb", Directory(lake.root), clock=clock, erasures=tmp_path / "erasures")
    made.look(HOURLY)
    yield made
    made.close()


def users(evidence: Evidence) -> int:
    [(count,)] = evidence.connection.execute("SELECT count(*) FROM evidence_user").fetchall()
    return count


def test_who_failed_is_known_before_the_sums_are_and_counts_once_when_they_are(lake, evidence):
    chance = random.Random(8)
    records = [replace(drawn(chance, number), percent=10.0) for number in range(1, 400)]
    pieces = [said_of(chance, number, chance.choice(records)) for number in range(1, 100)]
    seen = set()
    lake.put(records[:100])
    evidence.fold()
    before = users(evidence)
    for at in range(100, 400, 100):
        lake.put(records[at : at + 50])
        lake.put(records[at + 50 : at + 100], worker="w1")
        lake.put_feedback(pieces[at // 4 - 25 : at // 4])
        evidence.keep_up()

        assert users(evidence) == before
        found = evidence.failing(HOURLY)
        assert found == plain.failing(records[: at + 100], HOURLY, NOW)
        seen.add(found)
    looked = evidence.look(HOURLY)

    assert len(seen) > 1
    assert any(one.candidate > one.hour_candidate > 0 for one in seen.pop())
    assert looked.failing == plain.failing(records, HOURLY, NOW)
    wanted = plain.check_sums(records, pieces[:75], HOURLY, "errors")
    assert looked.checks["errors"].base.requests == wanted.base.requests
    assert evidence.failing(HOURLY) == looked.failing


def test_a_row_that_was_folded_does_not_fail_anew_in_another_file(lake, evidence):
    lake.put([gate_row(1)])
    evidence.fold()
    lake.put([replace(gate_row(1), outcome="interrupted", latency_ms=None), gate_row(2)])
    evidence.keep_up()

    assert sum(one.base for one in evidence.failing(HOURLY)) == 0


def test_a_row_was_folded_when_a_run_of_its_boot_has_its_number():
    known = peeked.Known({}, {("w0", "b0"): [(1, 3), (7, 9)]})

    assert [seq for seq in range(12) if known.is_folded("w0", "b0", seq)] == [1, 2, 3, 7, 8, 9]
    assert not known.is_folded("w0", "b0", None)
    assert not known.is_folded("w1", "b0", 1)


def test_what_reads_sums_folds_what_was_only_seen(lake, evidence):
    lake.put([gate_row(1)])
    lake.put_feedback([said_of(random.Random(1), 1, gate_row(1))])
    evidence.keep_up()
    assert users(evidence) == 0
    evidence.own_references(HOURLY)
    assert users(evidence) == 1
    lake.put_feedback([{**said_of(random.Random(2), 2, gate_row(1)), "thumb": "up", "rating": None}])
    evidence.keep_up()

    assert evidence.look(HOURLY).quality.base_rows == 1


@pytest.mark.parametrize("why", ["late", "clock moved back", "compacted", "erased", "many"])
def test_now_and_then_keeping_up_is_folding(lake, evidence, clock, tmp_path, why):
    lake.put([gate_row(1)])
    evidence.keep_up()
    assert users(evidence) == 0
    if why == "late":
        clock.now += round(WHOLE_S * 1_000_000)
    elif why == "clock moved back":
        clock.now -= 1
    elif why == "compacted":
        lake.compact(NOW + DAY_US)
    elif why == "erased":
        asked = Erasure(id="e1", lake="l", asked_at=AT_US, user_hash=b"a" * 16, pseudonym=b"b" * 16, application="shop")
        Erasures(tmp_path / "erasures").keep(asked)
    else:
        for number in range(peeked.MOST_FILES + 1):
            (lake.root / "incoming" / f"more-{number}.parquet").symlink_to(
                next((lake.root / "incoming").glob("*.parquet"))
            )
    evidence.keep_up()

    assert users(evidence) == 1
