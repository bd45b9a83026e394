"""What every ledger promises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rollout.change import Change, ChangeError, ConflictError, State
from rollout.progress import Progress
from rollout.stores.ledger import Ledger
from rollout.stores.sqlite import open_ledger
from tests.fakes.ledger import ROLLOUT, adding, compiled, moving, ticking, with_rollout
from tests.fakes.plans import said

IMPLEMENTATIONS = {"sqlite": lambda folder: open_ledger(folder, clock=ticking())}


@pytest.fixture(params=IMPLEMENTATIONS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made = IMPLEMENTATIONS[request.param](tmp_path)
    yield made
    made.close()


def test_a_new_ledger_is_empty_at_epoch_1(ledger: Ledger):
    assert ledger.state() == State(epoch=1)
    assert ledger.sealed() is None
    assert not ledger.read_only


def test_a_change_raises_the_version_and_keeps_state_snapshot_and_audit(ledger: Ledger):
    with_rollout(ledger)

    state = ledger.change(moving(10.0, 1), compiled, actor="ops", reason="first step")

    assert state == ledger.state()
    assert (state.version, state.rollouts[ROLLOUT].flag.percent) == (2, 10.0)
    assert state.rollouts[ROLLOUT].changed_by == "ops"
    newest = ledger.entries()[0]
    assert ledger.sealed() == compiled(state, newest.at)
    assert (newest.actor, newest.action, newest.rollout, newest.reason) == ("ops", "set_percent", ROLLOUT, "first step")
    assert newest.before == {"percent": 0.0, "version": 1, "step": 0}
    assert newest.after == {"percent": 10.0, "version": 2, "step": 1}


def test_no_changes_leave_no_trace(ledger: Ledger):
    with_rollout(ledger)
    before = ledger.state(), ledger.sealed(), ledger.entries()

    ledger.change(lambda _, __: [], compiled, actor="ops")

    assert (ledger.state(), ledger.sealed(), ledger.entries()) == before


def failing_compile(state: State, at: int) -> bytes:
    raise ChangeError


def failing_edit(state: State, at: int) -> list:
    raise ChangeError


@pytest.mark.parametrize(
    ("edit", "compile_"), [(moving(10.0, 1), failing_compile), (failing_edit, compiled), (moving(10.0, 9), compiled)]
)
def test_a_change_that_fails_has_changed_nothing(ledger: Ledger, edit, compile_):
    with_rollout(ledger)
    before = ledger.state(), ledger.sealed(), ledger.entries()

    with pytest.raises(ChangeError):
        ledger.change(edit, compile_, actor="ops")

    assert (ledger.state(), ledger.sealed(), ledger.entries()) == before
    ledger.change(moving(10.0, 1), compiled, actor="ops")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 10_000), max_size=5))
def test_any_changes_leave_a_whole_chain_and_rising_versions(ledger: Ledger, hundredths: list[int]):
    if not ledger.state().rollouts:
        with_rollout(ledger)
    for each in hundredths:
        before = ledger.state()
        after = ledger.change(moving(each / 100, before.rollouts[ROLLOUT].flag.version), compiled, actor="ops")
        assert after.version - before.version == (after.rollouts != before.rollouts)

    assert ledger.verify() is None


def test_of_two_setters_who_saw_the_same_version_exactly_one_wins(ledger: Ledger):
    with_rollout(ledger)
    for round_number in range(1, 11):
        gate, outcomes = threading.Barrier(2), []

        def set_percent(percent: float, seen=round_number, gate=gate, outcomes=outcomes) -> None:
            gate.wait()
            try:
                ledger.change(moving(percent, seen), compiled, actor=f"ops {percent}")
                outcomes.append(percent)
            except ConflictError:
                outcomes.append(None)

        threads = [threading.Thread(target=set_percent, args=(round_number * 2 + k,)) for k in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        (won,) = [percent for percent in outcomes if percent is not None]
        assert outcomes.count(None) == 1
        assert ledger.state().rollouts[ROLLOUT].flag.percent == won
    assert ledger.verify() is None


def test_entries_come_newest_first_of_one_rollout_and_at_most_as_many_as_asked(ledger: Ledger):
    with_rollout(ledger)
    ledger.change(moving(10.0, 1), compiled, actor="ops")
    ledger.change(moving(25.0, 2), compiled, actor="ops")

    assert [entry.number for entry in ledger.entries()] == [4, 3, 2, 1]
    assert [entry.number for entry in ledger.entries(rollout=ROLLOUT)] == [4, 3, 2]
    assert [entry.number for entry in ledger.entries(limit=1)] == [4]
    assert ledger.entries(rollout="other") == []


def test_an_edit_sees_the_time_that_its_audit_entry_carries(ledger: Ledger):
    seen: list[int] = []

    def edit(state: State, at: int):
        seen.append(at)
        return adding()(state, at)

    ledger.change(edit, compiled, actor="ops")

    assert [ledger.entries()[0].at] == seen


def test_closing_twice_does_nothing(ledger: Ledger):
    ledger.close()
    ledger.close()


def test_what_a_controller_counts_is_kept_without_a_version_an_audit_entry_or_a_snapshot(ledger: Ledger):
    with_rollout(ledger)
    before, sealed, entries = ledger.state(), ledger.sealed(), ledger.entries()
    counted = replace(before.rollouts[ROLLOUT].progress, standing="scheduled", ticks=1)

    assert ledger.keep(ROLLOUT, Progress(), counted)
    assert ledger.state().rollouts[ROLLOUT].progress == counted
    assert (ledger.state().version, ledger.sealed(), ledger.entries()) == (before.version, sealed, entries)


def test_what_another_has_counted_meanwhile_is_not_overwritten(ledger: Ledger):
    with_rollout(ledger)
    first = Progress(ticks=1)

    assert ledger.keep(ROLLOUT, Progress(), first)
    assert not ledger.keep(ROLLOUT, Progress(), Progress(ticks=2), said("collecting"))
    assert not ledger.keep("nothing", Progress(), Progress(ticks=2))
    assert ledger.state().rollouts[ROLLOUT].progress == first
    assert ledger.reports(ROLLOUT, limit=9) == []


def test_reports_are_kept_newest_first_with_the_change_or_without_one(ledger: Ledger):
    with_rollout(ledger)
    one, two = (said(verdict, rollout=ROLLOUT) for verdict in ("collecting", "fail"))
    change = Change(action="roll_back", rollout=ROLLOUT, after={}, report=two)

    assert ledger.keep(ROLLOUT, Progress(), Progress(ticks=1), one)
    ledger.change(lambda _state, _at: [change], compiled, actor="turnout")

    assert ledger.reports(ROLLOUT, limit=9) == [two, one]
    assert ledger.reports(ROLLOUT, limit=1) == [two]
    assert ledger.reports("other", limit=9) == []


def test_a_raised_epoch_takes_every_rollout_out_of_its_plan(ledger: Ledger):
    with_rollout(ledger)
    ledger.keep(ROLLOUT, Progress(), Progress(standing="scheduled", start_at=1))
    ledger.change(lambda _state, _at: [Change(action="raise_epoch", after={}, epoch=9)], compiled, actor="turnout")

    assert ledger.state().rollouts[ROLLOUT].progress.standing == "idle"
