from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec.structs import asdict, replace

from analytics.evidence import ArmSums, CheckSums, StepEvidence, StepWindow
from analytics.record import Record
from analytics.warehouse.evidence_tables import TABLES
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import NOW, WINDOW, drawn, gate_row, said_of


def same(found: CheckSums | None, wanted: CheckSums) -> None:
    assert found is not None
    assert found.cap == pytest.approx(wanted.cap)
    for mine, its in ((found.base, wanted.base), (found.candidate, wanted.candidate)):
        assert (mine.requests, mine.events) == (its.requests, its.events)
        same_sums(mine, its)


def same_sums(mine: ArmSums, its: ArmSums) -> None:
    assert asdict(mine.x) == pytest.approx(asdict(its.x), abs=1e-12)
    assert (mine.y is None) == (its.y is None)
    if mine.y is not None and its.y is not None:
        assert asdict(mine.y) == pytest.approx(asdict(its.y), abs=1e-12)


def as_plain(found: StepEvidence, records: Sequence[Record], pieces: Sequence[Any], window: StepWindow) -> None:
    """Compare all of a look with what plain Python makes of the same rows."""
    for check in ("errors", "p50", "p99", "ttft", "satisfaction"):
        same(found.checks[check], plain.check_sums(records, pieces, window, check))
    same(found.feedback, plain.check_sums(records, pieces, window, "feedback"))
    assert found.cost is not None
    cost = plain.check_sums(records, pieces, window, "cost")
    same_sums(found.cost.candidate, replace(cost.candidate, events=0))
    assert found.failing == plain.failing(records, window, found.as_of)


def tables(path: Path) -> dict[str, list[Any]]:
    with closing(duckdb.connect(str(path))) as connection:
        return {
            table: sorted(
                connection.execute(f"SELECT * EXCLUDE (step_id) FROM evidence_{table}").fetchall(),
                key=repr,
            )
            for table in TABLES
        }


@pytest.mark.parametrize("seed", range(6))
def test_a_look_says_what_plain_python_makes_of_the_same_rows(seed, lake, opening, tmp_path):
    chance = random.Random(seed)
    records = [drawn(chance, number) for number in range(1, 400)]
    pieces = [said_of(chance, number, chance.choice(records)) for number in range(1, 200)]
    evidence = opening()
    evidence.look(WINDOW)
    order = list(records)
    chance.shuffle(order)
    for at in range(0, len(order), 50):
        lake.put(order[at : at + 50], worker=chance.choice(("w0", "w1")))
        lake.put_feedback(pieces[at // 2 : at // 2 + 25])
        if chance.random() < 0.6:
            evidence.fold()
    evidence.fold()

    as_plain(evidence.look(WINDOW), records, pieces, WINDOW)


def test_rows_that_compaction_carried_elsewhere_count_once_and_a_rebuild_gives_the_same_tables(lake, opening, tmp_path):
    chance = random.Random(11)
    records = [drawn(chance, number) for number in range(1, 300)]
    pieces = [said_of(chance, number, chance.choice(records)) for number in range(1, 150)]
    evidence = opening()
    evidence.look(WINDOW)
    for at in range(0, len(records), 50):
        lake.put(records[at : at + 50])
        lake.put_feedback(pieces[at // 2 : at // 2 + 25])
        if at % 100:
            evidence.fold()
        if at % 150 == 0:
            lake.compact(NOW + at * 1_000_000_000)
    evidence.fold()
    found = evidence.look(WINDOW)
    evidence.close()
    rebuilt = opening("rebuilt.duckdb")
    again = rebuilt.look(WINDOW)
    rebuilt.close()

    as_plain(found, records, pieces, WINDOW)
    as_plain(again, records, pieces, WINDOW)
    assert tables(tmp_path / "evidence.duckdb") == tables(tmp_path / "rebuilt.duckdb")


def test_a_step_whose_window_changes_is_added_up_anew(lake, opening):
    chance = random.Random(5)
    records = [drawn(chance, number) for number in range(1, 200)]
    pieces = [said_of(chance, number, chance.choice(records)) for number in range(1, 100)]
    lake.put(records[:100])
    lake.put_feedback(pieces)
    evidence = opening()
    early = evidence.look(replace(WINDOW, thresholds={}))
    lake.put(records[100:])
    other = replace(WINDOW, thresholds={**WINDOW.thresholds, "p50": (40.0, 100.0)}, rating="rating")
    late = evidence.look(other)

    assert set(early.checks) == {"errors", "satisfaction"}
    as_plain(late, records, pieces, other)


def test_a_row_that_is_in_two_files_counts_once_and_settled_before_interrupted(lake, opening):
    settled = gate_row(1, outcome="ok")
    lake.put([replace(settled, outcome="interrupted", latency_ms=None), gate_row(2)])
    lake.put([settled, gate_row(3)])
    evidence = opening()
    evidence.look(WINDOW)
    lake.put([settled, gate_row(4)])
    evidence.fold()

    found = evidence.look(WINDOW)

    assert (found.checks["errors"].base.requests, found.checks["errors"].base.events) == (4, 0)


def test_users_are_counted_in_the_arm_of_their_first_request(lake, opening):
    user = b"u" * 16
    lake.put(
        [
            gate_row(1, user_hash=user, arm_assigned="candidate"),
            gate_row(2, user_hash=user),
            gate_row(3),
            gate_row(4, arm_assigned="candidate", arm_served="base"),
            gate_row(5, arm_assigned="candidate", arm_served="base", fallback_reason="timeout"),
        ]
    )

    found = opening().look(WINDOW).quality

    assert (found.base_users, found.candidate_users, found.crossed_users) == (1, 3, 1)
    assert (found.base_rows, found.candidate_rows, found.crossed_rows) == (2, 3, 2)
