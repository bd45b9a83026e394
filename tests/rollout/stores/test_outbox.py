from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from rollout.notice import Notice
from rollout.stores.outbox import OUTBOX_FILE, Outbox, OutboxError, delivery_id, open_outbox, passing_outbox

HELD = Notice(what="hold_for_24_h", words="nothing is concluded", at=5, rollout="sales", generation=1, step=2)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(open_outbox(tmp_path)) as opened:
        yield opened


def test_a_notice_is_kept_for_everybody_who_is_to_be_told(outbox: Outbox):
    assert outbox.keep(HELD, ["ops", "team"])

    assert outbox.webhooks() == {"ops": 1, "team": 1}
    [delivery] = outbox.waiting("ops")
    assert (delivery.id, delivery.notice, delivery.attempts) == (delivery_id(HELD, "ops"), HELD, 0)
    assert outbox.waiting("team")[0].id != delivery.id
    assert outbox.waiting("nobody") == []


def test_the_same_event_is_taken_once_even_after_it_was_told(outbox: Outbox):
    outbox.keep(HELD, ["ops"])
    outbox.end(outbox.waiting("ops")[0])

    assert not outbox.keep(replace(HELD, words="still nothing", at=9), ["ops"])
    assert outbox.webhooks() == {}


def test_attempts_and_what_is_over_outlive_the_process(tmp_path: Path):
    with closing(open_outbox(tmp_path)) as outbox:
        outbox.keep(HELD, ["ops", "team"])
        outbox.failed(outbox.waiting("ops")[0])
        outbox.end(outbox.waiting("team")[0])
        outbox.remember("webhooks", "[]")
        outbox.remember("webhooks", "[1]")

    with closing(open_outbox(tmp_path)) as outbox:
        assert [delivery.attempts for delivery in outbox.waiting("ops")] == [1]
        assert outbox.waiting("team") == []
        assert outbox.remembered("webhooks") == "[1]"
        assert outbox.remembered("other") is None


def test_notices_wait_in_their_order_and_the_oldest_are_forgotten(tmp_path: Path):
    with closing(open_outbox(tmp_path, kept=3)) as outbox:
        for mark in ("a", "b", "c", "d"):
            outbox.keep(replace(HELD, mark=mark), ["ops"])

        assert [delivery.notice.mark for delivery in outbox.waiting("ops")] == ["b", "c", "d"]
        assert outbox.keep(replace(HELD, mark="a"), [])


def test_many_threads_and_another_process_may_use_one_file(tmp_path: Path, outbox: Outbox):
    with closing(open_outbox(tmp_path)) as other:
        taken: list[bool] = []

        def announce(which: Outbox) -> None:
            taken.extend(which.keep(replace(HELD, step=step), ["ops"]) for step in range(20))

        threads = [threading.Thread(target=announce, args=(which,)) for which in (outbox, other, outbox)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sum(taken) == 20
    assert len(outbox.waiting("ops")) == 20


def test_a_damaged_outbox_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / OUTBOX_FILE).write_bytes(b"no database at all " * 100)

    with closing(open_outbox(tmp_path)) as outbox:
        assert outbox.keep(HELD, ["ops"])

    assert (tmp_path / f"{OUTBOX_FILE}.broken").exists()
    assert "put aside" in caplog.text


def test_a_damaged_outbox_that_cannot_be_put_aside_is_an_error(tmp_path: Path):
    (tmp_path / OUTBOX_FILE).write_bytes(b"no database at all " * 100)
    (tmp_path / f"{OUTBOX_FILE}.broken").mkdir()

    with pytest.raises(OutboxError, match="damaged"):
        open_outbox(tmp_path)


def test_an_outbox_that_cannot_be_opened_is_an_error(tmp_path: Path):
    with pytest.raises(OutboxError, match="cannot be opened"):
        open_outbox(tmp_path / "missing")


def test_an_outbox_in_memory_stands_in_for_one_that_cannot_be_opened():
    with closing(passing_outbox()) as outbox:
        assert outbox.keep(HELD, ["ops"])
        assert outbox.webhooks() == {"ops": 1}


def test_what_cannot_be_kept_is_an_error(tmp_path: Path, outbox: Outbox):
    with closing(sqlite3.connect(tmp_path / OUTBOX_FILE)) as other:
        other.execute("DROP TABLE deliveries")
        other.commit()

    with pytest.raises(OutboxError):
        outbox.keep(HELD, ["ops"])
    with pytest.raises(OutboxError):
        outbox.waiting("ops")
