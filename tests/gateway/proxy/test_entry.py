from __future__ import annotations

import logging
import uuid

import pytest

from analytics.record import Opened, Record
from gateway.proxy.entry import new_request_id
from gateway.proxy.exchange import Called
from tests.fakes.proxy import Counts, Journal, Moments, entry_of

CALLED = Called(arm=None, model="gpt", upstream="one", price=None, price_version="p1")


def test_a_request_is_opened_and_closed_under_one_id_and_number():
    journal, tally = Journal(moments=Moments()), Counts()
    entry = entry_of(journal, tally)
    assert (tally.requests, tally.in_flight) == (1, 1)

    entry.open(CALLED, 600.0)
    entry.received()
    record = entry.close("ok", status=200)

    (opened,) = journal.opened
    assert journal.frames == [opened, record]
    assert (opened.request_id, opened.seq) == (record.request_id, record.seq) == (entry.request_id, 1)
    assert opened.deadline_at == opened.started_at + 600_000_000
    assert (record.outcome, record.status, record.model_served) == ("ok", 200, "gpt")
    assert tally.in_flight == 0


def test_a_second_close_changes_nothing():
    journal, tally = Journal(moments=Moments()), Counts()
    entry = entry_of(journal, tally)

    first = entry.close("rejected", status=400, error_class="invalid_json")

    assert entry.close("ok", status=200) is first
    assert journal.record is first
    assert tally.in_flight == 0


def test_a_request_that_never_had_a_frame_takes_no_number():
    journal = Journal(moments=Moments())
    entry_of(journal, Counts())

    record = entry_of(journal, Counts()).close("rejected", status=401)

    assert record.seq == 1


def test_a_refused_request_has_only_its_record():
    journal = Journal(moments=Moments())

    entry_of(journal, Counts()).close("rejected", status=401, error_class="invalid_api_key")

    assert not [frame for frame in journal.frames if isinstance(frame, Opened)]
    assert journal.record.upstream is None


def test_durations_come_from_the_clock_that_was_given():
    entry = entry_of(Journal(moments=Moments()), Counts())

    assert entry.now() == 0.01
    assert entry.close("ok", status=200).latency_ms == 20.0


def test_at_level_debug_a_request_is_one_line_without_its_user(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "turnout.proxy")
    entry = entry_of(Journal(moments=Moments()), Counts())
    entry.exchange.learn(model_requested="sales", application="shop", user_hash=b"u" * 16, tags={"team": "a"})
    entry.open(CALLED, 600.0)
    entry.close("ok", status=200)
    entry.close("ok", status=200)

    (line,) = caplog.records
    told = {name: value for name, value in vars(line).items() if name in Record.__struct_fields__}
    assert line.getMessage() == "request"
    assert told == {
        "request_id": entry.request_id,
        "application": "shop",
        "model_requested": "sales",
        "model_served": "gpt",
        "stream": False,
        "outcome": "ok",
        "status": 200,
        "latency_ms": told["latency_ms"],
    }


def test_at_level_info_a_request_is_no_line(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "turnout.proxy")

    entry_of(Journal(moments=Moments()), Counts()).close("ok", status=200)

    assert not caplog.records


def test_a_request_id_is_a_uuid_of_version_7():
    first, second = (uuid.UUID(new_request_id(1_800_000_000_000_000)) for _ in range(2))

    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert first != second
    assert first.int >> 80 == second.int >> 80 == 1_800_000_000_000
