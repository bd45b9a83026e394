"""Two hosts, one bucket, and an object store of whose calls every third fails: nothing is lost, nothing is double."""

from __future__ import annotations

import itertools
import json
import logging
import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from analytics.lake.verify import NoLakeError, verify
from tests.acceptance.harness import CONFIG, ROLLOUT, Installation, installed, until
from tests.fakes.object_server import KEY, SECRET, Bucket, Fate, SpoilingProxy, serving_objects
from tests.fakes.plain import PLAIN

LAKE = """[lake]
url = "s3://{bucket}/lake"
endpoint_url = "http://127.0.0.1:{port}"
region = "us-east-1"
access_key_id = {{ env = "LAKE_KEY_ID" }}
secret_access_key = {{ env = "LAKE_KEY_SECRET" }}
"""
log = logging.getLogger("acceptance")
FATES: Sequence[Fate] = ("500", "reset", "reset_after", "late")
MIXED: Sequence[Fate] = ("500", "hold", "reset", "reset_after", "late", *FATES)
"""Calls that nobody answers are rare: each is waited for longer than all others together."""


@pytest.fixture(scope="module")
def proxy() -> Iterator[SpoilingProxy]:
    with serving_objects() as port, SpoilingProxy(port).running() as running:
        yield running


@pytest.fixture
def bucket(proxy: SpoilingProxy) -> Bucket:
    proxy.judge = lambda _method, _path: "pass"
    made = Bucket(f"t-{uuid.uuid4()}", proxy.port)
    made.ask("PUT")
    return made


def hosts(folder: Path, bucket: Bucket, running: ExitStack, names: Sequence[str]) -> list[Installation]:
    lake = LAKE.format(bucket=bucket.name, port=bucket.port)
    config = CONFIG.replace("[lake]\n", lake).replace("workers = 2", "workers = 1")
    environment = {"LAKE_KEY_ID": KEY, "LAKE_KEY_SECRET": SECRET}

    def start(name: str) -> Installation:
        (folder / name).mkdir()
        return running.enter_context(installed(folder / name, config=config, environment=environment))

    return [start(name) for name in names]


def ask(one: Installation, count: int, over: threading.Event | None = None) -> int:
    """Ask so often, and then now and then until it is over; return how often."""
    headers = {"authorization": f"Bearer {one.keys['application']}"}
    with httpx.Client(base_url=one.base_url, headers=headers, trust_env=False, verify=PLAIN, timeout=30) as client:
        for number in itertools.count():
            if number >= count and (over is None or over.wait(0.05)):
                return number
            body = {"model": ROLLOUT, "messages": [{"role": "user", "content": "hello"}], "stream": number % 2 == 0}
            answer = client.post("/chat/completions", json=body, headers={"x-user-id": f"user-{number}"})
            assert answer.status_code == 200
    raise AssertionError


def verified(one: Installation) -> dict[str, Any]:
    done = one.turnout("lake", "verify", "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def settled(both: Sequence[Installation], bucket: Bucket, count: int) -> None:
    """Wait until neither journal holds a record that is not in the lake."""
    store = bucket.store("/lake")

    def is_over() -> bool:
        try:
            found = [verify(store, one.state_dir / "journal") for one in both]
        except NoLakeError:
            return False
        return all(not (one.waiting or one.open) and one.records >= count for one in found)

    until(is_over, f"{count} records are in the lake", within_s=180, pause_s=0.5)


def let_go(both: Sequence[Installation], proxy: SpoilingProxy, requests: int) -> None:
    """Let the store be away until both shippers have said so, and come back."""
    judge, proxy.judge = proxy.judge, lambda _method, _path: "reset"
    for one in both:
        ask(one, requests)
    until(lambda: all(said(one, "store_away") for one in both), "both shippers say that the store is away")
    proxy.judge = judge
    until(
        lambda: all(said(one, "store_back") for one in both), "both shippers have found the store again", within_s=180
    )


@pytest.mark.slow
def test_a_host_writes_and_reads_a_lake_in_a_bucket_and_shows_nobody_what_opens_it(tmp_path: Path, bucket: Bucket):
    with ExitStack() as running:
        [one] = hosts(tmp_path, bucket, running, ["one"])
        ask(one, 10)
        settled([one], bucket, 10)
        found = verified(one)
        compared = one.turnout("report", "compare", "--json")

    assert (found["sound"], found["records"]) == (True, 10), found
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["base"]["requests"] == 10
    assert not (one.state_dir / "lake").exists()
    assert not [path for path in one.folder.rglob("*") if holds(path, SECRET)]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("requests", "kills"), [(200, 2), (2000, 10)])
def test_two_hosts_with_every_third_call_failing_and_shippers_killed_lose_and_double_nothing(
    tmp_path: Path, proxy: SpoilingProxy, bucket: Bucket, requests: int, kills: int
):
    fates, calls, rng = itertools.cycle(MIXED), itertools.count(1), random.Random(11)
    over, before = threading.Event(), proxy.fates.copy()
    with ExitStack() as running:
        both = hosts(tmp_path, bucket, running, ["one", "two"])
        proxy.judge = lambda _method, _path: "pass" if next(calls) % 3 else next(fates)
        with ThreadPoolExecutor(2) as asking:
            asked = [asking.submit(ask, one, requests, over) for one in both]
            try:
                for one in both * kills:
                    enough = proxy.fates.total() + rng.randrange(2, 12)
                    until(lambda enough=enough: proxy.fates.total() >= enough, "shippers call the store", within_s=90)
                    one.kill("shipper")
            finally:
                over.set()
            more = 10
            count = sum(each.result() + more for each in asked)
        spoiled = proxy.fates - before
        let_go(both, proxy, more)
        settled(both, Bucket(bucket.name, proxy.target_port), count)
        proxy.judge = lambda _method, _path: "pass"
        found = verified(both[0])
        compared = answered(both[1])
        counted = both[1].turnout("feedback", "count", "--json", "--lake", f"s3://{bucket.name}/lake")
        logs = "".join((one.folder / "serve.log").read_text() for one in both)

    assert found["sound"], found
    assert found["records"] == count
    assert (found["missing"], found["duplicate_request_ids"], found["duplicate_seqs"]) == (0, 0, 0)
    assert len({beat["host"] for beat in found["heartbeats"]}) == 2
    assert compared["base"]["requests"] == count
    assert counted.returncode == 0, counted.stderr
    log.info("%d requests; calls while shippers were killed: %s", count, dict(spoiled))
    assert all(spoiled[fate] for fate in MIXED) or kills < 10
    assert SECRET not in logs
    assert not [path for one in both for path in one.state_dir.rglob("*") if holds(path, SECRET)]


def answered(one: Installation) -> dict[str, Any]:
    """Return the report; of so many small objects a busy machine does not always have it in time."""
    said: list[str] = []

    def is_told() -> bool:
        done = one.turnout("report", "compare", "--json")
        said[:] = [done.stdout, done.stderr]
        return done.returncode == 0

    until(is_told, "the report of the lake", within_s=180)
    return json.loads(said[0])


def said(one: Installation, event: str) -> bool:
    return any(line["event"] == event for line in one.log())


def holds(path: Path, secret: str) -> bool:
    return path.is_file() and secret.encode() in path.read_bytes()
