"""Somebody removes what running workers have open: nothing that was answered goes unrecorded, and no log fills."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.callers import ask_all, failures
from tests.acceptance.harness import Installation, installed, until

pytestmark = pytest.mark.timeout(120)
WORKERS = 2
USERS = [f"user-{number}" for number in range(40)]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Installation]:
    with installed(tmp_path) as installation:
        until(lambda: len(installation.pages()) == WORKERS, "both workers have begun")
        yield installation


def said(one: Installation, event: str) -> list[str]:
    """Return the processes that said it, once for each time."""
    return [line["process"] for line in one.log() if line["event"] == event]


def test_a_journal_that_is_removed_under_running_workers_loses_no_record(one: Installation):
    event = "a journal segment was removed while it was written; it is written anew"
    answers = ask_all(one, USERS)
    shutil.rmtree(one.state_dir / "journal", ignore_errors=True)
    answers += ask_all(one, USERS)
    until(lambda: set(said(one, event)) == set(one.pages()), "every worker has noticed")
    answers += ask_all(one, USERS)

    assert not failures(answers)
    recorded = [str(row["request_id"]) for row in one.lake("SELECT request_id FROM records")]
    assert sorted(recorded) == sorted(answer.request_id for answer in answers)
    assert [page.lost for page in one.pages().values()] == [0] * WORKERS
    assert len(said(one, event)) == WORKERS


def test_removed_limits_are_said_once_by_each_worker(one: Installation):
    event = "could not look for workers that are gone"
    shutil.rmtree(one.state_dir / "run" / "limits-1")
    until(lambda: len(said(one, event)) == WORKERS, "every worker has said it")
    time.sleep(1.5)

    assert len(said(one, event)) == len(set(said(one, event))) == WORKERS
    assert not failures(ask_all(one, USERS))
