"""Two gateway hosts, each with a journal of its own: a total outage of the candidate ends on both within seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.lake.objects import ObjectStore
from tests.acceptance.callers import failures, load
from tests.acceptance.controlled import (
    BUSY_S,
    DISPATCHED,
    LAKE,
    USERS,
    WIDE,
    comes_to_stand,
    defined,
    gate,
    models,
    one_step,
    steps,
)
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import ROLLOUT, until
from tests.fakes.object_server import KEY, SECRET, Bucket, serving_objects
from tests.fakes.redis_server import redis_server

log = logging.getLogger("acceptance")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serving_objects() as port:
        made = Bucket("decided", port)
        made.ask("PUT")
        yield made


def start(one: Fleet) -> None:
    """Start two gateways and the console, and then the plan; return when all workers decide by it.

    They seal as often as those do who set nothing, so what is measured is what these see.
    """
    one.process = one.process.replace("seal_every_s = 0.5\n", "")
    gateways = [one.add(name, "gateway", is_waited_for=False) for name in ("north", "south")]
    one.add("console", "console")
    for gateway in gateways:
        one.wait_until_ready(gateway)
    body = {"version": one.console.show()["version"], "reason": "a test"}
    one.console.ask("POST", f"rollouts/{ROLLOUT}/start", body).raise_for_status()
    one.wait_for(one.console.show()["snapshot"])


def brought(lake: Path | ObjectStore, folder: Path) -> Path:
    """Return a directory that has the files that records came in."""
    if isinstance(lake, Path):
        return lake / "incoming"
    for number, name in enumerate(lake.names("incoming")):
        if name.endswith(".parquet"):
            lake.bring(f"incoming/{name}", folder / f"{number}.parquet")
    return folder


def since_the_first_failure(files: Path) -> list[dict[str, Any]]:
    """Return seconds and candidate's requests: of every worker of every host, and in the last row of all."""
    with duckdb.connect() as connection:
        connection.read_parquet(str(files / "*.parquet")).create_view("records")
        answer = connection.sql(f"SELECT boot, {DISPATCHED} GROUP BY ROLLUP (boot) ORDER BY boot NULLS LAST")
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def ended_within_seconds(one: Fleet, lake: Path | ObjectStore, folder: Path) -> None:
    """Run into a total outage in mid-step, and measure until the last dispatch on either host."""
    start(one)
    console = one.console
    with ExitStack() as asking:
        answers = [asking.enter_context(load(host, USERS, at_once=4, pause_s=0.1)) for host in one.gateways]
        until(lambda: gate(console)["report"] is not None, "the gate has spoken", within_s=60, pause_s=0.5)
        time.sleep(20)
        text = console.config.read_text()
        console.config.write_text(text.replace(one.simulated["tuned"].base_url, "http://127.0.0.1:9/v1"))
        comes_to_stand(console, "rolled_back", within_s=120)
        one.wait_for(console.show()["snapshot"])
        time.sleep(2)
    asked = sum(map(len, answers))
    assert not [wrong for each in answers for wrong in failures(each)]
    one.settle(lake, asked)
    *workers, both = since_the_first_failure(brought(lake, folder))
    log.warning(
        "outage, two gateway hosts: %.1f s and %d candidate requests until the last dispatch; by worker: %s; %s in all",
        both["seconds"],
        both["requests"],
        ", ".join(f"{worker['requests']}" for worker in workers),
        f"{asked:,} requests",
    )

    assert both["seconds"] <= BUSY_S
    assert gate(console)["report"]["is_fast_kill"]
    assert [(action, percent) for action, percent, *_ in steps(console)] == [("start", 30.0), ("roll_back", 0.0)]


def test_from_a_total_outage_to_the_last_dispatch_on_either_host_are_seconds(tmp_path: Path):
    definitions = defined(one_step(30, 120, ["errors"], WIDE))
    with redis_server() as redis, fleet(tmp_path, redis, definitions=definitions, simulated=models()) as one:
        ended_within_seconds(one, tmp_path / "lake", tmp_path)


def test_with_an_object_store_for_the_lake_they_are_seconds_too(tmp_path: Path, bucket: Bucket):
    definitions = defined(one_step(30, 120, ["errors"], WIDE))
    lake = LAKE.format(bucket=bucket.name, endpoint=bucket.endpoint)
    environment = {"LAKE_KEY_ID": KEY, "LAKE_KEY_SECRET": SECRET}
    (tmp_path / "brought").mkdir()
    with (
        redis_server() as redis,
        fleet(tmp_path, redis, lake=lake, environment=environment, definitions=definitions, simulated=models()) as one,
    ):
        ended_within_seconds(one, bucket.store("/lake"), tmp_path / "brought")
