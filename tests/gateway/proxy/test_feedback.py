from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from analytics.feedback import Feedback
from gateway.proxy.caller import Header
from gateway.proxy.capture import Contents
from gateway.proxy.feedback import MAX_BODY_BYTES, MAX_COMMENT_CHARACTERS, Feedbacks
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Holder, View
from gateway.settings.schema import Application
from tests.fakes.proxy import AUTHORIZED, Caller, Counts, Journal, Moments, decisions

pytestmark = pytest.mark.anyio
REQUEST = "0199b0c0-0000-7000-8000-00000000000a"
NAMED = {"request_id": REQUEST}


class Desk:
    """A worker's feedback over a journal in memory."""

    def __init__(self, **changes: Any) -> None:
        self.moments = Moments()
        self.journal = Journal(moments=self.moments)
        self.holder = Holder(View(decisions=decisions(**changes), source="ledger"))
        self.feedbacks = Feedbacks(self.holder, self.journal, Contents(self.journal, Counts()), Throttle())

    async def given(self, body: bytes | dict[str, Any], headers: Sequence[Header] = (AUTHORIZED,)) -> Caller:
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        caller = Caller(self.moments, sent, headers=headers, path="/v1/feedback")
        await self.feedbacks.answer(caller.connection())
        return caller

    @property
    def kept(self) -> list[Feedback]:
        return [frame for frame in self.journal.frames if isinstance(frame, Feedback)]


async def test_feedback_is_in_the_journal_before_it_is_answered_with_202():
    desk = Desk()

    caller = await desk.given({"request_id": REQUEST.upper(), "thumb": "up", "signal": "copied", "rating": None})

    [kept] = desk.kept
    assert desk.moments.seen == ["feedback", "start", "finish"]
    assert caller.status == 202
    assert msgspec.json.decode(caller.body) == {"id": kept.feedback_id, "object": "feedback"}
    assert caller.headers["x-request-id"] == kept.feedback_id
    assert uuid.UUID(kept.feedback_id).version == 7
    assert (kept.seq, kept.application, kept.request_id, kept.response_id) == (1, "shop", REQUEST, None)
    assert (kept.thumb, kept.rating, kept.signal) == ("up", None, "copied")


async def test_each_piece_has_the_next_number_and_refused_ones_have_none():
    desk = Desk()

    for body in ({**NAMED, "rating": 1}, {**NAMED, "rating": 6}, {"response_id": "chatcmpl-1", "signal": "edited"}):
        await desk.given(body)

    assert [(kept.seq, kept.response_id, kept.rating, kept.signal) for kept in desk.kept] == [
        (1, None, 1, None),
        (2, "chatcmpl-1", None, "edited"),
    ]


async def test_a_comment_is_content_and_stands_in_no_frame_of_feedback():
    desk = Desk()

    caller = await desk.given({**NAMED, "thumb": "down", "comment": "canary" * 10})

    assert caller.status == 202
    assert "canary" not in repr(desk.journal.frames)


@pytest.mark.parametrize("comment", ["", None, "\U0001f600" * MAX_COMMENT_CHARACTERS])
async def test_a_comment_may_be_empty_or_as_long_as_the_limit(comment: str | None):
    assert (await Desk().given({**NAMED, "thumb": "down", "comment": comment})).status == 202


