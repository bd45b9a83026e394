"""Several rollouts at once, their aliases, forced users, callers without a user, models outside of every rollout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.bucket import bucket
from tests.acceptance.callers import Answer, Caller, ask_all, failures
from tests.acceptance.harness import (
    APPLICATION,
    BASE,
    BEHAVIOUR,
    CANDIDATE,
    MODELS,
    ROLLOUT,
    SERVER,
    SIMULATED,
    SPLIT,
    Installation,
    installed,
    until,
)

SUPPORT = "support-draft"
KNOWN_SALT = "from-the-former-system"
UNLISTED = "vendor/new-model-2"
CONFIG = f"""{SERVER}{MODELS}{SPLIT}
[upstreams.open]
base_url = "$open"
models = "*"

[models."small-model"]
upstream = "open"

[rollouts.{SUPPORT}]
base = "{BASE}"
candidate = "small-model"
flag = "support_model_rollout"

[rollouts.moved-here]
base = "{BASE}"
candidate = "{CANDIDATE}"
flag = "moved_rollout"
salt = "{KNOWN_SALT}"
{APPLICATION}
[applications.quiet]
expose = []

[applications.partly]
expose = ["bucket"]

[applications.by-session]
anonymous = "session"
expose = ["arm", "bucket"]

[applications.as-one]
anonymous = "application"
expose = ["arm", "bucket"]

[applications.strict]
user_header = "x-customer"
user_sources = ["header"]
expose = ["arm", "bucket"]

