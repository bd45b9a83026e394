from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from analytics.forecast import Week
from analytics.references import References
from gateway.console.control import Control
from gateway.console.errors import ConflictedError
from gateway.console.measuring import EvidenceLostError, Unmeasured
from gateway.errors import ApiError, BadRequestError, NotFoundError
from rollout.moves import Wish
from tests.fakes.console import SALES, opened, opened_with_ledger
from tests.fakes.measured import Measured
from tests.fakes.plans import said

WEEK = References(latencies={"p50": 200.0, "p99": 900.0}, rating="rating")


class Remembering(Unmeasured):
    """References of a good week, and what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def references(self, rollout: str, generation: int, at: int) -> References:
        """Return the same, whenever it is."""
        del at
        self.asked.append((rollout, generation))
        return WEEK


class Lost(Unmeasured):
    """A lake that is away."""

    def references(self, rollout: str, generation: int, at: int) -> References:
        """Refuse."""
        message = "the lake is away"
        raise EvidenceLostError(message)


def tell(control: Control, wish: Wish, reason: str = "", **more: str) -> None:
    control.steering.tell(SALES, wish, control.show(SALES).version, actor="ann", reason=reason, **more)


def test_a_start_freezes_the_references_of_the_week_before(control: Control):
    control.steering.measuring = measuring = Remembering()
    tell(control, "start")

    view = control.show(SALES)
    assert (view.percent, view.controller.standing, view.controller.phase) == (5.0, "running", "canary")
    frozen = control.history(SALES).entries[0].after["frozen"]
    assert (frozen["references"], frozen["rating"]) == ({"p50": 200.0, "p99": 900.0}, "rating")
    assert measuring.asked == [(SALES, 1)]


def test_a_step_takes_its_own_references_where_the_lake_is_away(control: Control):
    control.steering.measuring = Lost()
    tell(control, "start")

    frozen = control.history(SALES).entries[0].after["frozen"]
    assert frozen["references"] == {"p50": None, "p99": None, "ttft": None}


def test_a_rollback_and_a_pause_ask_no_lake(control: Control):
    tell(control, "start")
    control.steering.measuring = measuring = Remembering()
    tell(control, "pause")
    tell(control, "rollback")

    assert measuring.asked == []
    assert control.show(SALES).percent == 0.0


def test_every_wish_is_told_and_the_chain_of_the_audit_is_whole(control: Control):
    tell(control, "start")
    tell(control, "pause", "lunch")
    tell(control, "resume")
    tell(control, "advance", "in a hurry")
    tell(control, "restart", "new traffic")
    tell(control, "rollback")

    history = control.history(SALES, verify=True)
    assert [entry.action for entry in reversed(history.entries)][1:] == [
        "start",
        "pause",
        "resume",
        "override",
        "restart",
        "roll_back",
    ]
    assert history.whole
    assert len(control.show(SALES).controller.overrides) == 1


def test_a_start_can_be_scheduled(control: Control):
    tell(control, "start", start_at="2099-12-01T08:00:00Z")

    assert control.show(SALES).controller.standing == "scheduled"
    assert control.show(SALES).percent == 0.0


@pytest.mark.parametrize(
    ("wish", "more", "sentence"),
    [
        ("start", {"start_at": "tomorrow"}, "'tomorrow' is no moment"),
        (
            "start",
            {"start_at": "2020-12-01T08:00:00Z"},
            "'2020-12-01T08:00:00Z' is past; name a later moment, or leave",
        ),
        ("advance", {}, "has not started its plan.*cannot be told to advance now, but to start$"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_remedy(
    control: Control, wish: Wish, more: dict[str, str], sentence: str
):
    with pytest.raises(ApiError, match=sentence):
        tell(control, wish, "r", **more)


def test_a_reason_is_one_line(control: Control):
    with pytest.raises(BadRequestError, match="one line of plain text"):
        tell(control, "start", "a\nb")


def test_whoever_saw_another_version_or_names_nothing_is_told(control: Control):
    with pytest.raises(ConflictedError):
        control.steering.tell(SALES, "start", 9, actor="ann")
    with pytest.raises(NotFoundError):
        control.steering.tell("nothing", "start", 1, actor="ann")
    with pytest.raises(NotFoundError):
        control.steering.gate("nothing")


def test_a_gate_shows_where_the_plan_stands_and_what_it_said(tmp_path: Path):
    with opened_with_ledger(tmp_path) as (control, ledger):
        tell(control, "start")
        progress = ledger.state().rollouts[SALES].progress
        report = said("collecting", progress.step)
        ledger.keep(SALES, progress, progress, report)

        view = control.steering.gate(SALES, reports=5)
        assert (view.percent, view.controller.standing) == (5.0, "running")
        assert view.next_row is not None
        assert (view.next_row.percent, view.reports[0], view.reports[1].gate) == (10.0, report, "certificate")
        assert control.steering.gate(SALES).reports == ()


def test_the_next_step_is_by_the_plan_in_force(control: Control):
    assert control.steering.shown_plan(SALES).plan == control.steering.plan(SALES)


def test_a_gate_of_a_plan_that_has_not_started_has_nothing_next(tmp_path: Path):
    with opened(tmp_path) as control:
        assert control.steering.gate(SALES).next_row is None


def week(rate: float) -> Week:
    return Week(
        rate=rate,
        requests_per_day=50_000,
        users_day=2000,
        users=14_000,
        variance_day=3 * rate / 50_000,
        variance=3 * rate / 350_000,
        slower={1.0: rate, 1.1: rate * 0.7, 1.2: rate * 0.5},
    )


def test_a_plan_has_a_forecast_once_base_has_days_and_a_likelier_plan_beside_it(control: Control):
    control.steering.measuring = measured = Measured()
    assert control.steering.shown_plan(SALES, with_forecast=True).unknown.startswith(
        "a forecast needs three whole days"
    )

    rated = msgspec.structs.replace(week(0.2), slower={})
    errors = msgspec.structs.replace(week(0.01), slower={})
    measured.days = {"errors": errors, "p50": week(0.5), "p99": week(0.01), "ttft": week(0.5), "satisfaction": rated}
    shown = control.steering.shown_plan(SALES, with_forecast=True)
    assert shown.chance is not None
    assert shown.chances is not None
    assert (0 < shown.chance <= 1, len(shown.chances)) == (True, 4)
    assert shown.suggestion is not None

    measured.lost = "the lake is away"
    assert control.steering.shown_plan(SALES, with_forecast=True).unknown == "the lake is away"
