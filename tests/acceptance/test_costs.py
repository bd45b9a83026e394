"""What an answer costs, from the bytes of the upstream to the record, equals a bill that was written by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from analytics.pricetable import indexed, price_of
from analytics.record import Record
from gateway.proxy import reply
from gateway.proxy.exchange import Called, Exchange
from gateway.settings.prices import shipped
from tests.acceptance.recorded_usages import CASES, Bill

TABLE = indexed(shipped())


def recorded(model: str, sent: dict[str, Any], *, streamed: bool) -> Record:
    exchange = Exchange({"request_id": "r", "seq": 1, "started_at": 0}, 0.0)
    price = price_of(model, TABLE)
    exchange.dispatched(Called(arm=None, model=model, upstream="openai", price=price, price_version="p1"), 0.0)
    read = reply.read(msgspec.json.encode(sent))
    assert read is not None
    if streamed:
        exchange.saw_chunk(read, 0.5)
        exchange.saw_chunk(reply.Reply(), 0.6)
    else:
        exchange.saw_answer(read)
    return exchange.settle("ok", 1.0, status=200)


def test_there_are_forty_cases_and_each_has_a_name_of_its_own():
    assert len({name for name, *_ in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "sent", "bill"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_recorded_cost_is_the_bill_that_was_written_by_hand(
    model: str, sent: dict[str, Any], bill: Bill, *, streamed: bool
):
    record = recorded(model, sent, streamed=streamed)

    assert record.price_version == "p1"
    if isinstance(bill, str):
        assert (record.cost_usd, record.cost_unknown) == (None, bill)
    else:
        owed = sum((Fraction(count) * Fraction(price) for count, price in bill), Fraction(0)) / 1_000_000
        assert record.cost_unknown is None
        assert record.cost_usd is not None
        assert abs(Fraction(record.cost_usd) - owed) <= Fraction(1, 10**9)
        assert record.cost_usd == pytest.approx(float(owed), rel=1e-12)


@pytest.mark.parametrize(("sent", "bill"), [(case[2], case[3]) for case in CASES], ids=[case[0] for case in CASES])
def test_a_bill_has_every_reported_token_once(sent: dict[str, Any], bill: Bill):
    usage = (sent.get("response") or sent).get("usage") or {}
    into = usage.get("prompt_tokens", usage.get("input_tokens", usage.get("seconds")))
    out = usage.get("completion_tokens", usage.get("output_tokens", 0))
    if not isinstance(bill, str) and into is not None:
        assert sum(count for count, _ in bill) == into + out
