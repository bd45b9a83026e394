"""The watch at 100 % within the controller: what is frozen, what counts once, what is told, and what never moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.baseline import Frozen
from analytics.evidence import ArmSums, FailingUsers
from analytics.lake.place import Place
from analytics.record import uuid7
from gateway.console.gathering import Gathering
from gateway.settings.plan_schema import PlanDefinition, StepDefinition
from gateway.settings.schema import Configuration
from rollout.announcing import notice_of
from rollout.reference import Vigil
from tests.fakes.console import SALES
from tests.fakes.evidence import EQUAL, arm, evidence, sums
from tests.fakes.gate_rows import gate_row
from tests.fakes.handmade_lake import HandmadeLake
from tests.fakes.measured import SHORT, Clocks, Measured, Stage, planned, staged

SOUND, WORSE = arm(600, 20, 0.4), arm(200, 20, 2.0)
DEMO_S = 48.0
"""A dwell whose hour is a second, whose day has twelve."""


def plan(percent: float = 100.0) -> Configuration:
    last = StepDefinition(phase="ga", percent=percent, dwell=None if percent == 100 else "30s")
    beta = StepDefinition(phase="beta", percent=50.0, dwell=f"{DEMO_S:g}s", checks=("errors",))
    return planned(PlanDefinition(steps=(beta, last)))


def measured(now: Callable[[int], ArmSums | None] = lambda _: SOUND) -> Measured:
    frozen = Frozen(cap=20.0, slots=dict.fromkeys(range(84), SOUND))
    return Measured(before={"errors": frozen}, since={"errors": now})


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, plan(), measured=measured()) as made:
        made.tell("start")
        made.tell("advance", "on with it")
        yield made


def vigil(stage: Stage) -> Vigil:
    found = stage.progress.vigil
    assert found is not None
    return found


def test_base_of_the_step_before_is_frozen_once_and_stands_in_the_audit(stage: Stage):
    began_at = stage.progress.since
    stage.pulses(4, every_s=4)
    assert vigil(stage).digest == ""
    stage.pulses(40)

    assert stage.actions() == ["start", "override", "freeze_reference"]
    entry = stage.ledger.entries(rollout=SALES)[0]
    assert entry.after["reference"]["sha256"] == vigil(stage).digest
    assert entry.reason == "base as it was is kept to compare with: 9,000 requests of 900 users in 1 min 24 s"
    frozen = stage.measured.spans[0]
    assert (frozen.arm, frozen.until, frozen.until - frozen.since) == ("base", began_at, 84_000_000)
    assert frozen.thresholds == {"p50": (800.0, 800.0), "p99": (4000.0, 4000.0), "ttft": (90.0, 90.0)}
    assert {span.arm for span in stage.measured.spans[1:]} == {"candidate"}


@pytest.mark.slow
def test_every_hour_counts_once_whatever_console_sees_it(tmp_path: Path):
    clocks, seen = Clocks(), list[int]()

    def now(slot: int) -> ArmSums:
        seen.append(slot)
        return SOUND

    source = measured(now)
    with staged(tmp_path, plan(), measured=source, clocks=clocks) as stage:
        stage.tell("start")
        stage.tell("advance", "on with it")
        stage.pulses(20)
    for _ in range(4):
        clocks.pass_s(7)
        with staged(tmp_path, plan(), measured=source, clocks=clocks) as stage:
            stage.deciding.pulse()
            stage.pulses(10)
    with staged(tmp_path, plan(), measured=source, clocks=clocks) as stage:
        watched = vigil(stage).watched["errors"]

        assert seen == list(range(seen[0], watched.over + 1))
        assert watched.observed == len(seen) > 40
        assert stage.actions().count("freeze_reference") == 1


def test_an_alarm_is_told_once_stands_in_the_audit_and_moves_nothing(stage: Stage):
    bad_until = stage.clocks.wall_us // 1_000_000 + 20
    stage.measured.since = {"errors": lambda slot: WORSE if slot < bad_until else SOUND}
    stage.pulses(120)

    alarms = [entry for entry in stage.ledger.entries(rollout=SALES) if entry.action == "monitor_alarm"]
    assert alarms
    evidence_of = alarms[-1].after["evidence"]
    assert "errors against base as it was: 10.0 %, base had 2.0 %, margin 2.7 %" in evidence_of["summary"]
    assert "never rolls back" in evidence_of["summary"]
    assert evidence_of["checks"][0]["figures"]["level_needed"] == 2160
    notices = [notice_of(entry) for entry in alarms]
    assert {notice.what for notice in notices if notice is not None} == {"monitor_alarm"}
    assert len({notice.identity for notice in notices if notice is not None}) == len(alarms)
    assert (stage.held.flag.percent, stage.progress.standing, stage.progress.verdict) == (100.0, "at_ga", "collecting")
    assert stage.progress.report is not None
    assert stage.progress.report.alarms[-1].startswith("alarm at 2027-01-15 08:0")
    assert "the last alarm was of errors" in stage.progress.report.summary
    assert any("Alarm: errors" in report.summary for report in stage.ledger.reports(SALES, limit=50))
    assert stage.ledger.verify() is None


@pytest.mark.slow
def test_an_alarm_that_could_not_be_written_comes_again(stage: Stage):
    stage.pulses(20)
    stage.measured.since = {"errors": lambda _: WORSE}
    change, tries = stage.control.steering.change, list[int]()

    def refusing(*given, **named) -> None:
        tries.append(1)
        if len(tries) == 1:
            message = "the disk is full"
            raise OSError(message)
        change(*given, **named)

    stage.control.steering.change = refusing
    before = vigil(stage)
    stage.pulses(5)
    assert vigil(stage) == before
    stage.pulses(5)

    assert stage.actions()[-1] == "monitor_alarm"
    assert len(vigil(stage).alarms) == 1


def test_what_cannot_be_seen_is_said_and_seen_later(stage: Stage):
    stage.pulses(20)
    before = vigil(stage)
    passed = stage.measured.passed
    stage.measured.passed = lambda span, frozen: {}[span.rollout]
    stage.pulses(5)
    assert stage.progress.report is not None
    assert "the watch cannot see: KeyError" in stage.progress.report.summary
    assert vigil(stage).watched == before.watched

    stage.measured.passed = passed
    stage.pulses(5)
    assert vigil(stage).watched["errors"].observed == before.watched["errors"].observed + 10
    assert vigil(stage).trouble == ""


@pytest.mark.slow
def test_lost_evidence_holds_and_the_hours_are_observed_afterwards(stage: Stage):
    stage.pulses(20)
    before = vigil(stage).watched["errors"]
    stage.measured.lost = "the lake is away"
    stage.pulses(20)
    assert stage.progress.verdict == "hold"
    assert vigil(stage).watched["errors"] == before
    stage.measured.lost = None
    stage.pulses(5)

    assert vigil(stage).watched["errors"].observed == before.observed + 25


def test_a_window_that_is_renewed_keeps_its_watch_and_a_lost_reference_is_frozen_again(stage: Stage):
    stage.pulses(20)
    before = vigil(stage)
    stage.tell("restart", "a test")
    stage.pulses(5)
    assert (vigil(stage).digest, vigil(stage).until) == (before.digest, before.until)
    assert stage.actions().count("freeze_reference") == 1

    stage.ledger.keep_baseline(SALES, b"{}")
    with_other = replace(vigil(stage), digest="other")
    stage.ledger.keep(SALES, stage.progress, replace(stage.progress, vigil=with_other))
    stage.pulses(10)
    assert stage.actions().count("freeze_reference") == 2
    assert vigil(stage).watched["errors"].observed > before.watched["errors"].observed


def test_where_base_had_nothing_the_gate_says_that_nothing_is_watched(tmp_path: Path):
    with staged(tmp_path, plan(), measured=Measured()) as stage:
        stage.tell("start")
        stage.tell("advance", "on with it")
        stage.pulses(20)

        assert stage.progress.report is not None
        assert "of base there was too little to compare with" in stage.progress.report.summary
        assert stage.progress.report.checks[0].words == "errors: not watched. Base had too little of it"
        assert "nothing is watched" in stage.ledger.entries(rollout=SALES)[0].reason


@pytest.mark.slow
def test_a_rollout_that_goes_back_is_watched_no_more_and_anew_when_it_returns(stage: Stage):
    stage.pulses(20)
    before = vigil(stage)
    stage.control.set_percent(SALES, "50", stage.held.flag.version, actor="ann")
    assert stage.progress.vigil is None
    stage.pulses(20)
    stage.control.set_percent(SALES, "100", stage.held.flag.version, actor="ann")

    assert vigil(stage).digest == ""
    assert vigil(stage).until > before.until
    stage.tell("rollback")
    assert stage.progress.vigil is None


@pytest.mark.slow
def test_beside_a_holdback_nothing_is_frozen_and_a_failure_rolls_back(tmp_path: Path):
    with staged(tmp_path, plan(98.0), measured=measured()) as stage:
        stage.tell("start")
        stage.tell("advance", "on with it")
        stage.measured.evidence = EQUAL
        stage.pulses(100)
        assert (stage.progress.standing, stage.progress.verdict) == ("at_ga", "collecting")
        assert stage.actions() == ["start", "override", *["restart"] * 2]
        assert stage.progress.vigil is None
        kept = [report for report in stage.ledger.reports(SALES, limit=50) if report.gate == "ga"]
        assert {report.verdict for report in kept} == {"collecting"}

        stage.measured.evidence = evidence(errors=sums(1000, 20, 6.0, base_events=0.4))
        stage.pulses(5)
        assert (stage.progress.standing, stage.held.flag.percent) == ("rolled_back", 0.0)


@pytest.mark.slow
def test_beside_a_holdback_fast_kill_rolls_back(tmp_path: Path):
    with staged(tmp_path, planned(replace(SHORT, steps=SHORT.steps[2:])), measured=measured()) as stage:
        stage.tell("start")
        stage.tell("advance", "on with it")
        stage.pulses(5)
        stage.measured.users = (FailingUsers(kind="failure", base=0, candidate=2000, hour_base=0, hour_candidate=2000),)
        stage.pulses(5)

        assert stage.progress.standing == "rolled_back"
        assert stage.progress.report is not None
        assert stage.progress.report.is_fast_kill


@pytest.mark.slow
def test_through_a_lake_a_worse_candidate_alarms_and_every_hour_of_it_was_seen(tmp_path: Path):
    """Rows as workers write them, folded and added up by the real questions; a hundred users ask once a second."""
    lake, clocks = HandmadeLake(tmp_path / "lake"), Clocks()
    numbers = itertools.count()

    def ask(seconds: int, *, failing: int = 1000) -> None:
        rows = []
        for second, user in itertools.product(range(seconds), range(100)):
            number = next(numbers)
            at, arm_of = clocks.wall_us + second * 1_000_000 + user * 10_000, "base" if user % 2 else "candidate"
            rows.append(
                gate_row(
                    number,
                    request_id=uuid7(at, number.to_bytes(10)),
                    started_at=at,
                    rollout=SALES,
                    generation=1,
                    step=stage.held.flag.step,
                    percent=stage.held.flag.percent,
                    arm_assigned="candidate" if stage.held.flag.percent == 100 else arm_of,
                    arm_served="candidate" if stage.held.flag.percent == 100 else arm_of,
                    user_hash=user.to_bytes(16),
                    outcome="upstream_error" if number % failing == 0 else "ok",
                )
            )
        lake.put(rows)
        stage.pulses(seconds)

    gathering = Gathering(Place(url=str(lake.root)), tmp_path / "evidence.duckdb", clock=lambda: clocks.wall_us)
    with staged(tmp_path / "state", plan(), clocks=clocks) as stage:
        stage.control.steering.measuring = gathering
        stage.tell("start")
        ask(90)
        stage.tell("advance", "on with it")
        for _ in range(4):
            ask(10)
        before = vigil(stage)
        watched = before.watched["errors"]
        assert (before.requests, before.users, before.alarms) == (4500, 50, ())
        assert watched.observed == watched.over - before.until // 1_000_000 > 20
        for _ in range(3):
            ask(10, failing=4)
        gathering.close()

        assert "monitor_alarm" in stage.actions()
        assert "errors against base as it was: 25" in vigil(stage).alarms[0].words
        assert stage.held.flag.percent == 100.0
