"""Simulated traffic through the real lake and the real SQL, feedback up to a day and a half late, to its verdicts."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict, replace

from analytics.evidence import CheckSums
from analytics.lake.directory import Directory
from analytics.record import Record
from analytics.warehouse.evidence import Evidence
from benchmarks.gates.rows import Habits, Village, arrivals
from benchmarks.gates.steps import HOUR_S, step
from rollout.gate import judge
from rollout.phase import FrozenStep, Margin, step_window
from rollout.verdict import GateReport, Look, Watch
from tests.fakes import plain_evidence as plain
from tests.fakes.handmade_lake import AT_US, HandmadeLake

pytestmark = pytest.mark.slow

DWELL_H = 48.0
TICKS = 16
CHECKS = ("errors", "p99", "satisfaction")
STEP = replace(
    step(
        50.0,
        DWELL_H,
        {
            "errors": Margin(relative=0.5, absolute=0.02, alpha=0.01),
            "p99": Margin(ratio=2.0, min_requests=2000, alpha=0.004),
            "satisfaction": Margin(absolute=0.08, min_requests=300),
        },
    ),
    rollout="chat",
    references={"p99": 1800.0},
    started_at=AT_US,
)


def same(found: CheckSums | None, wanted: CheckSums) -> None:
    assert found is not None
    assert found.cap == pytest.approx(wanted.cap)
    for mine, its in ((found.base, wanted.base), (found.candidate, wanted.candidate)):
        assert (mine.requests, mine.events) == (its.requests, its.events)
        assert asdict(mine.x) == pytest.approx(asdict(its.x), abs=1e-9)


def played(folder: Path, village: Village, frozen: FrozenStep, seed: int) -> list[GateReport]:
    """Fold, look and judge tick by tick, comparing each look with plain Python over all that has arrived."""
    lake, window, now = HandmadeLake(folder / "lake"), step_window(frozen), [AT_US]
    watch, reports = Watch(), list[GateReport]()
    records, pieces = list[Record](), list[dict[str, Any]]()
    with closing(Evidence(folder / "evidence.duckdb", Directory(lake.root), clock=lambda: now[0])) as evidence:
        for arrived in arrivals(seed, village, frozen, hours=2 * DWELL_H, ticks=TICKS):
            records += arrived.records
            pieces += arrived.feedback
            lake.put(arrived.records)
            lake.put_feedback(arrived.feedback)
            now[0] = AT_US + round(arrived.hour * HOUR_S * 1e6)
            evidence.fold()
            found = evidence.look(window)
            for check in CHECKS:
                same(found.checks[check], plain.check_sums(records, pieces, window, check))
            look: Look = 1 if arrived.hour == DWELL_H else 2 if arrived.hour == 2 * DWELL_H else 0
            report, watch = judge(frozen, watch, found, at=now[0], running_s=arrived.hour * HOUR_S, look=look)
            reports.append(report)
            if report.verdict in {"fail", "pass"}:
                break
    return reports


def test_an_equal_candidate_passes_at_a_look(tmp_path: Path):
    reports = played(tmp_path, Village(), STEP, seed=1)

    assert reports[-1].verdict == "pass", reports[-1]
    assert reports[-1].look
    assert {report.verdict for report in reports[:-1]} == {"collecting"}


@pytest.mark.parametrize(
    ("candidate", "failing"),
    [
        (Habits(rate=0.12), "errors"),
        (Habits(wait_ms=1200.0), "p99"),
        (Habits(unhappy=0.4), "satisfaction"),
    ],
)
def test_a_worse_candidate_is_rolled_back_for_what_is_worse(tmp_path: Path, candidate: Habits, failing: str):
    last = played(tmp_path, Village(candidate=candidate), STEP, seed=2)[-1]

    assert last.verdict == "fail", last
    assert failing in {report.check for report in last.checks if report.verdict == "fail"}
