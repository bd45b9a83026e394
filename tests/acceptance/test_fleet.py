"""Two gateway hosts and a console by one real Redis: changes arrive, and hosts come and go without it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rollout.stores.redis import KEY
from tests.acceptance.callers import Answer, failures, load, spread
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import until
from tests.fakes.object_server import KEY as OBJECTS_KEY
from tests.fakes.object_server import SECRET as OBJECTS_SECRET
from tests.fakes.object_server import Bucket, serving_objects
from tests.fakes.redis_server import redis_server

log = logging.getLogger("acceptance")
USERS = [f"user-{number}" for number in range(40)]
BUSY_S = 10.0
"""Room for a busy machine in the short forms: what they look for is a change that never comes."""
SLOW = [pytest.mark.slow, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with redis_server() as redis, fleet(tmp_path_factory.mktemp("fleet"), redis) as made:
        start(made)
        yield made


def start(made: Fleet) -> None:
    gateways = [made.add(name, "gateway", is_waited_for=False) for name in ("north", "south")]
    made.add("console", "console")
    for gateway in gateways:
        made.wait_until_ready(gateway)


LAKE = """url = "s3://{bucket}/lake"
endpoint_url = "{endpoint}"
region = "us-east-1"
access_key_id = {{ env = "LAKE_KEY_ID" }}
secret_access_key = {{ env = "LAKE_KEY_SECRET" }}
"""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving_objects() as port:
        made = Bucket("fleet", port)
        made.ask("PUT")
        yield made


@pytest.fixture
def stored(tmp_path: Path, bucket: Bucket) -> Iterator[Fleet]:
    """Run the same fleet with a bucket for its lake."""
    lake = LAKE.format(bucket=bucket.name, endpoint=bucket.endpoint)
    environment = {"LAKE_KEY_ID": OBJECTS_KEY, "LAKE_KEY_SECRET": OBJECTS_SECRET}
    with redis_server() as redis, fleet(tmp_path, redis, lake=lake, environment=environment) as made:
        start(made)
        yield made


@contextmanager
def used(one: Fleet) -> Iterator[list[list[Answer]]]:
    """Have every gateway asked by the same users while the block lasts."""
    with ExitStack() as asking:
        yield [asking.enter_context(load(host, USERS, at_once=2, pause_s=0.02)) for host in one.gateways]


def misplaced(answers: Sequence[Sequence[Answer]], percent: float) -> list[tuple[str, str | None]]:
    """Return the buckets and arms of answers that this percent, in force all the time, does not lead to."""
    seen = {(one.headers["x-turnout-bucket"], one.arm) for each in answers for one in each if one.headers}
    return [(bucket, arm) for bucket, arm in seen if arm != ("candidate" if int(bucket) < percent * 100 else "base")]


def change(one: Fleet, percent: float) -> float:
    """Move the percent, and return the seconds until every worker decides by it."""
    return one.wait_for(one.put_percent(percent))


def changes(one: Fleet, count: int, p99_s: float, longest_s: float) -> None:
    took_s = [change(one, number % 90 + 0.5) for number in range(count)]

    took_ms = [each_s * 1000 for each_s in took_s]
    log.info("all workers of both hosts decide by a change %s after the acknowledgement", spread(took_ms))
    assert sorted(took_s)[int(len(took_s) * 0.99) - 1] <= p99_s
    assert max(took_s) <= longest_s


@pytest.mark.parametrize(
    ("count", "p99_s", "longest_s"), [(12, BUSY_S, BUSY_S), pytest.param(1_000, 0.25, 1.0, marks=SLOW)]
)
def test_a_change_is_in_force_on_every_host_within_a_quarter_of_a_second(
    count: int, p99_s: float, longest_s: float, one: Fleet
):
    changes(one, count, p99_s, longest_s)


@pytest.mark.parametrize(("count", "longest_s"), [(4, BUSY_S), pytest.param(1_000, 1.0, marks=SLOW)])
def test_when_all_messages_are_lost_it_is_within_a_second(count: int, longest_s: float, one: Fleet):
    with without_messages(one):
        changes(one, count, longest_s, longest_s)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_with_an_object_store_for_the_lake_it_is_the_same(stored: Fleet, bucket: Bucket):
    changes(stored, 1_000, 0.25, 1.0)
    with without_messages(stored):
        changes(stored, 1_000, 1.0, 1.0)
    with used(stored) as answers:
        time.sleep(0.5)

    asked = sum(map(len, answers))
    assert not [wrong for each in answers for wrong in failures(each)]
    found = stored.settle(bucket.store("/lake"), asked)
    assert (found.sound, found.records) == (True, asked)


@contextmanager
def without_messages(one: Fleet) -> Iterator[None]:
    """Let Redis deliver no message to anybody."""
    one.redis.ask("ACL", "SETUSER", "default", "resetchannels")
    one.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
    try:
        yield
    finally:
        one.redis.ask("ACL", "SETUSER", "default", "allchannels")


def test_the_console_knows_by_which_snapshot_the_workers_of_every_host_decide(one: Fleet):
    version = one.put_percent(25)

    def shown() -> list[str]:
        return sorted(each["snapshot"] for each in one.console.show()["workers"])

    until(
        lambda: shown() == [version] * 4,
        f"the console knows that four workers decide by {version}",
        within_s=60,
        pause_s=0.2,
    )
    found = one.console.show()
    assert len({each["worker"] for each in found["workers"]}) == 4
    assert not [said for said in found["warnings"] if "not decide by" in said]


def test_time_is_not_turned_back_by_an_older_value(one: Fleet):
    version = one.put_percent(10)
    one.wait_for(version)
    old = one.redis.ask("GET", KEY)
    newer = one.put_percent(80)
    one.wait_for(newer)

    one.redis.ask("SET", KEY, old)
    one.redis.ask("PUBLISH", "turnout:snapshot:hint", "new")
    until(lambda: one.redis.ask("GET", KEY) != old, "the console puts the newer one back")

    assert one.versions() == {newer}
    change(one, 20)


@pytest.mark.parametrize("within_s", [BUSY_S * 3, pytest.param(2.0, marks=SLOW)])
def test_a_host_that_starts_without_redis_serves_by_its_own_copy_or_the_lakes(within_s: float, one: Fleet):
    version = one.put_percent(40)
    one.wait_for(version)
    south = next(host for host in one.gateways if host.folder.name == "south")
    one.end(south)
    one.redis.end()
    try:
        began = time.monotonic()
        one.add("south", "gateway")
        own_s = time.monotonic() - began
        began = time.monotonic()
        new = one.add("west", "gateway")
        lakes_s = time.monotonic() - began
        one.wait_for(version)
        with used(one) as answers:
            time.sleep(0.5)
    finally:
        one.redis.start()

    assert not [wrong for each in answers for wrong in failures(each)]
    assert not misplaced(answers, 40)
    log.info("ready without Redis after %.2f s by its own copy, %.2f s by the lake's", own_s, lakes_s)
    assert max(own_s, lakes_s) <= within_s
    change(one, 45)
    one.end(new)
    shutil.rmtree(new.folder)


def test_without_the_console_requests_go_on(one: Fleet):
    with used(one) as answers:
        one.console.kill("console")
        time.sleep(0.5)
    until(lambda: one.console.ask("GET", "status").status_code == 200, "the console is back")

    assert not [wrong for each in answers for wrong in failures(each)]
    change(one, 60)
