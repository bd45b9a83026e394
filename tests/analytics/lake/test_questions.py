from __future__ import annotations

import threading
import time

import duckdb
import pytest

from analytics.lake.questions import Questions

ENDLESS = "SELECT count(*) FROM range(1_000_000_000_000) AS a WHERE range % 7 = 3"


def test_what_runs_is_broken_off_and_what_is_asked_next_is_answered():
    questions = Questions()
    with duckdb.connect() as connection:
        questions.add(connection)
        began_s, is_over = time.monotonic(), threading.Event()

        def break_off() -> None:
            while not is_over.wait(0.05):
                questions.break_off()

        breaking = threading.Thread(target=break_off)
        breaking.start()
        with pytest.raises(duckdb.InterruptException):
            connection.execute(ENDLESS).fetchall()
        is_over.set()
        breaking.join()

        assert time.monotonic() - began_s < 20
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_connection_that_was_taken_out_is_left_alone():
    questions = Questions()
    connection = duckdb.connect()
    questions.add(connection)
    questions.remove(connection)
    connection.close()
    questions.break_off()
