"""A changed configuration is taken up while requests run; a bad one is said, and the last good one stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.bucket import bucket
from tests.acceptance.callers import Answer, Caller, ask_all, failures, load
from tests.acceptance.harness import BASE, BEHAVIOUR, CANDIDATE, ROLLOUT, SIMULATED, Installation, installed, until

SECOND = "ft:gpt-4o-mini:acme:sales-v3:def456"
SECOND_TABLE = f"""
[models."{SECOND}"]
upstream = "tuned"
price = {{ input = 0.30, output = 1.20 }}
"""
USERS = [f"user-{number}" for number in range(100)]


TAKEN_UP = "configuration taken up"
REFUSED = "configuration refused; the last good one stays"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    simulated = {**SIMULATED, "tuned": f'{SIMULATED["tuned"]}\n[models."{SECOND}"]\n{BEHAVIOUR}'}
    with installed(tmp_path_factory.mktemp("reload"), simulated=simulated) as installation:
        yield installation


@pytest.fixture
def one(running: Installation) -> Iterator[Installation]:
    """Yield the installation at 50 percent, and put its configuration back in the end."""
    text = running.config.read_text()
    running.set_percent(50)
    yield running
    take_up(running, text)


def logged(one: Installation, event: str) -> list[dict[str, Any]]:
    return [line for line in one.log() if line["event"] == event]


def edit(one: Installation, text: str, event: str) -> list[dict[str, Any]]:
    """Write the configuration and return what is logged about it, as soon as there is something."""
    before = len(logged(one, event))
    one.config.write_text(text)
    until(lambda: len(logged(one, event)) > before, f"it is logged: {event}", pause_s=0.05)
    return logged(one, event)[before:]


def take_up(one: Installation, text: str) -> None:
    """Write the configuration, and return when all workers decide by it."""
    edit(one, text, TAKEN_UP)
    one.wait_for_workers()


def chat(one: Installation, user: str, **fields: Any) -> Answer:
    caller = Caller(one)
    answer = caller.chat(user, **fields)
    caller.close()
    return answer


def test_a_changed_candidate_starts_the_next_generation_at_percent_0_under_a_new_salt(one: Installation):
    before = one.show()

    with load(one, USERS) as answers:
        time.sleep(0.2)
        text = one.config.read_text().replace(f'candidate = "{CANDIDATE}"', f'candidate = "{SECOND}"')
        take_up(one, text + SECOND_TABLE)
        time.sleep(0.2)

    after = one.show()
    assert not failures(answers)
    assert (after["candidate"], after["percent"]) == (SECOND, 0)
    assert (after["generation"], after["version"]) == (before["generation"] + 1, before["version"] + 1)
    assert after["salt"] != before["salt"]
    assert {answer.arm for answer in ask_all(one, USERS)} == {"base"}
    newest = audit(one)[0]
    assert (newest["action"], newest["actor"]) == ("new_generation", "turnout")
    assert (newest["before"]["candidate"], newest["after"]["candidate"]) == (CANDIDATE, SECOND)
    assert after["salt"] not in json.dumps(audit(one))

    one.set_percent(50)
    answers = ask_all(one, USERS)
    assert [answer.arm for answer in answers] == [
        "candidate" if bucket(after["salt"], user.encode()) < 5_000 else "base" for user in USERS
    ]
    assert {answer.json["model"] for answer in answers} == {BASE, SECOND}
    row = one.record(answers[0].request_id)
    assert (row["generation"], row["percent"]) == (after["generation"], 50)


def audit(one: Installation) -> list[dict[str, Any]]:
    return one.ask("GET", f"rollouts/{ROLLOUT}/history").raise_for_status().json()["entries"]


def test_a_bad_edit_is_said_and_changes_nothing(one: Installation):
    before, text = one.show(), one.config.read_text()
    arms = [answer.arm for answer in ask_all(one, USERS)]

    for bad, place in (
        (text.replace(f'base = "{BASE}"', 'base = "gpt-nowhere"'), f"rollouts.{ROLLOUT}.base"),
        (text.replace("input = 0.15", "input = -1"), f'models."{BASE}".price.input'),
        (text + "\n[nonsense]\nkey = 1\n", "nonsense"),
        (text[: len(text) // 2], "line "),
    ):
        told = edit(one, bad, REFUSED)
        assert place in told[0]["reason"], told
        assert told[0]["path"] == str(one.config)

    names = ("version", "generation", "percent", "salt", "snapshot")
    assert {name: one.show()[name] for name in names} == {name: before[name] for name in names}
    assert [answer.arm for answer in ask_all(one, USERS)] == arms
    take_up(one, text + SECOND_TABLE)
    assert not failures([chat(one, "ada", model=SECOND)])
    assert one.show()["generation"] == before["generation"]


def test_a_new_price_and_a_new_application_leave_the_split_as_it_is(one: Installation):
    before, text = one.show(), one.config.read_text()
    arms = [answer.arm for answer in ask_all(one, USERS)]
    old = one.record(chat(one, "ada", model=CANDIDATE).request_id)

    take_up(one, text.replace("input = 0.30", "input = 3.00") + "\n[applications.web]\nexpose = []\n")

    new = one.record(chat(one, "ada", model=CANDIDATE).request_id)
    assert new["cost_usd"] > old["cost_usd"]
    assert new["price_version"] != old["price_version"]
    names = ("version", "generation", "percent", "salt")
    assert {name: one.show()[name] for name in names} == {name: before[name] for name in names}
    assert [answer.arm for answer in ask_all(one, USERS)] == arms
    assert "x-turnout-arm" not in ask_all(one, ["ada"], key=one.new_key("web"))[0].headers


def test_a_secret_that_the_workers_cannot_resolve_is_said_and_the_last_good_stays(one: Installation):
    text = one.config.read_text()

    unknown = '\n[applications.web]\naccept = [{ env = "KEY_THAT_CAME_LATER" }]\n'
    told = edit(one, text + unknown, "snapshot source in trouble; the last good snapshot stays")

    assert "KEY_THAT_CAME_LATER" in told[0]["reason"]
    assert not failures(ask_all(one, USERS[:20]))
    until(lambda: "not decide by snapshot" in "".join(one.show()["warnings"]), "the console warns")

    take_up(one, text)
    assert not failures(ask_all(one, USERS[:20]))
    assert not one.show()["warnings"]


def test_a_changed_log_level_is_followed_without_a_restart(one: Installation):
    def ids_logged() -> set[str]:
        return {line["request_id"] for line in logged(one, "request")}

    quiet = one.config.read_text()
    take_up(one, f'{quiet}\n[logs]\nlevel = "debug"\n')
    told = chat(one, USERS[0]).headers["x-request-id"]
    until(lambda: told in ids_logged(), "the request is a line of the log")

    take_up(one, quiet)
    # A worker follows the level of its snapshot at its next look, a tenth of a second later.
    time.sleep(0.5)
    untold = chat(one, USERS[0]).headers["x-request-id"]
    one.record(untold)
    assert untold not in ids_logged()


def test_a_rollout_that_leaves_and_returns_keeps_its_state(one: Installation):
    before, text = one.show(), one.config.read_text()

    take_up(one, text.replace(f"[rollouts.{ROLLOUT}]", "[rollouts.other-name]"))
    assert chat(one, "ada").status == 404
    assert chat(one, "ada", model="other-name").arm == "base"
    take_up(one, text)
    assert chat(one, "ada").status == 200

    names = ("generation", "percent", "salt")
    assert {name: one.show()[name] for name in names} == {name: before[name] for name in names}


def test_a_restart_keeps_percent_salt_keys_and_records(tmp_path: Path):
    with installed(tmp_path) as one:
        one.set_percent(50)
        one.force("grace", "candidate")
        before, keys = one.show(), one.keys
        arms = [answer.arm for answer in ask_all(one, USERS)]

    with installed(tmp_path) as one:
        after = one.show()
        assert one.keys == keys
        names = ("version", "generation", "percent", "salt", "forced")
        assert {name: after[name] for name in names} == {name: before[name] for name in names}
        assert [answer.arm for answer in ask_all(one, USERS)] == arms
        assert one.settle().records == 2 * len(USERS)
        assert one.look().sound
