"""Feedback through a running installation: each piece is what was specified, and none that was taken is lost."""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from analytics.lake.directory import Directory
from analytics.lake.layout import Lake
from analytics.lake.parquet import ParquetWriter, row
from analytics.record import Record, uuid7
from analytics.warehouse.database import Warehouse
from analytics.warehouse.feedback import Fates, fates
from tests.acceptance.callers import Answer, Caller, failures, now_us
from tests.acceptance.harness import CONFIG, Installation, installed, until

HOUR_US = 3_600_000_000
OTHER = "\n[applications.other]\n"
AT_ONCE = 6


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path, config=CONFIG + OTHER) as installation:
        yield installation


@dataclass(kw_only=True)
class Said:
    """What was said, and what must become of each piece, by its feedback id."""

    wanted: dict[str, str] = field(default_factory=dict[str, str])
    refused: list[Answer] = field(default_factory=list[Answer])

    def say(self, caller: Caller, wanted: str, **fields: Any) -> None:
        answer = caller.feedback(**fields)
        if answer.status == 202:
            self.wanted[answer.json["id"]] = wanted
        else:
            self.refused.append(answer)


def put_old_requests(one: Installation, count: int, hours: float) -> list[str]:
    """Put requests into the lake that were asked so long ago, as a worker that is gone would have."""
    lake = Lake(one.state_dir / "lake")
    at = now_us() - round(hours * HOUR_US)
    boot = ("worker-old", f"b{round(hours)}")
    records = [
        Record(
            request_id=uuid7(at, number.to_bytes(10)),
            response_id=f"old-{hours}-{number}",
            seq=number,
            started_at=at,
            outcome="ok",
            application="default",
        )
        for number in range(1, count + 1)
    ]
    writer = ParquetWriter(one.folder / f"old-{hours}.ndjson", lake.store)
    writer.write(lake.range_file(boot, 1, 0, 1), boot, [row(record) for record in records])
    writer.close()
    return [record.request_id for record in records]


def early(said: Said, number: int, mine: Caller, theirs: Caller, request_id: str, response_id: str) -> None:
    """Say something of an answer as soon as it is there, by what the request's number is."""
    kind = number % 5
    if kind == 0:
        said.say(mine, "joined", request_id=request_id, thumb="up")
    elif kind == 1:
        said.say(mine, "superseded", request_id=request_id, thumb="up")
        said.say(mine, "superseded", response_id=response_id, rating=2)
        said.say(mine, "joined", request_id=request_id, rating=5, signal="edited")
    elif kind == 2:
        said.say(theirs, "foreign", request_id=request_id, thumb="down")
        said.say(theirs, "foreign", response_id=response_id, signal="copied")
        said.say(mine, "joined", response_id=response_id, signal="regenerated")
    elif kind == 3:
        said.say(mine, "superseded", response_id=response_id, thumb="down")


def late(said: Said, number: int, mine: Caller, request_id: str) -> None:
    """Say something more when the request has long been in the lake."""
    if number % 5 == 3:
        said.say(mine, "joined", request_id=request_id, thumb="up")
    elif number % 5 == 4:
        said.say(mine, "joined", request_id=request_id, rating=number % 4 + 1)
        said.say(mine, "unmatched", request_id=str(uuid.UUID(int=number + 1)), thumb="up")
        said.say(mine, "unmatched", response_id=f"nobody-{number}", thumb="up")


def in_threads(numbers: Sequence[int], work: Callable[[Sequence[int]], None]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(work, [numbers[at::AT_ONCE] for at in range(AT_ONCE)]))


def judged(one: Installation) -> tuple[dict[str, str], list[Fates]]:
    warehouse = Warehouse(Directory(one.state_dir / "lake"), limit_s=60)
    with warehouse.connection() as connection:
        found = connection.execute("SELECT feedback_id::VARCHAR, status FROM judged").fetchall()
    counted = fates(warehouse)
    warehouse.close()
    assert len(dict(found)) == len(found)
    return dict(found), counted


