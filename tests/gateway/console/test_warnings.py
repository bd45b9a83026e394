from __future__ import annotations

import pytest

from analytics.journal.writer import Trouble
from gateway.console.views import WorkerView
from gateway.console.warnings import warnings_for


def worker(name: str = "worker-0", **facts: object) -> WorkerView:
    return WorkerView(**{"worker": name, "snapshot": "1.7", "in_flight": 0, **facts})  # type: ignore[arg-type] - each test knows the fields that it names


def test_nothing_wrong_is_no_warning():
    assert not list(warnings_for([worker(split_requests=10, split_without_user_key=5)], "1.7", killed=False))


def test_a_forced_base_and_a_refused_file_come_first():
    forced, refused = warnings_for([], "1.7", killed=True, refused=["rollouts.a: unknown key", "models: none"])

    assert forced.startswith("a force-base file lies in the state directory")
    assert "refused and the last good one stays in force: rollouts.a: unknown key (and 1 more:" in refused


def test_a_single_problem_is_told_whole():
    (refused,) = warnings_for([], "1.7", killed=False, refused=["rollouts.a: unknown key"])

    assert refused.endswith("stays in force: rollouts.a: unknown key")


TOLD_US = 60_000_000


@pytest.mark.parametrize(("compiled_s", "is_late"), [(10, True), (49, True), (51, False), (90, False)])
def test_a_worker_elsewhere_is_late_once_its_host_has_had_time_to_tell_of_a_change(compiled_s: int, *, is_late: bool):
    one = worker("north/worker-0", snapshot="1.6", told_at=TOLD_US)

    said = list(warnings_for([one], "1.7", killed=False, compiled_at=compiled_s * 1_000_000))

    assert said == (["worker north/worker-0 does not decide by snapshot 1.7 yet"] if is_late else [])


def test_a_silent_host_is_told():
    assert list(warnings_for([], "1.7", killed=False, silent=["host north has told nothing"])) == [
        "host north has told nothing"
    ]


@pytest.mark.parametrize(
    ("trouble", "lost", "words"),
    [
        ("waiting", 0, "worker-0 keeps records in memory"),
        ("losing", 4000, "worker-0 LOSES RECORDS: its journal's disk refuses them and memory is full; 4,000 frames"),
        ("none", 3, "worker-0: 3 frames of its journal are lost; its journal takes records again"),
    ],
)
def test_a_journal_in_trouble_is_told(trouble: Trouble, lost: int, words: str):
    (said,) = warnings_for([worker(journal_trouble=trouble, lost=lost)], "1.7", killed=False)

    assert words in said


@pytest.mark.parametrize(("trouble", "may_be_more"), [("none", False), ("waiting", True)])
def test_a_worker_that_is_gone_is_told_for_its_losses_alone(trouble: Trouble, *, may_be_more: bool):
    gone = worker(snapshot="1.1", lost=2, journal_trouble=trouble, ended_page="run/worker-0.b1.ended", split_requests=9)

    (said,) = warnings_for([gone], "1.7", killed=False)

    assert "2 frames of its journal are lost" in said
    assert ("others may have waited in memory" in said) is may_be_more
    assert said.endswith("remove run/worker-0.b1.ended to forget it")


def test_several_workers_that_lag_behind_are_named_in_one_sentence():
    (late,) = warnings_for([worker(snapshot="1.6"), worker("worker-1", snapshot="1.6")], "1.7", killed=False)

    assert late == "workers worker-0, worker-1 do not decide by snapshot 1.7 yet"


def test_workers_that_lag_behind_and_users_that_are_not_named_are_told():
    late, anonymous = warnings_for(
        [worker(split_requests=10, split_without_user_key=6), worker("worker-1", snapshot="1.6")], "1.7", killed=False
    )

    assert late == "worker worker-1 does not decide by snapshot 1.7 yet"
    assert anonymous.startswith("6 of 10 split requests carried no user key")