[applications.evaluation]
purposes = ["live", "eval"]
expose = ["arm", "model"]
"""
ALL_SIMULATED = {
    **SIMULATED,
    "open": f'[models."small-model"]\n{BEHAVIOUR}\n[models."{UNLISTED}"]\n{BEHAVIOUR}\n[models."{BASE}"]\n{BEHAVIOUR}',
}
USERS = [f"user-{number}" for number in range(300)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("rollouts")
    with installed(folder, config=CONFIG, simulated=ALL_SIMULATED) as installation:
        yield installation


@pytest.fixture(scope="module")
def keys(one: Installation) -> dict[str, str]:
    names = ("quiet", "partly", "by-session", "as-one", "strict", "evaluation")
    return {name: one.new_key(name) for name in names}


def ask(one: Installation, user: str | None = None, *, key: str | None = None, **fields: Any) -> Answer:
    caller = Caller(one, key)
    answer = caller.chat(user, **fields)
    caller.close()
    return answer


def shown(answer: Answer) -> dict[str, str]:
    """Return what an answer tells of the split; latency and cost are told to everybody."""
    told = {name.removeprefix("x-turnout-"): value for name, value in answer.headers.items() if "x-turnout-" in name}
    return {name: value for name, value in told.items() if name not in {"latency-ms", "cost-usd"}}


def record(one: Installation, answer: Answer) -> dict[str, Any]:
    return one.record(answer.request_id)


def test_rollouts_are_independent_of_each_other(one: Installation):
    one.set_percent(20)
    one.set_percent(20, SUPPORT)

    sales = ask_all(one, USERS)
    support = ask_all(one, USERS, model=SUPPORT)

    assert not failures([*sales, *support])
    both = [user for user, a, b in zip(USERS, sales, support, strict=True) if a.arm == b.arm == "candidate"]
    for answers in (sales, support):
        share = sum(answer.arm == "candidate" for answer in answers) / len(USERS)
        assert abs(share - 0.2) <= 3 * math.sqrt(0.2 * 0.8 / len(USERS))
    assert abs(len(both) / len(USERS) - 0.04) <= 3 * math.sqrt(0.04 * 0.96 / len(USERS))
    one.set_percent(0, SUPPORT)
    assert {answer.arm for answer in ask_all(one, USERS[:50], model=SUPPORT)} == {"base"}
    assert [answer.arm for answer in ask_all(one, USERS[:50])] == [answer.arm for answer in sales[:50]]


def test_a_salt_of_ones_own_gives_the_buckets_made_elsewhere(one: Installation):
    one.set_percent(50, "moved-here")

    answers = ask_all(one, USERS[:40], model="moved-here")

    assert [answer.headers["x-turnout-bucket"] for answer in answers] == [
        str(bucket(KNOWN_SALT, user.encode())) for user in USERS[:40]
    ]


def test_an_alias_leads_to_the_same_split(one: Installation):
    one.set_percent(50)

    by_name, by_alias = ask_all(one, USERS[:40]), ask_all(one, USERS[:40], model=BASE)

    assert [shown(answer) for answer in by_alias] == [shown(answer) for answer in by_name]
    assert {answer.arm for answer in by_alias} == {"base", "candidate"}
    row = record(one, by_alias[0])
    assert (row["rollout"], row["model_requested"]) == (ROLLOUT, BASE)


@pytest.mark.parametrize(("percent", "arm"), [(0, "candidate"), (100, "base")])
def test_a_forced_user_gets_their_arm_whatever_the_percent(percent: float, arm: str, one: Installation):
    one.set_percent(percent)
    one.force("ada", arm)

    forced, other = ask(one, "ada"), ask(one, "grace")

    assert forced.arm == arm
    assert other.arm != arm
    assert record(one, forced)["reason"] == "targeting_match"
    assert record(one, other)["reason"] == "split"
    [told] = one.ask("GET", f"whois?user=ada&rollout={ROLLOUT}").raise_for_status().json()
    assert (told["arm"], told["reason"]) == (arm, "targeting_match")

    done = one.turnout("rollout", "set", ROLLOUT, "--unforce", "ada")
    assert done.returncode == 0, done.stderr


def test_a_configured_model_outside_of_every_rollout_has_no_arm(one: Installation):
    one.set_percent(50)

    answer = ask(one, "ada", model=CANDIDATE)

    assert not failures([answer])
    assert shown(answer) == {"model": CANDIDATE}
    row = record(one, answer)
    names = ("rollout", "arm_assigned", "arm_served", "bucket", "percent", "reason")
    assert {name: row[name] for name in names} == dict.fromkeys(names)
    assert row["model_served"] == CANDIDATE
    assert row["cost_usd"] > 0
    assert row["user_hash"] is not None


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_an_unlisted_model_is_let_through_and_its_cost_is_unknown(way: str, one: Installation):
    answer = ask(one, "ada", model=UNLISTED, stream=way == "streamed")

    assert not failures([answer])
    assert shown(answer) == {"model": UNLISTED}
    assert "x-turnout-cost-usd" not in answer.headers
    row = record(one, answer)
    assert (row["model_served"], row["upstream"], row["outcome"]) == (UNLISTED, "open", "ok")
    assert (row["cost_usd"], row["cost_unknown"]) == (None, "no_price")
    assert row["price_version"] is not None
    assert row["output_tokens"] > 0


def test_a_model_that_no_upstream_has_is_the_upstreams_404(one: Installation):
    answer = ask(one, "ada", model="never-heard-of")

    assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")


def test_without_a_user_the_policy_base_serves_base_and_splits_nobody(one: Installation):
    one.set_percent(100)

    answer = ask(one)

    assert shown(answer) == {"rollout": ROLLOUT, "model": BASE, "arm": "base"}
    row = record(one, answer)
    assert (row["reason"], row["user_source"], row["user_hash"], row["bucket"]) == ("default", "none", None, None)


@pytest.mark.slow
def test_a_rollout_that_hardly_sees_users_warns_loudly(tmp_path: Path):
    with installed(tmp_path) as one:
        assert not failures(ask_all(one, [*USERS[:20], *[None] * 300]))

        until(lambda: any("user_header" in warning for warning in one.show()["warnings"]), "the console warns")
        until(lambda: any("NO USER KEY" in line["event"] for line in one.log()), "a worker warns")


def test_the_policy_session_buckets_by_the_sessions_header(one: Installation, keys: dict[str, str]):
    one.set_percent(50)
    sessions = [f"session-{number}" for number in range(20)]

    answers = [
        ask(one, key=keys["by-session"], headers={"x-session-id": session}) for session in sessions for _ in range(2)
    ]

    salt = one.show()["salt"]
    expected = [str(bucket(salt, session.encode())) for session in sessions for _ in range(2)]
    assert [answer.headers["x-turnout-bucket"] for answer in answers] == expected
    assert {answer.arm for answer in answers} == {"base", "candidate"}
    assert record(one, answers[0])["user_source"] == "session"
    assert shown(ask(one, key=keys["by-session"])) == {"arm": "base"}
    with_user = ask(one, "ada", key=keys["by-session"], headers={"x-session-id": "session-1"})
    assert with_user.headers["x-turnout-bucket"] == str(bucket(salt, b"ada"))


def test_the_policy_application_gives_all_its_callers_one_bucket(one: Installation, keys: dict[str, str]):
    place = bucket(one.show()["salt"], b"as-one")

    one.set_percent(100)
    after = ask(one, key=keys["as-one"])
    one.set_percent(0)
    before = ask(one, key=keys["as-one"])

    assert shown(before) == {"arm": "base", "bucket": str(place)}
    assert shown(after) == {"arm": "candidate", "bucket": str(place)}
    assert record(one, after)["user_source"] == "application"


def test_a_user_counts_only_from_the_sources_that_the_application_lists(one: Installation, keys: dict[str, str]):
    one.set_percent(100)
    salt = one.show()["salt"]

    by_field = ask(one, "ada", key=keys["strict"], safety_identifier="ada", metadata={"user_id": "ada"})
    by_wrong_header = ask(one, key=keys["strict"], headers={"x-user-id": "ada"})
    by_header = ask(one, "eve", key=keys["strict"], headers={"x-customer": "ada"})
    at_the_default = ask(one, "eve", headers={"x-user-id": "ada"})

    assert shown(by_field) == shown(by_wrong_header) == {"arm": "base"}
    assert shown(by_header) == {"arm": "candidate", "bucket": str(bucket(salt, b"ada"))}
    assert at_the_default.headers["x-turnout-bucket"] == str(bucket(salt, b"ada"))


def test_an_answer_shows_what_the_application_exposes_and_no_more(one: Installation, keys: dict[str, str]):
    one.set_percent(100)
    place = str(bucket(one.show()["salt"], b"ada"))

    everything, nothing, partly = (
        ask(one, "ada"),
        ask(one, "ada", key=keys["quiet"]),
        ask(one, "ada", key=keys["partly"]),
    )
    streamed = ask(one, "ada", stream=True)

    assert shown(everything) == {"rollout": ROLLOUT, "model": CANDIDATE, "arm": "candidate", "bucket": place}
    assert shown(streamed) == shown(everything)
    assert shown(nothing) == {}
    assert shown(partly) == {"bucket": place}
    for answer in (everything, nothing, partly, streamed):
        assert answer.request_id
        assert "set-cookie" not in answer.headers


def test_an_answers_latency_and_cost_are_those_of_its_record(one: Installation):
    answer = ask(one, "ada", model=CANDIDATE)

    row = record(one, answer)
    assert float(answer.headers["x-turnout-cost-usd"]) == pytest.approx(row["cost_usd"], abs=1e-9)
    assert float(answer.headers["x-turnout-latency-ms"]) == pytest.approx(row["latency_ms"], abs=0.051)
    assert row["response_id"] == answer.json["id"]


def test_another_purpose_calls_the_model_itself_and_needs_permission(one: Installation, keys: dict[str, str]):
    one.set_percent(100)
    purpose = {"x-turnout-purpose": "eval"}

    direct = ask(one, "ada", model=BASE, key=keys["evaluation"], headers=purpose)
    live = ask(one, "ada", model=BASE, key=keys["evaluation"])
    refused = ask(one, "ada", model=BASE, headers=purpose)

    assert shown(direct) == {"model": BASE}
    assert record(one, direct)["purpose"] == "eval"
    assert shown(live) == {"arm": "candidate", "model": CANDIDATE}
    assert (refused.status, refused.json["error"]["code"]) == (403, "purpose_not_permitted")
    assert record(one, refused)["outcome"] == "rejected"


def test_a_revoked_key_is_refused_in_every_worker(one: Installation):
    made = one.new_key("default")
    key_id = made.split("_")[2]
    assert ask(one, "ada", key=made).status == 200

    one.ask("POST", f"keys/{key_id}/revoke").raise_for_status()
    one.wait_for_workers()

    answers = [ask(one, "ada", key=made) for _ in range(12)]
    assert {(answer.status, answer.json["error"]["code"]) for answer in answers} == {(401, "invalid_api_key")}