REFUSED: list[tuple[str, bytes | dict[str, Any], str, str | None]] = [
    ("thumb and rating", {**NAMED, "thumb": "up", "rating": 5}, "invalid_feedback", "rating"),
    ("rating 6", {**NAMED, "rating": 6}, "invalid_feedback", "rating"),
    ("rating 0", {**NAMED, "rating": 0}, "invalid_feedback", "rating"),
    ("rating -1", {**NAMED, "rating": -1}, "invalid_feedback", "rating"),
    ("rating 4.5", {**NAMED, "rating": 4.5}, "invalid_type", "rating"),
    ("rating 4.0", f'{{"request_id":"{REQUEST}","rating":4.0}}'.encode(), "invalid_type", "rating"),
    ("rating 4e0", f'{{"request_id":"{REQUEST}","rating":4e0}}'.encode(), "invalid_type", "rating"),
    ("rating 10**30", f'{{"request_id":"{REQUEST}","rating":1{"0" * 30}}}'.encode(), "invalid_feedback", "rating"),
    ("rating true", {**NAMED, "rating": True}, "invalid_type", "rating"),
    ("rating as text", {**NAMED, "rating": "5"}, "invalid_type", "rating"),
    ("neither id", {"thumb": "up"}, "invalid_feedback", "request_id"),
    ("both ids", {**NAMED, "response_id": "c1", "thumb": "up"}, "invalid_feedback", "response_id"),
    ("no verdict", NAMED, "invalid_feedback", "thumb"),
    ("a comment alone", {**NAMED, "comment": "good"}, "invalid_feedback", "thumb"),
    ("nulls alone", {**NAMED, "thumb": None, "rating": None, "signal": None}, "invalid_feedback", "thumb"),
    ("unknown field", {**NAMED, "thumb": "up", "user": "ann"}, "field_not_allowed", "user"),
    ("unknown signal", {**NAMED, "signal": "liked"}, "invalid_feedback", "signal"),
    ("unknown thumb", {**NAMED, "thumb": "sideways"}, "invalid_feedback", "thumb"),
    ("thumb in capitals", {**NAMED, "thumb": "UP"}, "invalid_feedback", "thumb"),
    ("thumb true", {**NAMED, "thumb": True}, "invalid_type", "thumb"),
    ("no UUID", {"request_id": "req_abc", "thumb": "up"}, "invalid_feedback", "request_id"),
    (
        "a UUID without hyphens",
        {"request_id": REQUEST.replace("-", ""), "thumb": "up"},
        "invalid_feedback",
        "request_id",
    ),
    ("a long id", {"request_id": "0" * 10_000, "thumb": "up"}, "invalid_feedback", "request_id"),
    ("an empty response id", {"response_id": "", "thumb": "up"}, "invalid_feedback", "response_id"),
    ("a long response id", {"response_id": "c" * 257, "thumb": "up"}, "invalid_feedback", "response_id"),
    ("a response id that is a number", {"response_id": 7, "thumb": "up"}, "invalid_type", "response_id"),
    ("a long comment", {**NAMED, "thumb": "up", "comment": "c" * 4001}, "invalid_feedback", "comment"),
    ("a comment that is a list", {**NAMED, "thumb": "up", "comment": []}, "invalid_type", "comment"),
    ("nothing", b"", "invalid_json", None),
    ("half a body", b'{"request_id":"', "invalid_json", None),
    ("a list", b"[]", "invalid_json", None),
    ("no UTF-8", b'{"response_id":"\xff"}', "invalid_json", None),
    ("a lone surrogate", b'{"response_id":"\\ud800","thumb":"up"}', "invalid_json", None),
    ("a field twice", b'{"response_id":"c", "thumb":"up", "thumb":"down"}', "duplicate_field", "thumb"),
    ("a deep nest", b"[" * 20_000, "invalid_json", None),
]


@pytest.mark.parametrize(("body", "code", "param"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_feedback_that_says_what_it_may_not_is_refused_and_not_kept(
    body: bytes | dict[str, Any], code: str, param: str | None
):
    desk = Desk()

    caller = await desk.given(body)

    assert (caller.status, caller.error["code"], caller.error["param"]) == (400, code, param)
    assert caller.error["message"].endswith(".")
    assert "x-request-id" in caller.headers
    assert not desk.journal.frames


async def test_a_body_that_is_too_large_is_refused():
    desk = Desk()

    caller = await desk.given(b"{" + b" " * MAX_BODY_BYTES + b"}")

    assert (caller.status, caller.error["code"]) == (413, "request_too_large")
    assert not desk.journal.frames


async def test_a_compressed_body_is_refused():
    caller = await Desk().given({**NAMED, "thumb": "up"}, headers=[AUTHORIZED, (b"content-encoding", b"gzip")])

    assert (caller.status, caller.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer canary")], [AUTHORIZED, AUTHORIZED]])
async def test_feedback_needs_the_applications_key(headers: list[Header]):
    desk = Desk()

    caller = await desk.given({**NAMED, "thumb": "up"}, headers=headers)

    assert (caller.status, caller.error["code"]) == (401, "invalid_api_key")
    assert not desk.journal.frames


async def test_feedback_has_the_rate_of_requests_in_a_bucket_of_its_own():
    desk = Desk(applications={"shop": Application(requests_per_minute=3)})

    callers = [await desk.given({**NAMED, "thumb": "up"}) for _ in range(4)]

    assert [caller.status for caller in callers] == [202, 202, 202, 429]
    assert callers[-1].error["code"] == "rate_limit_exceeded"
    assert int(callers[-1].headers["retry-after"]) > 0
    assert len(desk.kept) == 3


async def test_a_key_that_was_revoked_while_the_body_came_is_refused():
    desk = Desk()

    class Slow(Caller):
        async def receive(self) -> Any:
            desk.holder.change(decisions=decisions(keys=()))
            return await super().receive()

    caller = Slow(desk.moments, b'{"response_id":"c1","thumb":"up"}', headers=[AUTHORIZED])
    await desk.feedbacks.answer(caller.connection())

    assert caller.status == 401
    assert not desk.journal.frames


async def test_a_caller_that_leaves_within_its_body_is_not_answered():
    desk = Desk()
    caller = Caller(desk.moments, b'{"response_id"', headers=[AUTHORIZED], is_cut=True)

    await desk.feedbacks.answer(caller.connection())

    assert not caller.sent
    assert not desk.journal.frames


async def test_what_fails_in_the_gateway_is_logged_with_its_id_and_told(caplog: pytest.LogCaptureFixture):
    desk = Desk()

    class Failing(Caller):
        async def receive(self) -> Any:
            raise ZeroDivisionError

    caller = Failing(desk.moments, headers=[AUTHORIZED])
    await desk.feedbacks.answer(caller.connection())

    assert (caller.status, caller.error["code"]) == (500, "internal_error")
    [line] = caplog.records
    assert vars(line)["request_id"] == caller.headers["x-request-id"]
