"""Reports have what has just ended, and say so: beside a shipper, a compaction, new requests, and each other."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from analytics.lake.directory import Directory
from analytics.warehouse.database import Warehouse
from rollout.stores.ledger import LOCK_FILE
from tests.acceptance.callers import Caller, load, now_us
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import CONFIG, Installation, command, installed, until
from tests.fakes.redis_server import redis_server

log = logging.getLogger("acceptance")

SELDOM = CONFIG.replace("seal_every_s = 0.2", "seal_every_s = 3600")
OFTEN = CONFIG.replace("seal_every_s = 0.2", "seal_every_s = 0.1")


def compared(one: Installation) -> dict[str, Any]:
    answer = one.ask("GET", "reports/compare")
    assert answer.status_code == 200, answer.text
    return answer.json()


def requests_in(report: dict[str, Any]) -> int:
    return report["base"]["requests"] + report["candidate"]["requests"]


@pytest.mark.slow
def test_what_has_ended_is_in_the_next_report_though_nothing_is_sealed_and_many_may_look_at_once(tmp_path: Path):
    with installed(tmp_path, config=SELDOM, ends_by=signal.SIGKILL) as one:
        caller = Caller(one)
        behind: list[tuple[int, int, bool]] = []
        for number in (1, 2, 3):
            answer = caller.chat(f"user-{number}", stream=bool(number % 2))
            assert answer.is_complete
            caller.feedback(request_id=answer.request_id, thumb="up")
            report = compared(one)
            is_fresh = answer.ended_at <= report["freshness"]["fresh_to"] <= now_us()
            behind.append((requests_in(report), report["base"]["ratings"] + report["candidate"]["ratings"], is_fresh))
        caller.close()
        assert behind == [(number, number, True) for number in (1, 2, 3)]

        def count(_: int) -> tuple[int, ...]:
            warehouse = Warehouse(Directory(one.state_dir / "lake"), one.state_dir / "journal", limit_s=60)
            with warehouse.connection() as connection:
                [found] = connection.execute(
                    "SELECT count(*), (SELECT count(*) FROM feedback) FROM requests"
                ).fetchall()
            warehouse.close()
            return found

        with ThreadPoolExecutor(6) as pool:
            reports = [pool.submit(compared, one) for _ in range(2)]
            beside = pool.submit(direct, one)
            asked = pool.submit(one.turnout, "sql", "--json", "SELECT count(*) AS n FROM requests")
            counted = pool.submit(one.turnout, "feedback", "count", "--json")
            own = list(pool.map(count, range(2)))
        assert own == [(3, 3)] * 2
        assert [requests_in(report) for report in (beside.result(), *(one.result() for one in reports))] == [3] * 3
        assert json.loads(asked.result().stdout)["rows"] == [[3]], asked.result().stderr
        assert json.loads(counted.result().stdout)[0]["joined"] == 3
        assert not list((one.state_dir / "lake").rglob("*.parquet")), "nothing was sealed"
    until(lambda: not is_held(one), "nobody holds the installation any more")
    found = direct(one)

    assert requests_in(found) == 3
    assert found["freshness"]["warnings"] == []


def direct(one: Installation) -> dict[str, Any]:
    return json.loads(one.turnout("report", "compare", "--direct", "--json").stdout)


def is_held(one: Installation) -> bool:
    with (one.state_dir / LOCK_FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def compacting(one: Installation) -> Iterator[list[int]]:
    """Compact again and again until the block ends; the list has how many files each made."""
    words = ["lake", "compact", "--json", "--state-dir", str(one.state_dir)]
    made: list[int] = []
    is_over = threading.Event()

    def compact() -> None:
        while not is_over.is_set():
            done = subprocess.run(command(*words), capture_output=True, env=one.environment, check=True)
            made.append(json.loads(done.stdout)["files"])

    thread = threading.Thread(target=compact)
    thread.start()
    try:
        yield made
    finally:
        is_over.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_reports_beside_a_compaction_and_requests_that_arrive_have_every_request_once(tmp_path: Path):
    users = [f"user-{number}" for number in range(50)]
    with installed(tmp_path, config=OFTEN) as one:
        with load(one, users) as answers, compacting(one) as made:
            looks: list[tuple[int, int]] = []
            seen = 0
            while len(looks) < 100 or sum(made) < 5:
                ended = len(answers)
                report = compared(one)
                seen = max(seen, requests_in(report))
                looks.append((ended, requests_in(report)))
                assert requests_in(report) == seen, "a request is missing that an earlier report had"
        total = len(answers)
        last = compared(one)

        assert all(answer.is_complete for answer in answers)
        assert not [(ended, found) for ended, found in looks if not ended <= found <= total]
        assert requests_in(last) == total
        assert sum(last["endpoints"].values()) == total


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fleets_report_is_ten_seconds_behind_at_most_busy_or_not_and_says_who_is_silent(tmp_path: Path):
    with redis_server() as redis, fleet(tmp_path, redis) as made:
        made.process = made.process.replace("seal_every_s = 0.5\n", "")
        north, south = (made.add(name, "gateway", is_waited_for=False) for name in ("north", "south"))
        made.add("console", "console")
        for gateway in (north, south):
            made.wait_until_ready(gateway)
        behind_s = [_seen_after_s(made, north, number) for number in range(1, 7)]
        log.info("a fleet's report had a request after %s s", [round(one, 1) for one in behind_s])
        quiet_s = [_told_behind_s(made) for _ in range(20) if not time.sleep(1)]
        log.info("a fleet's report said that it was behind by %s s", [round(one, 1) for one in quiet_s])
        shipper = south.pid("shipper")
        os.kill(shipper, signal.SIGSTOP)
        try:
            gone = until(lambda: bool(warnings(made)), "the silent host is named", within_s=120, pause_s=1)
            log.info("a host whose shipper hangs is silent after %.0f s", gone)
            last = compared(made.console)["freshness"]
        finally:
            os.kill(shipper, signal.SIGCONT)
        until(lambda: not warnings(made), "it is heard of again", within_s=60, pause_s=1)

        assert max(behind_s) <= 10
        assert max(quiet_s) <= 10
        assert [one["is_silent"] for one in last["hosts"]].count(True) == 1
        assert "has told nothing since" in last["warnings"][0]


def warnings(made: Fleet) -> list[str]:
    return compared(made.console)["freshness"]["warnings"]


def _seen_after_s(made: Fleet, one: Installation, number: int) -> float:
    """Send a request, and return how long after its end a report has it."""
    caller = Caller(one)
    assert caller.chat(f"user-{number}").is_complete
    caller.close()
    return until(lambda: requests_in(compared(made.console)) >= number, f"{number} requests are seen", pause_s=0.1)


def _told_behind_s(made: Fleet) -> float:
    """Return how far behind a report says that it is."""
    found = compared(made.console)
    return (found["as_of"] - found["freshness"]["fresh_to"]) / 1_000_000
