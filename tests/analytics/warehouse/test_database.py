from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import duckdb
import pytest

from analytics.lake.columns import COLUMNS, FEEDBACK_COLUMNS
from analytics.lake.directory import Directory
from analytics.warehouse.database import (
    QuestionLimitError,
    UnreadableLakeError,
    Warehouse,
    WarehouseError,
)
from tests.fakes.handmade_lake import HandmadeLake, record

LONG = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3"


def types(warehouse: Warehouse, view: str) -> dict[str, str]:
    with warehouse.connection([view]) as connection:
        return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {view}").fetchall()}


def count(warehouse: Warehouse, view: str) -> int:
    with warehouse.connection([view]) as connection:
        [(number,)] = connection.execute(f"SELECT count(*) FROM {view}").fetchall()
        return number


@pytest.mark.parametrize("view", ["requests", "feedback"])
def test_a_lake_that_is_not_there_yet_is_an_empty_one(tmp_path: Path, view: str) -> None:
    warehouse = Warehouse(Directory(tmp_path / "nowhere"))

    assert count(warehouse, view) == 0
    warehouse.close()


def test_an_empty_lake_has_the_columns_and_types_of_a_full_one(warehouse: Warehouse, lake: HandmadeLake) -> None:
    empty = types(warehouse, "requests")
    lake.put([record(1)])

    assert empty == types(warehouse, "requests") == COLUMNS
    assert types(warehouse, "feedback") == FEEDBACK_COLUMNS


def test_a_file_that_comes_later_is_in_the_next_answer(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(1)])
    before = count(warehouse, "requests")
    lake.put([record(2), record(3)])

    assert (before, count(warehouse, "requests")) == (1, 3)


def test_a_request_that_lies_in_two_files_counts_once(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(1), record(2)])
    lake.put([record(2), record(3)])

    assert count(warehouse, "requests") == 3


def test_of_an_interrupted_and_a_settled_row_the_settled_one_counts(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(1, outcome="interrupted")])
    lake.put([record(1, outcome="ok")])
    lake.put([record(1, outcome="interrupted")])
    with warehouse.connection() as connection:
        assert connection.execute("SELECT outcome FROM requests").fetchall() == [("ok",)]


def test_feedback_that_lies_in_two_files_counts_once(warehouse: Warehouse, lake: HandmadeLake) -> None:
    one = {"feedback_id": UUID(int=1), "thumb": "up"}
    lake.put_feedback([one])
    lake.put_feedback([one, {"feedback_id": UUID(int=2), "rating": 4}])

    assert count(warehouse, "feedback") == 2


def test_a_column_that_older_files_lack_is_null_there(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(1)])
    [name] = lake.lake.files()
    path = lake.root / name
    older = path.with_name("w0-b1-000009-0-1.parquet")
    duckdb.sql(
        f"COPY (SELECT * EXCLUDE (request_id, output_audio_tokens), uuid() AS request_id FROM '{path}') "
        f"TO '{older}' (FORMAT parquet)"
    )

    assert count(warehouse, "requests") == 2
    assert types(warehouse, "requests")["output_audio_tokens"] == "INTEGER"


def test_a_folder_whose_name_looks_like_a_pattern_is_read(tmp_path: Path, lake: HandmadeLake) -> None:
    lake.put([record(1)])
    odd = tmp_path / "it's [a]*?"
    shutil.copytree(lake.root, odd / "lake")
    warehouse = Warehouse(Directory(odd / "lake"))

    assert count(warehouse, "requests") == 1
    warehouse.close()


def test_a_file_that_is_no_parquet_is_named_in_the_error(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(1)])
    (lake.root / "incoming/w0-b1-000002-0-1.parquet").write_bytes(b"no parquet at all")

    with pytest.raises(UnreadableLakeError, match=r"w0-b1-000002-0-1\.parquet"):
        count(warehouse, "requests")


def test_a_question_that_takes_too_long_is_broken_off_and_the_next_one_answered(lake: HandmadeLake) -> None:
    warehouse = Warehouse(Directory(lake.root), limit_s=2.0)
    began = time.monotonic()
    with pytest.raises(QuestionLimitError, match="longer than"), warehouse.connection() as connection:
        connection.execute(LONG).fetchall()

    assert time.monotonic() - began < 30
    assert count(warehouse, "requests") == 0
    warehouse.close()


def test_who_waits_too_long_for_others_is_told(lake: HandmadeLake) -> None:
    warehouse = Warehouse(Directory(lake.root), limit_s=2.0)
    with warehouse.connection(), warehouse.connection(), pytest.raises(QuestionLimitError, match="busy"):
        count(warehouse, "requests")

    assert count(warehouse, "requests") == 0
    warehouse.close()


def test_many_threads_may_ask_at_once(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(number) for number in range(1, 101)])
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: count(warehouse, "requests"), range(40)))

    assert answers == [100] * 40


def test_settings_are_locked_and_nothing_is_installed_on_the_way(warehouse: Warehouse) -> None:
    with warehouse.connection() as connection:
        names = ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions")
        settings = [connection.execute(f"SELECT current_setting('{name}')").fetchall()[0][0] for name in names]
        with pytest.raises(duckdb.InvalidInputException, match="locked"):
            connection.execute("SET memory_limit = '4GB'")

    assert settings == [False, False, False]


def test_an_answered_question_leaves_no_thread_behind(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put([record(1)])
    before = threading.active_count()

    for _ in range(5):
        assert count(warehouse, "requests") == 1
        assert threading.active_count() == before


def test_who_closes_breaks_off_what_is_asked_and_does_not_wait_for_it(lake: HandmadeLake) -> None:
    lake.put([record(1)])
    warehouse, is_asked = Warehouse(Directory(lake.root)), threading.Event()

    def ask() -> None:
        with warehouse.connection(["requests"]) as connection:
            is_asked.set()
            connection.execute(LONG)

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask)
        assert is_asked.wait(10)
        warehouse.close()
        with pytest.raises(WarehouseError, match="this process ends"):
            asking.result(10)
