from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway.console.control import Control
from gateway.console.errors import ConflictedError, UnavailableError
from gateway.console.views import WorkerView
from gateway.errors import ApiError, BadRequestError, NotFoundError
from gateway.settings.schema import RolloutDefinition
from gateway.settings.snapshot import unseal
from rollout.bucket import bucket
from rollout.stores.ledger import LEDGER_FILE
from rollout.stores.reader import SnapshotReader
from tests.fakes.console import SALES, definitions, opened, secrets_of

OTHER = RolloutDefinition(base="gpt", candidate="tuned-2", flag="other_flag")


def test_a_start_publishes_a_snapshot_and_the_next_start_publishes_nothing(tmp_path: Path):
    with opened(tmp_path) as control:
        first = control.status().snapshot
    with opened(tmp_path) as control:
        assert (first, control.status().snapshot) == ("1.1", "1.1")


def test_workers_can_read_what_an_operator_sets(tmp_path: Path, control: Control):
    control.set_percent(SALES, "12.5", 1, actor="ops")
    reader = SnapshotReader(tmp_path / LEDGER_FILE)

    sealed = reader.poll()

    reader.close()
    assert sealed is not None
    assert unseal(sealed, secrets_of(tmp_path).snapshot).rollouts[SALES].flag.percent == 12.5


def test_a_rollout_is_found_by_its_name_or_by_a_flag_that_it_alone_uses(tmp_path: Path):
    wanted = definitions(sales=RolloutDefinition(base="gpt", candidate="tuned"), other=OTHER)
    with opened(tmp_path, wanted) as control:
        assert [view.name for view in control.list_rollouts()] == ["sales", "other"]
        assert control.show("other_flag").name == "other"
        with pytest.raises(NotFoundError, match="the configured rollouts: other, sales"):
            control.show("nothing")


def test_a_flag_of_several_rollouts_names_none(tmp_path: Path):
    wanted = definitions(
        a=RolloutDefinition(base="gpt", candidate="tuned"), b=RolloutDefinition(base="gpt", candidate="tuned-2")
    )
    with opened(tmp_path, wanted) as control, pytest.raises(BadRequestError, match="name one of them: a, b"):
        control.show("finetuned_model_rollout")


@pytest.mark.parametrize("percent", ["-1", "100.001", "33.333", "NaN", "5%", "", -1, 100.001, 33.333, float("nan")])
def test_a_bad_percent_changes_nothing(control: Control, percent: str | float):
    with pytest.raises(BadRequestError, match="percent") as refused:
        control.set_percent(SALES, percent, 1, actor="ops")

    assert refused.value.code == "invalid_percent"
    assert control.show(SALES).version == 1


def test_a_percent_of_minus_nothing_is_nothing(control: Control):
    control.set_percent(SALES, "10", 1, actor="ops")

    assert str(control.set_percent(SALES, "-0", 2, actor="ops").percent) == "0.0"


def test_the_second_of_two_operators_is_told_what_the_first_did(control: Control):
    control.set_percent(SALES, "10", 1, actor="ops key 1 (alice)")

    with pytest.raises(ConflictedError, match=r"now at version 2 with 10 %, changed by ops key 1 \(alice\)"):
        control.set_percent(SALES, "25", 1, actor="ops key 2 (bob)")


@pytest.mark.parametrize("reason", ["x" * 501, "two\nlines", "\x1b[31m", "\ud800"])
def test_a_reason_is_one_line_of_plain_text(control: Control, reason: str):
    with pytest.raises(BadRequestError, match="the reason has"):
        control.set_percent(SALES, "10", 1, actor="ops", reason=reason)


