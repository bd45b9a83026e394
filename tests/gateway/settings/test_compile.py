from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from analytics.pricing import Conditional, Price
from gateway.settings.compile import (
    admission,
    applications,
    compile_snapshot,
    definitions_hash,
    definitions_of,
    price_version,
    reconcile,
    restored_state,
)
from gateway.settings.plan_schema import PlanDefinition
from gateway.settings.schema import Application, Configuration, Model, Prices, RolloutDefinition, Server, Upstream
from gateway.settings.snapshot import Admission, seal, unseal
from rollout.change import State, applied
from rollout.flag import Flag, derived_salt
from rollout.keys import Key

KEY = b"salt key"
SALES = RolloutDefinition(base="gpt", candidate="tuned", also_for=("gpt",))


def configured(**rollouts: RolloutDefinition) -> Configuration:
    return Configuration(
        upstreams={"openai": Upstream(base_url="http://127.0.0.1:9")},
        models={"gpt": Model(upstream="openai", price=Price(input=1.0, output=2.0)), "tuned": Model(upstream="openai")},
        rollouts=rollouts,
    )


def after(definitions: Configuration, state: State | None = None) -> State:
    state = state if state is not None else State(epoch=1)
    for change in reconcile(definitions, state, KEY):
        state = applied(state, change, actor="turnout", at=1)
    return state


def moved(state: State, percent: float, name: str = "sales") -> State:
    held = state.rollouts[name]
    flag = replace(held.flag, percent=percent, version=held.flag.version + 1, step=held.flag.step + 1)
    return replace(state, rollouts={**state.rollouts, name: replace(held, flag=flag)})


def test_a_new_rollout_begins_at_generation_1_and_percent_0_with_a_derived_salt():
    flag = after(configured(sales=SALES)).rollouts["sales"].flag

    assert flag == Flag(
        rollout="sales",
        flag="finetuned_model_rollout",
        base="gpt",
        candidate="tuned",
        salt=derived_salt(KEY, "sales", 1),
    )


def test_a_salt_that_is_given_is_used():
    assert after(configured(sales=replace(SALES, salt="mine"))).rollouts["sales"].flag.salt == "mine"


def test_the_same_definitions_again_change_nothing():
    state = moved(after(configured(sales=SALES)), 25.0)

    assert reconcile(configured(sales=SALES), state, KEY) == []


@pytest.mark.parametrize(
    "definition",
    [replace(SALES, candidate="tuned-2"), replace(SALES, base="gpt-5"), replace(SALES, salt="other")],
)
def test_a_new_arm_or_salt_starts_a_new_generation_at_percent_0(definition: RolloutDefinition):
    state = moved(after(configured(sales=SALES)), 25.0)
    old = state.rollouts["sales"].flag

    change = reconcile(configured(sales=definition), state, KEY)[0]
    flag = after(configured(sales=definition), state).rollouts["sales"].flag

    assert change.action == "new_generation"
    assert (change.before["percent"], change.after["percent"]) == (25.0, 0.0)
    assert (flag.generation, flag.percent, flag.step, flag.version) == (2, 0.0, 0, old.version + 1)
    assert flag.salt == definition.salt or flag.salt == derived_salt(KEY, "sales", 2)
    assert flag.salt != old.salt


def test_forced_users_stay_forced_in_a_new_generation():
    state = after(configured(sales=SALES))
    held = state.rollouts["sales"]
    state = replace(state, rollouts={"sales": replace(held, flag=replace(held.flag, forced={"ab": "candidate"}))})

    flag = after(configured(sales=replace(SALES, candidate="tuned-2")), state).rollouts["sales"].flag

    assert flag.forced == {"ab": "candidate"}


def test_a_salt_no_longer_given_stays():
    state = after(configured(sales=replace(SALES, salt="mine")))

    assert after(configured(sales=SALES), state).rollouts["sales"].flag == state.rollouts["sales"].flag


def test_another_flag_name_keeps_the_percent():
    state = moved(after(configured(sales=SALES)), 25.0)

    flag = after(configured(sales=replace(SALES, flag="new_name")), state).rollouts["sales"].flag

    assert (flag.flag, flag.percent, flag.generation) == ("new_name", 25.0, 1)


def test_a_removed_rollout_is_retired_and_comes_back_with_its_state():
    both = moved(after(configured(sales=SALES, other=SALES)), 25.0)

    without = after(configured(other=SALES), both)
    again = after(configured(sales=SALES, other=SALES), without)

    assert without.rollouts["sales"].retired
    assert reconcile(configured(other=SALES), without, KEY) == []
    assert list(compile_snapshot(configured(other=SALES), without, 0).rollouts) == ["other"]
    assert not again.rollouts["sales"].retired
    assert again.rollouts["sales"].flag == both.rollouts["sales"].flag