@pytest.mark.parametrize("requests", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_each_piece_of_feedback_is_joined_rejected_or_superseded_as_specified(one: Installation, requests: int) -> None:
    key, other = one.keys["application"], one.new_key("other")
    old, oldest = put_old_requests(one, 40, 47), put_old_requests(one, 40, 49)
    said, asked = Said(), dict[int, str]()
    broken: list[Answer] = []

    def ask_and_say(numbers: Sequence[int]) -> None:
        mine, theirs = Caller(one, key), Caller(one, other)
        for number in numbers:
            answer = mine.chat(f"user-{number % 97}")
            if not answer.is_complete:
                broken.append(answer)
                continue
            asked[number] = answer.request_id
            early(said, number, mine, theirs, answer.request_id, answer.json["id"])
        mine.close()
        theirs.close()

    def say_late(numbers: Sequence[int]) -> None:
        mine = Caller(one, key)
        for number in numbers:
            late(said, number, mine, asked[number])
        mine.close()

    def say_of_old(numbers: Sequence[int]) -> None:
        mine = Caller(one, key)
        for number in numbers:
            said.say(mine, "joined", request_id=old[number], thumb="down")
            said.say(mine, "expired", request_id=oldest[number], thumb="down")
        mine.close()

    in_threads(range(requests), ask_and_say)
    assert (failures(broken), len(asked)) == ([], requests)
    one.settle()
    in_threads(range(requests), say_late)
    in_threads(range(40), say_of_old)
    sound = one.settle()
    found, counted = judged(one)

    assert not said.refused
    assert found == said.wanted
    assert sound.sound
    assert sound.feedback.records == len(said.wanted)
    totals = Counter(said.wanted.values())
    summed = {name: sum(getattr(one, name) for one in counted) for name in totals}
    assert summed == dict(totals)
    assert [(one.application, one.foreign) for one in counted] == [("default", 0), ("other", totals["foreign"])]


def test_feedback_that_was_taken_outlives_the_worker_that_took_it(one: Installation) -> None:
    """202 is a promise: whoever got it finds the piece in the lake, once, whatever happened to the worker."""
    taken: list[str] = []
    over = threading.Event()

    def keep_saying() -> None:
        while not over.is_set():
            caller = Caller(one)
            for _ in range(10):
                answer = caller.feedback(response_id="nobody", thumb="up")
                if answer.status == 202:
                    taken.append(answer.json["id"])
            caller.close()

    threads = [threading.Thread(target=keep_saying) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for worker in ("worker-0", "worker-1", "worker-0"):
            before = len(taken)
            until(lambda before=before: len(taken) > before + 50, "feedback is taken")
            one.kill(worker)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    sound = one.settle()
    found, _ = judged(one)

    assert not [feedback_id for feedback_id in taken if feedback_id not in found]
    assert (sound.sound, sound.feedback.missing, sound.feedback.duplicate_feedback_ids) == (True, 0, 0)


def test_a_file_of_feedback_is_imported_whole_and_counted(one: Installation) -> None:
    caller = Caller(one)
    asked = [caller.chat(f"user-{number}").request_id for number in range(60)]
    caller.close()
    path = one.folder / "feedback.csv"
    path.write_text("request_id,rating,comment\n" + "".join(f"{request_id},4,good\n" for request_id in asked))

    dry = one.turnout("feedback", "import", str(path), "--dry-run")
    wrong = one.turnout("feedback", "import", str(path), "--key", "tn_app_000000000000_x")
    done = one.turnout("feedback", "import", str(path), "--json")
    again = one.turnout("feedback", "import", str(path))
    one.settle()
    counted = one.turnout("feedback", "count", "--json")

    assert (dry.returncode, wrong.returncode, done.returncode, again.returncode) == (0, 1, 0, 0), again.stderr
    assert "refuses the key" in wrong.stderr
    assert json.loads(done.stdout) | {"sent": 60, "failed": 0} == json.loads(done.stdout)
    [found] = json.loads(counted.stdout)
    assert (found["joined"], found["superseded"]) == (60, 60)
