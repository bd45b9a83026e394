from __future__ import annotations

from gateway.simulate.reply import Bill
from gateway.simulate.tally import Cancelled, Kept, Tally

BILL = Bill(input=100, output=20, cached=40, reasoning=5)


def test_an_answer_is_billed_once_with_its_parts():
    tally = Tally(["m"]).models["m"]

    tally.pay(BILL)

    assert (tally.answered, tally.input_tokens, tally.cached_tokens) == (1, 100, 40)
    assert (tally.output_tokens, tally.reasoning_tokens) == (20, 5)


def test_errors_and_refusals_are_counted_by_status():
    tally = Tally(["m"])

    tally.models["m"].failed(500)
    tally.models["m"].failed(500)
    tally.refuse(404)

    assert tally.models["m"].errors == {"500": 2}
    assert tally.refused == {"404": 1}


def test_a_reset_forgets_everything_but_what_is_open():
    tally = Tally(["m"], keep_last=5)
    tally.models["m"].pay(BILL)
    tally.models["m"].open_requests = 2
    tally.models["m"].open_streams = 1
    tally.refuse(404)
    tally.last.append(Kept(path="/", headers=[], body=""))
    tally.cancelled.append(Cancelled(model="m", mark=None, streamed=False, noticed_at=1, after_ms=1.0, tokens_sent=0))

    tally.reset()

    assert tally.models["m"].answered == 0
    assert (tally.models["m"].open_requests, tally.models["m"].open_streams) == (2, 1)
    assert [len(kept) for kept in (tally.refused, tally.last, tally.cancelled)] == [0, 0, 0]


def test_only_the_last_requests_are_kept():
    tally = Tally(["m"], keep_last=2)

    for number in range(3):
        tally.last.append(Kept(path=str(number), headers=[], body=""))

    assert [kept.path for kept in tally.last] == ["1", "2"]
