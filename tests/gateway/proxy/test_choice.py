from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.choice import Choice, choose, exposed
from gateway.proxy.identity import ANONYMOUS, User
from gateway.proxy.snapshot import View
from gateway.settings.snapshot import SplitEntry
from rollout.bucket import bucket
from rollout.flag import user_hash
from tests.fakes.proxy import BASE, CANDIDATE, FLAG, SALES, SECRETS, decisions

ALL = ("rollout", "arm", "model", "bucket")


def chosen(
    user: User, model: str = SALES, *, fresh: bool = True, killed: bool = False, percent: float = 50.0, **flag: object
) -> Choice:
    split = SplitEntry(flag=msgspec.structs.replace(FLAG, percent=percent, **flag), also_for=(BASE,))
    known = decisions(rollouts={SALES: split})
    route = known.route(model, live=True)
    assert route is not None
    return choose(View(decisions=known, source="ledger", fresh=fresh, killed=killed), route, user)


@given(st.binary(min_size=1, max_size=64), st.integers(0, 10_000))
def test_exactly_the_users_below_the_percent_get_the_candidate(key: bytes, hundredths: int):
    choice = chosen(User(key, "user"), percent=hundredths / 100)

    place = bucket("salt", key)
    assert choice.assignment is not None
    assert choice.assignment.bucket == place
    assert choice.deployment.model == (CANDIDATE if place < hundredths else BASE)
    assert choice.assignment.arm == ("candidate" if place < hundredths else "base")
    assert choice.assignment.reason == "split"


def test_a_public_name_and_its_aliases_choose_alike():
    user = User(b"ann", "user")

    assert chosen(user).assignment == chosen(user, BASE).assignment


def test_an_anonymous_request_gets_base():
    choice = chosen(ANONYMOUS, percent=100.0)

    assert choice.is_anonymous
    assert (choice.deployment.model, choice.digest) == (BASE, None)
    assert choice.facts()["reason"] == "default"
    assert choice.facts()["bucket"] is None


@pytest.mark.parametrize("user", [User(b"ann", "user"), ANONYMOUS])
@pytest.mark.parametrize(("killed", "reason"), [(False, "default"), (True, "disabled")])
def test_while_no_flag_was_ever_seen_everybody_gets_base_by_default(user: User, *, killed: bool, reason: str):
    known = decisions(epoch=0, version=0)
    route = known.route(SALES, live=True)
    assert route is not None

    choice = choose(View(decisions=known, source="default", fresh=False, killed=killed), route, user)

    assert choice.deployment.model == BASE
    facts = choice.facts()
    assert (facts["arm_assigned"], facts["reason"], facts["bucket"]) == ("base", reason, None)


def test_force_base_sends_everybody_to_base():
    choice = chosen(User(b"ann", "user"), killed=True, percent=100.0)

    assert choice.deployment.model == BASE
    assert (choice.facts()["arm_assigned"], choice.facts()["reason"]) == ("base", "disabled")


def test_a_source_that_is_silent_changes_the_reason_and_not_the_arm():
    choice = chosen(User(b"ann", "user"), fresh=False, percent=100.0)

    assert (choice.deployment.model, choice.facts()["reason"]) == (CANDIDATE, "stale")


def test_a_forced_user_gets_the_arm_that_an_operator_gave():
    digest = user_hash(SECRETS.user_hash, b"ann")

    choice = chosen(User(b"ann", "user"), percent=0.0, forced={digest.hex(): "candidate"})

    assert (choice.deployment.model, choice.facts()["reason"]) == (CANDIDATE, "targeting_match")


def test_a_model_in_no_rollout_has_no_arm():
    choice = chosen(User(b"ann", "user"), CANDIDATE)

    assert choice.facts() == {"user_hash": user_hash(SECRETS.user_hash, b"ann"), "user_source": "user"}
    assert choice.called("p1").arm is None
    assert not choice.is_anonymous
    assert exposed(choice, ALL) == [(b"x-turnout-model", b"tuned")]


def test_the_record_gets_the_whole_evidence_and_never_the_user_key():
    choice = chosen(User(b"canary-user", "header"), percent=100.0)

    facts = choice.facts()
    assert facts == {
        "user_hash": user_hash(SECRETS.user_hash, b"canary-user"),
        "user_source": "header",
        "rollout": SALES,
        "generation": 1,
        "phase": None,
        "step": 1,
        "percent": 100.0,
        "bucket": bucket("salt", b"canary-user"),
        "arm_assigned": "candidate",
        "reason": "split",
    }
    called = choice.called("p1")
    assert (called.arm, called.model, called.upstream, called.price_version) == ("candidate", CANDIDATE, "one", "p1")
    assert "canary" not in f"{facts}"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (ALL, [b"x-turnout-rollout", b"x-turnout-arm", b"x-turnout-model", b"x-turnout-bucket"]),
        (("model", "arm"), [b"x-turnout-model", b"x-turnout-arm"]),
        ((), []),
    ],
)
def test_the_caller_is_shown_what_its_application_exposes(wanted: tuple[str, ...], names: list[bytes]):
    choice = chosen(User(b"ann", "user"), percent=100.0)

    shown = exposed(choice, wanted)  # type: ignore[arg-type] - pytest hands over plain strings

    assert [name for name, _ in shown] == names
    assert dict(shown).get(b"x-turnout-arm", b"candidate") == b"candidate"


def test_bucket_0_is_shown():
    salt = next(f"{number}" for number in range(200_000) if bucket(f"{number}", b"ann") == 0)

    assert exposed(chosen(User(b"ann", "user"), salt=salt), ("bucket",)) == [(b"x-turnout-bucket", b"0")]
