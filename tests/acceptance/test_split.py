"""Exactly the users whose bucket is below the percent get the candidate, for as long as the percent stands."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from rollout.bucket import bucket
from tests.acceptance.callers import Caller, ask_all, failures
from tests.acceptance.harness import BASE, CANDIDATE, ROLLOUT, Installation, installed

log = logging.getLogger("acceptance")
MESSAGES: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("split")) as installation:
        yield installation


async def models_by_user(one: Installation, users: int, times: int) -> dict[str, Counter[str]]:
    """Let every user ask several times, by the official client, all mixed up; return which models answered whom."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    turn = asyncio.Semaphore(16)
    async with openai.AsyncOpenAI(base_url=one.base_url, api_key=one.keys["application"], max_retries=0) as client:

        async def ask(user: str, *, stream: bool) -> None:
            async with turn:
                answer: Any = await client.chat.completions.create(
                    model=ROLLOUT, messages=MESSAGES, user=user, stream=stream
                )
                model = [chunk.model async for chunk in answer][-1] if stream else answer.model
                seen[user][model] += 1

        rounds = [(f"user-{number}", each) for each in range(times) for number in range(users)]
        await asyncio.gather(*(ask(user, stream=each % 2 == 1) for user, each in rounds))
    return seen


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("users", "times"), [(200, 5), pytest.param(1_000, 5, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
async def test_every_user_stays_on_the_arm_of_their_bucket(users: int, times: int, one: Installation):
    one.set_percent(30)
    salt = one.show()["salt"]

    began = time.monotonic()
    seen = await models_by_user(one, users, times)
    took_s = time.monotonic() - began

    assert {user: sum(models.values()) for user, models in seen.items()} == {f"user-{n}": times for n in range(users)}
    expected = {user: CANDIDATE if bucket(salt, user.encode()) < 3_000 else BASE for user in seen}
    assert {user: list(models) for user, models in seen.items()} == {user: [model] for user, model in expected.items()}
    share = sum(model == CANDIDATE for model in expected.values()) / users
    log.info("%d users x %d requests in %.1f s: each on one arm, %.1f %% candidate", users, times, took_s, share * 100)


def test_at_10_percent_the_users_of_the_first_ten_hundred_buckets_get_the_candidate_and_no_others(one: Installation):
    one.set_percent(10)
    users = [f"customer-{number}@example.com" for number in range(500)]
    salt = one.show()["salt"]

    answers = ask_all(one, users)

    assert not failures(answers)
    buckets = {user: bucket(salt, user.encode()) for user in users}
    shown = {user: int(answer.headers["x-turnout-bucket"]) for user, answer in zip(users, answers, strict=True)}
    assert shown == buckets
    with_candidate = {user for user, answer in zip(users, answers, strict=True) if answer.arm == "candidate"}
    assert with_candidate == {user for user in users if buckets[user] // 100 < 10}
    assert 20 < len(with_candidate) < 90
    log.info("at 10 %%: %d of %d users have bucket // 100 < 10 and got the candidate", len(with_candidate), len(users))


def test_whois_tells_what_the_gateway_does(one: Installation):
    one.set_percent(50)
    users = [f"who-{number}" for number in range(20)]

    answers = ask_all(one, users)

    told = [one.ask("GET", f"whois?user={user}").raise_for_status().json()[0] for user in users]
    assert [(each["arm"], each["model"]) for each in told] == [
        (answer.arm, answer.headers["x-turnout-model"]) for answer in answers
    ]
    assert {answer.arm for answer in answers} == {"base", "candidate"}


@pytest.mark.parametrize("percent", [0, 0.01, 33.33, 99.99, 100])
def test_the_edge_of_the_percent_is_exact(percent: float, one: Installation):
    one.set_percent(percent)
    salt = one.show()["salt"]
    users = [f"edge-{number}" for number in range(60)]

    answers = ask_all(one, users)

    edge = round(percent * 100)
    assert [answer.arm for answer in answers] == [
        "candidate" if bucket(salt, user.encode()) < edge else "base" for user in users
    ]


def test_a_key_is_one_user_in_whichever_place_it_is_sent(one: Installation):
    one.set_percent(50)
    user = "Zo\u00eb \u200d \u6771\u4eac " + "x" * 40

    places: list[dict[str, Any]] = [{"user": user}, {"safety_identifier": user}, {"metadata": {"user_id": user}}]
    caller = Caller(one)
    answers = [caller.chat(**place) for place in places]
    caller.close()

    expected = str(bucket(one.show()["salt"], user.encode()))
    assert [answer.headers["x-turnout-bucket"] for answer in answers] == [expected] * 3
