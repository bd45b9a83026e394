"""Processes are killed at random while questions are asked and the trace is replayed: nothing is lost or counted twice.

A caller whose worker is killed sees a broken connection. What was delivered whole is in the lake, once; what was sent
to the model and not delivered is there as `interrupted`. The shipper is killed at any moment, each second time
after it has settled something.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.harness import Installation, until
from tests.fakes.oracle_client import Asked, asking
from tests.faults.laboratory import Laboratory, laboratory, replaying

log = logging.getLogger("faults")
pytestmark = pytest.mark.timeout(300)
WORKERS = 3
RUN_S = 600.0


def kill_workers(one: Installation, draw: Random, times: int, count: Callable[[], int], requests: int) -> None:
    """Kill a worker at random moments, evenly spread over the requests; each worker in the middle of its work.

    What was killed may lie there for a moment as if it were at work: it is not killed once more.
    """
    killed: set[int] = set()
    for number in range(times):
        enough = requests * (number + draw.random()) / times
        until(lambda enough=enough: count() >= enough, "more answers come", within_s=RUN_S)
        worker = f"worker-{draw.randrange(WORKERS)}"
        until(lambda worker=worker: is_busy(one, worker, killed), f"{worker} has something to do")
        killed.add(one.kill(worker))


def is_busy(one: Installation, worker: str, killed: Collection[int]) -> bool:
    page = one.pages().get(worker)
    return page is not None and page.pid == one.pid(worker) and page.pid not in killed and page.in_flight > 0


def sealed(one: Installation) -> int:
    return len(list(one.state_dir.glob("lake/incoming/*.parquet")))


def fates(asked: Sequence[Asked]) -> Counter[str]:
    return Counter(one.fate for one in asked)


def assert_replays_are_recorded(lab: Laboratory, summaries: Sequence[dict]) -> int:
    """Check that the lake has what the replays were answered, and what their models have seen; return the former."""
    (row,) = lab.one.lake(
        "SELECT count(*) AS records, count(*) FILTER (WHERE outcome = 'ok') AS ok FROM records "
        "WHERE rollout = 'sales-companion'",
        settled=False,
    )
    answered = sum(summary["requests"] - summary["failed"] for summary in summaries)
    seen = sum(counts["requests"] for server in lab.one.simulated.values() for counts in server.counts().values())
    assert 0 < answered <= row["ok"]
    assert seen <= row["records"]
    return answered


@pytest.mark.parametrize(
    ("requests", "kills"),
    [
        pytest.param(1_000, 3, marks=pytest.mark.slow),
        pytest.param(10_000, 30, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_killed_workers_lose_no_record_of_a_delivered_answer(
    requests: int, kills: int, fault_seed: int, tmp_path: Path
):
    with laboratory(tmp_path, workers=WORKERS) as lab:
        with (
            replaying(lab.one, rows=requests // 5) as replays,
            asking(lab.target, fault_seed, at_once=24, renewed_every=20) as asked,
        ):
            kill_workers(lab.one, Random(fault_seed), kills, lambda: len(asked), requests)
            until(lambda: len(asked) >= requests, "all is asked", within_s=RUN_S)

        found = lab.verify(asked, unfinished={"interrupted"})

        ended, replayed = fates(asked), assert_replays_are_recorded(lab, replays)
        log.info(
            "%d kills: %s; %d replayed; lake: %s, %d torn", kills, ended, replayed, found.outcomes, found.quarantined
        )
        assert ended.keys() == {"whole", "broken"}
        assert 0 < ended["broken"] < len(asked) / 10
        assert found.outcomes.keys() == {"ok", "interrupted"}
        assert found.quarantined <= kills
        assert 1 / 3 < sum(one.stream for one in asked) / len(asked) < 2 / 3


@pytest.mark.parametrize(
    ("requests", "kills"),
    [
        pytest.param(1_000, 5, marks=pytest.mark.slow),
        pytest.param(10_000, 50, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_killed_shipper_loses_and_doubles_nothing(requests: int, kills: int, fault_seed: int, tmp_path: Path):
    draw = Random(fault_seed)
    with laboratory(tmp_path) as lab:
        with replaying(lab.one, rows=requests // 5) as replays, asking(lab.target, fault_seed, at_once=8) as asked:
            for number in range(kills):
                if number % 2 == 0:
                    files = sealed(lab.one)
                    until(lambda files=files: sealed(lab.one) > files, "the shipper has settled something")
                time.sleep(draw.uniform(0.0, 1.0))
                dead = lab.one.kill("shipper")
                until(lambda dead=dead: lab.one.pid("shipper") != dead, "the shipper runs again")
            until(lambda: len(asked) >= requests, "all is asked", within_s=RUN_S)

        found = lab.verify(asked)

        replayed = assert_replays_are_recorded(lab, replays)
        log.info("%d kills: %d asked; %d replayed; lake: %s", kills, len(asked), replayed, found.outcomes)
        assert fates(asked) == {"whole": len(asked)}
        assert not sum(summary["failed"] for summary in replays)
        assert found.outcomes.keys() == {"ok"}
        assert found.quarantined == 0
