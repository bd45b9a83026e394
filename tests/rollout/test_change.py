from __future__ import annotations

import pytest
from msgspec.structs import replace

from rollout.change import (
    Change,
    ChangeError,
    ConflictError,
    Held,
    State,
    UnknownKeyError,
    UnknownRolloutError,
    add_key,
    applied,
    carried_over,
    force,
    live,
    moment,
    restored,
    revoke_key,
    set_percent,
)
from rollout.flag import Flag
from rollout.keys import Key

FLAG = Flag(rollout="sales", flag="f", base="gpt", candidate="tuned", salt="s", version=4, step=2, percent=10.0)
HELD = Held(flag=FLAG, changed_at=1_800_000_000_000_000, changed_by="ops key 1")
STATE = State(epoch=1, version=7, rollouts={"sales": HELD, "old": Held(flag=FLAG, retired=True)})
ADMIN = Key(id="a1", role="admin", fingerprint="f" * 64)
APP = Key(id="p1", role="app", fingerprint="e" * 64, application="default")
HASH = "ab" * 16


def test_moving_the_percent_raises_version_and_step():
    (change,) = set_percent(STATE, "sales", 25.0, 4)

    assert change.flag == replace(FLAG, percent=25.0, version=5, step=3)
    assert change.before == {"percent": 10.0, "version": 4, "step": 2}
    assert change.after == {"percent": 25.0, "version": 5, "step": 3}


def test_the_present_percent_again_is_no_change():
    assert set_percent(STATE, "sales", 10.0, 4) == []


def test_a_conflict_names_the_present_version_percent_who_and_when():
    with pytest.raises(ConflictError) as refused:
        set_percent(STATE, "sales", 25.0, 3)

    assert str(refused.value) == (
        "rollout sales moved on: it is now at version 4 with 10 %, changed by ops key 1 at 2027-01-15 08:00:00Z; "
        "you saw version 3. Look again, then repeat."
    )


@pytest.mark.parametrize("name", ["nothing", "old"])
def test_an_unknown_or_retired_rollout_is_refused_with_the_live_ones(name: str):
    with pytest.raises(UnknownRolloutError, match="the configured ones: sales"):
        live(STATE, name)


def test_without_any_rollout_the_refusal_says_so():
    with pytest.raises(UnknownRolloutError, match="the configured ones: none"):
        live(State(epoch=1), "sales")


def test_forcing_a_user_raises_the_version_but_not_the_step():
    (forced,) = force(STATE, "sales", HASH, "candidate", 4)

    assert forced.flag == replace(FLAG, version=5, forced={HASH: "candidate"})
    assert forced.action == "force_user"


def test_a_forced_user_is_let_go_and_again_is_no_change():
    forced = replace(STATE, rollouts={"sales": Held(flag=replace(FLAG, forced={HASH: "base", "cd": "base"}))})

    (change,) = force(forced, "sales", HASH, None, 4)

    assert change.action == "unforce_user"
    assert change.flag == replace(FLAG, version=5, forced={"cd": "base"})
    assert force(STATE, "sales", HASH, None, 4) == []


def test_a_new_key_is_audited_without_its_fingerprint():
    change = add_key(APP)

    assert change.key == APP
    assert "fingerprint" not in change.after
    assert change.after["application"] == "default"


def test_a_key_is_revoked_once():
    state = replace(STATE, keys={"a1": ADMIN, "p1": APP})

    (change,) = revoke_key(state, "p1", 99)

    assert change.key == replace(APP, revoked_at=99)
    assert revoke_key(applied(state, change, actor="x", at=99), "p1", 100) == []


def test_the_only_live_admin_key_stays():
    state = replace(STATE, keys={"a1": ADMIN, "a2": replace(ADMIN, id="a2", revoked_at=5)})

    with pytest.raises(ChangeError, match="only live admin key"):
        revoke_key(state, "a1", 99)


def test_an_unknown_key_is_refused():
    with pytest.raises(UnknownKeyError, match="turnout key list"):
        revoke_key(STATE, "zz", 99)


def test_each_kind_of_change_reaches_the_state():
    state = applied(STATE, Change(action="set_percent", flag=FLAG), actor="me", at=5)
    state = applied(state, add_key(APP), actor="me", at=5)
    state = applied(state, Change(action="set_definitions", definitions="d1"), actor="me", at=5)
    raised = applied(state, Change(action="raise_epoch", epoch=9), actor="me", at=5)

    assert state.rollouts["sales"] == Held(flag=FLAG, changed_at=5, changed_by="me")
    assert state.keys == {"p1": APP}
    assert (state.definitions, state.epoch, state.version) == ("d1", 1, 7)
    assert (raised.epoch, raised.version) == (9, 0)


def test_an_old_copy_takes_over_later_keys_and_revocations():
    state = replace(STATE, keys={"p1": APP})
    revoked, later = replace(APP, revoked_at=5), replace(ADMIN, id="a2")

    changes = carried_over(state, [revoked, later], [])

    assert [(change.action, change.key) for change in changes] == [("revoke_key", revoked), ("create_key", later)]
    assert "fingerprint" not in changes[0].after
    assert carried_over(replace(state, keys={"p1": revoked, "a2": later}), [APP, revoked, later], []) == []


def test_an_old_copy_never_gives_a_percent_again_that_was_taken_back():
    seen = replace(FLAG, percent=0.0, version=9, step=5)

    (change,) = carried_over(STATE, [], [seen])

    assert change.flag == replace(FLAG, percent=0.0, version=10, step=6)
    assert (change.before["percent"], change.after["percent"]) == (10.0, 0.0)


@pytest.mark.parametrize(
    "seen", [replace(FLAG, percent=50.0), replace(FLAG, percent=0.0, generation=2), replace(FLAG, rollout="unknown")]
)
def test_an_old_copy_keeps_a_lower_percent_and_another_generations(seen: Flag):
    assert carried_over(STATE, [], [seen]) == []


def test_a_moment_is_written_in_utc():
    assert moment(1_800_000_000_999_999) == "2027-01-15 08:00:00Z"


@pytest.mark.parametrize(("above", "epoch"), [(0, 4), (3, 4), (9, 10)])
def test_a_restore_raises_the_epoch_above_the_copys_and_above_what_was_seen(above: int, epoch: int):
    state = State(epoch=3, version=7)

    change = restored(state, {"backup": "b1"}, above)

    assert change.before == {"epoch": 3, "version": 7}
    assert change.after == {"epoch": epoch, "version": 0, "backup": "b1"}
    assert (applied(state, change, actor="ops", at=1).epoch, applied(state, change, actor="ops", at=1).version) == (
        epoch,
        0,
    )