def test_whois_tells_the_arm_and_the_bucket_that_decides(control: Control):
    salt = control.show(SALES, with_salt=True).salt
    assert salt is not None
    control.set_percent(SALES, "50", 1, actor="ops")

    for user in ("alice", "bob", "zoë", " alice"):
        (found,) = control.whois(user)
        place = bucket(salt, user.encode())
        assert (found.bucket, found.percent_bucket) == (place, place // 100)
        assert found.arm == ("candidate" if place < 5_000 else "base")
        assert found.model == ("tuned" if place < 5_000 else "gpt")
        assert found.reason == "split"


def test_a_forced_user_is_known_by_hash_alone_and_let_go_by_either(control: Control):
    (before,) = control.whois("alice@example.com")

    forced = control.force_user(SALES, "alice@example.com", "candidate", 1, actor="ops")
    (now,) = control.whois("alice@example.com", SALES)

    assert forced.forced == {before.user_hash: "candidate"}
    assert (now.arm, now.reason) == ("candidate", "targeting_match")
    control.unforce_hash(SALES, before.user_hash, 2, actor="ops")
    control.force_user(SALES, "alice@example.com", "base", 3, actor="ops")
    control.force_user(SALES, "alice@example.com", None, 4, actor="ops")
    assert control.show(SALES).forced == {}
    assert "alice" not in repr(control.audit())


@pytest.mark.parametrize("digits", ["", "xyz", "AB" * 16, "ab" * 15])
def test_what_is_no_user_hash_is_refused(control: Control, digits: str):
    with pytest.raises(BadRequestError, match="is not a user hash"):
        control.unforce_hash(SALES, digits, 1, actor="ops")


@pytest.mark.parametrize(
    ("user", "sentence"), [("", "empty"), ("x" * 513, "513 bytes"), ("\ud800", "not valid Unicode")]
)
def test_a_user_key_that_no_request_can_carry_is_refused(control: Control, user: str, sentence: str):
    with pytest.raises(BadRequestError, match=sentence):
        control.whois(user)
    with pytest.raises(BadRequestError, match=sentence):
        control.force_user(SALES, user, "base", 1, actor="ops")


def test_the_kill_switch_shows_in_whois_and_as_a_warning(tmp_path: Path):
    with opened(tmp_path, killed=lambda: True) as control:
        (found,) = control.whois("alice")

        assert (found.arm, found.reason, found.bucket, found.percent_bucket) == ("base", "disabled", None, None)
        assert "force-base" in control.show(SALES).warnings[0]


def test_workers_on_an_older_snapshot_and_requests_without_user_keys_are_warned_of(tmp_path: Path):
    workers = [
        WorkerView(worker="w0", snapshot="1.1", in_flight=3, split_requests=10, split_without_user_key=10),
        WorkerView(worker="w1", snapshot="1.0", in_flight=0, split_requests=8, split_without_user_key=0),
    ]
    with opened(tmp_path, workers=lambda: workers) as control:
        shown = control.show(SALES)

        assert list(shown.workers) == workers
        assert shown.warnings[0] == "worker w1 does not decide by snapshot 1.1 yet"
        assert shown.warnings[1].startswith("10 of 18 split requests carried no user key and got base")
        assert control.status().warnings == shown.warnings


def test_history_tells_who_when_why_and_that_the_chain_is_whole(control: Control):
    control.set_percent(SALES, "10", 1, actor="ops", reason="step one")

    history = control.history(SALES, verify=True)

    assert (history.whole, history.fault) == (True, None)
    assert [(entry.action, entry.actor, entry.reason) for entry in history.entries] == [
        ("set_percent", "ops", "step one"),
        ("add_rollout", "turnout", "start"),
    ]
    assert control.history(SALES).whole is None
    assert len(control.audit(limit=1).entries) == 1


def test_a_new_candidate_starts_at_percent_0_and_a_removed_rollout_leaves_with_its_history(control: Control):
    control.set_percent(SALES, "50", 1, actor="ops")
    renewed = definitions(**{SALES: RolloutDefinition(base="gpt", candidate="tuned-2")})

    control.reload_definitions(renewed)
    shown = control.show(SALES)
    control.reload_definitions(definitions(other=OTHER))

    assert (shown.percent, shown.generation, shown.candidate) == (0.0, 2, "tuned-2")
    with pytest.raises(NotFoundError):
        control.show(SALES)
    assert [entry.action for entry in control.history(SALES).entries] == [
        "retire_rollout",
        "new_generation",
        "set_percent",
        "add_rollout",
    ]


def test_definitions_as_before_publish_nothing(control: Control):
    control.reload_definitions(definitions())

    assert control.status().snapshot == "1.1"


def test_changes_and_reloads_at_once_never_publish_old_definitions(tmp_path: Path, control: Control):
    wanted = [
        definitions(**{SALES: RolloutDefinition(base="gpt", candidate="tuned", also_for=(f"n{n}",))}) for n in range(10)
    ]

    def reload() -> None:
        for each in wanted:
            control.reload_definitions(each)

    thread = threading.Thread(target=reload)
    thread.start()
    for number in range(1, 11):
        control.set_percent(SALES, str(number), number, actor="ops")
    thread.join()

    reader = SnapshotReader(tmp_path / LEDGER_FILE)
    sealed = reader.poll()
    reader.close()
    assert sealed is not None
    entry = unseal(sealed, secrets_of(tmp_path).snapshot).rollouts[SALES]
    assert (entry.also_for, entry.flag.percent) == (("n9",), 10.0)


def test_a_ledger_that_went_away_is_said_in_one_sentence(tmp_path: Path, control: Control):
    (tmp_path / LEDGER_FILE).unlink()

    for act in (lambda: control.show(SALES), lambda: control.set_percent(SALES, "10", 1, actor="ops")):
        with pytest.raises(UnavailableError, match="was deleted while it was open"):
            act()


def test_every_refusal_is_an_error_that_callers_may_see(control: Control):
    for act in (
        lambda: control.set_percent("nothing", "10", 1, actor="ops"),
        lambda: control.set_percent(SALES, "10", 99, actor="ops"),
        lambda: control.history("nothing"),
        lambda: control.whois("alice", "nothing"),
    ):
        with pytest.raises(ApiError):
            act()
