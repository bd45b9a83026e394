"""What an operator does takes hold at once in every worker, under load; when the console dies, requests go on."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.acceptance.callers import Answer, Caller, failures, load, now_us, spread
from tests.acceptance.harness import ROLLOUT, Installation, command, installed, until

log = logging.getLogger("acceptance")
USERS = [f"user-{number}" for number in range(50)]
BUSY_MS = 4_000
"""Room for a busy machine in the short forms: what they look for is a change that never comes."""
SLOW = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("changes")) as installation:
        yield installation


def put_percent(one: Installation, percent: float) -> tuple[int, str]:
    """Move the percent; return when that was acknowledged (microseconds since 1970 UTC) and the snapshot's version."""
    body = {"percent": percent, "version": one.show()["version"]}
    view = one.ask("PUT", f"rollouts/{ROLLOUT}/percent", body).raise_for_status().json()
    return now_us(), view["snapshot"]


def pages_follow_ms(one: Installation, acknowledged_at: int, snapshot: str) -> float:
    """Wait until every worker's status page shows the version; return the milliseconds since the acknowledgement."""
    until(lambda: one.versions() == {snapshot}, f"all workers decide by {snapshot}", pause_s=0.005)
    return (now_us() - acknowledged_at) / 1000


def order(snapshot: str) -> tuple[int, int]:
    """Return what `epoch.version` sorts by."""
    epoch, version = snapshot.split(".")
    return int(epoch), int(version)


@pytest.mark.parametrize(("changes", "limit_ms"), [(10, BUSY_MS), pytest.param(100, 1_000, marks=SLOW)])
def test_a_percent_is_in_force_in_all_workers_within_a_second(changes: int, limit_ms: float, one: Installation):
    acknowledged: list[tuple[int, str]] = []
    began_at = now_us()
    with load(one, USERS) as answers:
        pages_ms: list[float] = []
        for number in range(changes):
            at, snapshot = put_percent(one, 20 + number % 2 * 40 + number / 100)
            acknowledged.append((at, snapshot))
            pages_ms.append(pages_follow_ms(one, at, snapshot))
            time.sleep(0.05)

    assert not failures(answers)
    rows = one.lake(
        "SELECT worker, epoch_us(started_at) AS at, snapshot_version FROM records "
        f"WHERE epoch_us(started_at) > {began_at}"
    )
    late_ms = [
        max((row["at"] - at) / 1000 for row in rows if order(row["snapshot_version"]) < order(snapshot))
        for at, snapshot in acknowledged
    ]
    assert len(rows) == len(answers)
    assert {row["worker"] for row in rows} == set(one.pages())
    log.info("status pages show it after %s", spread(pages_ms))
    log.info("last request decided by the old version %s after the acknowledgement", spread(late_ms))
    assert max(pages_ms) <= limit_ms
    assert max(late_ms) <= limit_ms


def test_no_worker_ever_goes_back_to_an_older_version(one: Installation):
    with load(one, USERS, pause_s=0.002):
        for percent in (5, 55, 25, 75):
            put_percent(one, percent)
            time.sleep(0.2)

    for worker in one.pages():
        rows = one.lake(f"SELECT snapshot_version FROM records WHERE worker = '{worker}' ORDER BY boot, seq")
        versions = [order(row["snapshot_version"]) for row in rows]
        assert len(set(versions)) > 2
        assert versions == sorted(versions)


def set_at_once(one: Installation, percents: tuple[str, str]) -> list[tuple[int, str]]:
    """Let two operators who have seen the same version move the percent at once; return exit code and words of each."""
    version = str(one.show()["version"])
    begun = [
        subprocess.Popen(
            command("rollout", "set", ROLLOUT, percent, "--if-version", version),
            env=one.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for percent in percents
    ]
    return [(each.wait(), said[0] + said[1]) for each in begun if (said := each.communicate(timeout=30))]


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=SLOW)])
def test_of_two_operators_at_once_one_wins_and_the_other_is_told_what_happened(times: int, one: Installation):
    for number in range(times):
        before = one.show()
        percents = (f"{30 + number / 10:g}", f"{60 + number / 10:g}")

        ended = set_at_once(one, percents)

        after = one.show()
        assert sorted(code for code, _ in ended) == [0, 1], ended
        [won] = [percent for percent, (code, _) in zip(percents, ended, strict=True) if code == 0]
        [told] = [words for code, words in ended if code == 1]
        assert (after["percent"], after["version"]) == (float(won), before["version"] + 1)
        assert f"now at version {after['version']} with {won} %" in told
        assert f"changed by {after['changed_by']}" in told
        assert f"you saw version {before['version']}" in told
    history = one.ask("GET", f"rollouts/{ROLLOUT}/history?verify=true").raise_for_status().json()
    assert history["whole"]
    moved = [entry["after"]["version"] for entry in history["entries"] if entry["action"] == "set_percent"]
    assert len(moved) == len(set(moved))


