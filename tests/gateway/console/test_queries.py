from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from analytics.lake.place import Place
from analytics.warehouse.sandbox import Answer
from analytics.warehouse.walls import landlock_version
from gateway.console import queries as module
from gateway.console.queries import (
    MOST_WAITING,
    CancelledError,
    Format,
    Queries,
    Question,
    body,
    known_format,
    warn_of_missing_walls,
)
from gateway.console.running import Asker, NoAnswerError
from gateway.errors import BadRequestError, NotFoundError
from gateway.settings.schema import Sql
from tests.fakes.handmade_lake import HandmadeLake, record

ALICE = Asker(key="a", name="analyst key a (alice)", role="analyst")
BOB = Asker(key="b", name="analyst key b (bob)", role="analyst")
OPS = Asker(key="o", name="ops key o", role="ops")
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3"
GREEDY = "SELECT count(DISTINCT hash(range)) FROM range(6000000)"
"""Needs more than 256 MiB and less than 1 GiB."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> HandmadeLake:
    made = HandmadeLake(tmp_path_factory.mktemp("lake"))
    now_us = time.time_ns() // 1000
    made.put([record(number, application="sales") for number in range(1, 4)])
    made.put([record(4, application="legal", started_at=now_us), record(5, application="sales", started_at=now_us)])
    return made


@pytest.fixture(scope="module")
def queries(lake: HandmadeLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queries]:
    folder = tmp_path_factory.mktemp("state") / "sql"
    made = Queries(Sql(timeout_s=60), Place(url=str(lake.root)), folder, steps_back=False)
    yield made
    made.close()
    assert not folder.exists()


def asked(
    queries: Queries, query: str, *, who: Asker = ALICE, form: Format = "json", name: str | None = None
) -> Answer:
    with queries.registered(name, who) as cancellation:
        return queries.answer(Question(query=query), form, who, cancellation)


def test_the_days_of_the_settings_are_what_is_asked_and_hours_reach_further(queries: Queries):
    assert asked(queries, "SELECT count(*) FROM requests").text == b"[2]\n"
    assert asked(queries, "SELECT sum(requests) FROM hourly").text == b"[5]\n"
    assert json.loads(asked(queries, "SELECT min(hour) FROM hourly").text)[0].startswith("2026-09-21 14:")


def test_an_asker_with_applications_sees_these_alone(queries: Queries):
    scoped = Asker(key="s", name="analyst key s", role="analyst", applications=("legal",))

    assert asked(queries, "SELECT application FROM requests", who=scoped).text == b'["legal"]\n'


def test_ops_may_use_more_memory_than_analysts(queries: Queries):
    with pytest.raises(BadRequestError, match="256 MiB") as refused:
        asked(queries, GREEDY)

    assert refused.value.code == "query_limit"
    assert asked(queries, GREEDY, who=OPS).rows == 1


def test_what_is_wrong_with_a_query_is_said_in_duckdbs_words(queries: Queries):
    with pytest.raises(BadRequestError, match='"statuss" not found') as refused:
        asked(queries, "SELECT statuss FROM requests")

    assert refused.value.code == "invalid_query"


def test_every_query_is_logged_with_who_asked_it_and_how_it_ended(queries: Queries, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "turnout.console")
    asked(queries, "SELECT 1 AS one")
    with pytest.raises(BadRequestError):
        asked(queries, "DROP TABLE requests", who=BOB)

    told = [vars(line) for line in caplog.records]
    facts = [(line["by"], line["query"], line["outcome"], line["rows"]) for line in told]
    assert facts == [(ALICE.name, "SELECT 1 AS one", "ok", 1), (BOB.name, "DROP TABLE requests", "invalid_query", 0)]


def test_a_query_is_ended_by_who_asked_it_or_by_ops_and_by_no_other_analyst(queries: Queries):
    ended: list[object] = []

    def ask() -> None:
        try:
            ended.append(asked(queries, ENDLESS, name="mine"))
        except CancelledError as error:
            ended.append(error.code)

    for who in (ALICE, OPS):
        thread = threading.Thread(target=ask)
        thread.start()
        give_up_s = time.monotonic() + 60
        while not cancelled(queries, "mine", who) and time.monotonic() < give_up_s:
            assert not cancelled(queries, "mine", BOB)
            time.sleep(0.02)
        thread.join()

    assert ended == ["query_cancelled", "query_cancelled"]


def cancelled(queries: Queries, name: str, who: Asker) -> bool:
    try:
        queries.statements.cancel(name, who)
    except NotFoundError:
        return False
    return True


def test_a_query_that_was_cancelled_while_it_waited_does_not_begin(queries: Queries):
    with queries.registered("mine", ALICE) as cancellation:
        queries.statements.cancel("mine", ALICE)
        with pytest.raises(CancelledError):
            queries.answer(Question(query="SELECT 1"), "json", ALICE, cancellation)


def test_closing_ends_what_runs(lake: HandmadeLake, tmp_path: Path):
    queries = Queries(Sql(timeout_s=60), Place(url=str(lake.root)), tmp_path / "sql")
    with queries.registered("mine", ALICE) as cancellation:
        queries.close()

        assert cancellation.is_set


def test_a_lake_that_cannot_be_read_is_told_as_such(tmp_path: Path):
    HandmadeLake(tmp_path)
    (tmp_path / "incoming/w0-b1-000009-0-1.parquet").write_bytes(b"no parquet at all")
    queries = Queries(Sql(), Place(url=str(tmp_path)), tmp_path / "sql")

    with pytest.raises(NoAnswerError, match="cannot be read"):
        asked(queries, "SELECT 1")
    queries.close()


@pytest.mark.anyio
async def test_when_too_many_wait_the_next_one_is_refused(tmp_path: Path):
    queries = Queries(Sql(), Place(url=str(tmp_path)), tmp_path / "sql")

    async def wait() -> None:
        async with queries.turns:
            pass

    async with anyio.create_task_group() as group:
        for _ in range(module.AT_ONCE):
            await queries.turns.acquire_on_behalf_of(object())
        for _ in range(MOST_WAITING):
            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(NoAnswerError, match="wait already"), queries.registered(None, ALICE):
            pass
        group.cancel_scope.cancel()
    queries.close()


@pytest.mark.parametrize(("form", "start"), [("csv", b'"one"\n1\n'), ("parquet", b"PAR1"), ("json", b'{"as_of":')])
def test_an_answer_comes_in_every_format(queries: Queries, form: Format, start: bytes):
    assert body(asked(queries, "SELECT 1 AS one", form=form), form).startswith(start)


def test_a_format_that_there_is_not_is_refused():
    assert known_format("csv") == "csv"
    with pytest.raises(BadRequestError, match="json, csv, parquet"):
        known_format("xlsx")


def test_a_kernel_without_landlock_is_said_in_the_log(caplog: pytest.LogCaptureFixture):
    warn_of_missing_walls()

    assert bool(caplog.records) == (landlock_version() == 0)