def test_a_rollout_that_comes_back_with_another_candidate_starts_anew():
    gone = after(configured(), moved(after(configured(sales=SALES)), 25.0))

    back = after(configured(sales=replace(SALES, candidate="tuned-2")), gone).rollouts["sales"]

    assert (back.retired, back.flag.percent, back.flag.generation) == (False, 0.0, 2)


def test_no_salt_ever_reaches_the_audit():
    definitions = configured(sales=SALES)
    state = after(definitions)
    salt = state.rollouts["sales"].flag.salt
    changes = [
        *reconcile(definitions, State(epoch=1), KEY),
        *reconcile(configured(sales=replace(SALES, candidate="x")), state, KEY),
        *reconcile(configured(), state, KEY),
    ]

    assert changes
    assert not [change for change in changes if salt in f"{change.before}{change.after}"]


def test_a_snapshot_carries_definitions_and_state():
    definitions = configured(sales=SALES)
    key = Key(id="k", role="ops", fingerprint="f" * 64)
    state = replace(moved(after(definitions), 10.0), epoch=3, version=9, keys={"k": key})

    snapshot = compile_snapshot(definitions, state, 77)

    assert (snapshot.epoch, snapshot.version, snapshot.compiled_at) == (3, 9, 77)
    assert snapshot.rollouts["sales"].flag.percent == 10.0
    assert snapshot.rollouts["sales"].also_for == ("gpt",)
    assert snapshot.applications == {"default": Application()}
    assert snapshot.keys == (key,)
    assert snapshot.max_body_bytes == Server().max_body_bytes


def test_configured_applications_replace_the_implicit_one():
    assert list(applications(Configuration(applications={"crm": Application()}))) == ["crm"]


def test_a_lost_ledgers_state_comes_back_from_its_snapshot_one_epoch_later():
    definitions = configured(sales=SALES)
    key = Key(id="k", role="admin", fingerprint="f" * 64)
    state = replace(moved(after(definitions), 10.0), epoch=3, version=9, keys={"k": key})

    restored = restored_state(compile_snapshot(definitions, state, 77))

    assert (restored.epoch, restored.version) == (4, 0)
    assert restored.rollouts["sales"].flag == state.rollouts["sales"].flag
    assert restored.keys == state.keys
    assert [change.action for change in reconcile(definitions, restored, KEY)] == ["set_definitions"]


def test_a_snapshot_compiled_from_a_snapshots_definitions_is_the_same():
    definitions = configured(sales=SALES)
    state = after(definitions)
    snapshot = compile_snapshot(definitions, state, 5)

    assert compile_snapshot(definitions_of(snapshot), state, 5) == snapshot


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_the_price_version_changes_exactly_with_the_prices(one: float, other: float):
    def priced(price: float) -> Configuration:
        return Configuration(models={"m": Model(upstream="u", price=Price(input=price, output=1.0))})

    assert (price_version(priced(one)) == price_version(priced(other))) == (repr(one) == repr(other))


def test_prices_of_unlisted_models_are_part_of_snapshot_definitions_and_version():
    without = configured(sales=SALES)
    table = {"other": Price(input=1.0, output=2.0, when=(Conditional(tier="flex", input=0.5),))}
    definitions = replace(without, prices=Prices(table=table))
    snapshot = compile_snapshot(definitions, after(definitions), 5)

    assert snapshot.prices == table
    assert compile_snapshot(definitions_of(snapshot), after(definitions), 5) == snapshot
    assert price_version(definitions) != price_version(without)
    assert definitions_hash(definitions) != definitions_hash(without)


def test_a_plan_and_what_asks_for_evidence_outlive_a_file_that_has_become_wrong():
    own = replace(SALES, evidence="required", plan=PlanDefinition(approval="auto", start_at="2026-12-01T08:00:00Z"))
    definitions = configured(sales=own)
    snapshot = unseal(seal(compile_snapshot(definitions, after(definitions), 5), KEY), KEY)

    assert definitions_of(snapshot).rollouts["sales"] == own
    assert definitions_hash(definitions) != definitions_hash(configured(sales=SALES))


def test_what_no_worker_sees_does_not_change_the_definitions():
    definitions = configured(sales=SALES)

    assert definitions_hash(replace(definitions, server=Server(port=1))) == definitions_hash(definitions)
    assert definitions_hash(replace(definitions, server=Server(max_body_bytes=2048))) != definitions_hash(definitions)
    assert definitions_hash(replace(definitions, server=Server(max_concurrent=9))) != definitions_hash(definitions)


def test_the_limits_of_the_server_reach_workers_with_the_snapshot():
    limits = {"max_concurrent": 9, "queue": 8, "queue_timeout_s": 7.0, "keep_alive_comment_s": 6.0}
    server = Server(max_buffered_bytes=50_000_000, **limits)

    snapshot = compile_snapshot(replace(configured(), server=server), after(configured()), 5)

    assert snapshot.admission == Admission(max_buffered_bytes=50_000_000, **limits)
    assert definitions_of(snapshot).server == server


def test_limits_that_nobody_wrote_are_the_same_everywhere():
    assert admission(Server()) == Admission()