def test_of_many_changes_to_one_version_exactly_one_is_made(one: Installation):
    before = one.show()
    bodies = [{"percent": 5 + number, "version": before["version"]} for number in range(12)]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda body: one.ask("PUT", f"rollouts/{ROLLOUT}/percent", body), bodies))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11
    [made] = [answer.json() for answer in answers if answer.status_code == 200]
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409} == {"version_conflict"}
    assert (one.show()["percent"], one.show()["version"]) == (made["percent"], before["version"] + 1)


def test_a_killed_console_costs_no_request_and_comes_back(one: Installation):
    one.set_percent(50)
    with load(one, USERS) as answers:
        time.sleep(0.3)
        dead = one.kill("console")
        back_s = until(lambda: answers_again(one), "the console is back")
        assert one.pid("console") != dead
        one.set_percent(40)
        time.sleep(0.3)

    assert not failures(answers)
    assert len(answers) > 50
    assert one.show()["percent"] == 40
    log.info("console killed: back after %.1f s; 0 of %d requests failed", back_s, len(answers))


def answers_again(one: Installation) -> bool:
    try:
        return one.ask("GET", "status").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(("times", "limit_ms"), [(2, BUSY_MS), pytest.param(20, 300, marks=SLOW)])
def test_force_base_sends_everybody_to_base_at_once_and_its_removal_restores(
    times: int, limit_ms: float, one: Installation
):
    one.set_percent(100)
    path = one.state_dir / "force-base"
    last_ms: list[float] = []
    restored_ms: list[float] = []
    with load(one, USERS, pause_s=0.002) as answers:
        for _ in range(times):
            path.touch()
            at = now_us()
            until(lambda: bool(answers) and answers[-1].arm == "base", "base answers")
            time.sleep(0.5)
            last_ms.append(last_answer_ms(answers, "candidate", at))
            path.unlink()
            at = now_us()
            until(lambda: answers[-1].arm == "candidate", "the candidate answers again")
            time.sleep(0.3)
            restored_ms.append(last_answer_ms(answers, "base", at))

    assert not failures(answers)
    log.info("force-base: the last candidate answer ended %s after the file came", spread(last_ms))
    log.info("force-base: the last base answer ended %s after the file went", spread(restored_ms))
    assert max(last_ms) <= limit_ms
    assert max(restored_ms) <= limit_ms
    reasons = one.lake("SELECT DISTINCT arm_served FROM records WHERE reason = 'disabled'")
    assert reasons == [{"arm_served": "base"}]


def last_answer_ms(answers: Sequence[Answer], arm: str, since: int) -> float:
    """Return how long after a moment the last answer of an arm ended: 0 when all had ended before."""
    return max(0.0, *((answer.ended_at - since) / 1000 for answer in list(answers) if answer.arm == arm))


def test_force_base_needs_no_console(one: Installation):
    one.set_percent(100)
    caller = Caller(one)

    assert caller.chat("ada").arm == "candidate"
    one.kill("console")
    (one.state_dir / "force-base").touch()
    took_s = until(lambda: all(caller.chat("ada").arm == "base" for _ in range(3)), "base answers")
    (one.state_dir / "force-base").unlink()
    until(lambda: answers_again(one), "the console is back")
    until(lambda: all(caller.chat("ada").arm == "candidate" for _ in range(10)), "the candidate answers")
    caller.close()

    assert took_s * 1000 <= BUSY_MS
