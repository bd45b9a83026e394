"""A gateway that never ran before starts while Redis is away, by the copy of the snapshot in the fleet's lake."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from string import Template
from uuid import uuid4

import pytest

from analytics.lake.directory import Directory
from analytics.lake.store import Store
from gateway.settings.last_good import LAKE_COPY
from tests.acceptance.callers import failures, load
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import until
from tests.fakes.object_server import KEY, SECRET, Bucket, serving_objects
from tests.fakes.redis_server import redis_server

log = logging.getLogger("acceptance")
IN_A_BUCKET = Template("""url = "s3://$bucket/lake"
endpoint_url = "http://127.0.0.1:$port"
region = "us-east-1"
access_key_id = { env = "LAKE_KEY_ID" }
secret_access_key = { env = "LAKE_KEY_SECRET" }
""")
BUSY_S = 30.0
"""Room for a busy machine in the short form: what it looks for is a host that never comes up."""


@pytest.fixture(scope="module", params=["directory", "objects"])
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Run a fleet whose console has left its copy, and whose Redis is gone."""
    folder: Path = tmp_path_factory.mktemp("fleet")
    lake, environment, bucket = None, {}, None
    with ExitStack() as running:
        if request.param == "objects":
            bucket = Bucket(f"t-{uuid4()}", running.enter_context(serving_objects()))
            bucket.ask("PUT")
            lake = IN_A_BUCKET.substitute(bucket=bucket.name, port=bucket.port)
            environment = {"LAKE_KEY_ID": KEY, "LAKE_KEY_SECRET": SECRET}
        redis = running.enter_context(redis_server())
        made = running.enter_context(fleet(folder, redis, lake=lake, environment=environment))
        made.add("console", "console")
        version = made.put_percent(40)
        store: Store = bucket.store("/lake") if bucket else Directory(folder / "lake")

        def is_left() -> bool:
            return b'"percent":40.0' in (store.read(LAKE_COPY) or b"")

        until(is_left, f"the lake has a copy of {version}")
        redis.end()
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("starts", "longest_s"), [(1, BUSY_S), pytest.param(10, 2.0, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
def test_without_redis_a_new_gateway_is_ready_within_two_seconds(starts: int, longest_s: float, one: Fleet):
    took_s: list[float] = []
    for number in range(starts):
        began = time.monotonic()
        host = one.add(f"gateway-{starts}-{number}", "gateway")
        took_s.append(time.monotonic() - began)
        with load(host, ["user-1", "user-2"], at_once=1, pause_s=0.02) as answers:
            until(lambda: len(answers) > 5, "callers are answered")
        assert not failures(answers)
        one.end(host)

    log.info("cold starts without Redis took %s s", [round(each, 2) for each in took_s])
    assert sorted(took_s)[len(took_s) // 2] <= longest_s, (
        "what every second start takes, whatever else this machine does"
    )
