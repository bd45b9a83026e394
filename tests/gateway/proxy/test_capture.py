from __future__ import annotations

from typing import Any

import msgspec
import pytest

from analytics.content import MAX_BODY_BYTES, Content
from analytics.feedback import Feedback
from analytics.record import uuid7
from gateway.proxy.caller import Connection
from gateway.proxy.capture import Contents
from gateway.proxy.snapshot import Caller as Admitted
from gateway.settings.schema import Application
from tests.fakes.proxy import (
    BODY,
    DONE,
    EVENTS,
    SALES,
    STREAMED,
    USAGE,
    WHOLE,
    Caller,
    Counts,
    Journal,
    Moments,
    Request,
    delta,
    request,
)

pytestmark = pytest.mark.anyio
DAY_US = 86_400_000_000


def application(content: str, **settings: Any) -> dict[str, Any]:
    return {"applications": {"shop": msgspec.convert({"content": content, **settings}, Application)}}


def kept(done: Request) -> dict[str, Content]:
    return {content.kind: content for content in done.journal.contents}


async def test_nothing_is_kept_nor_looked_at_unless_it_is_wanted():
    done = await request(WHOLE)

    assert not done.journal.contents
    assert done.tally.content_lost == 0


async def test_a_request_and_its_answer_are_kept_as_the_caller_sees_them_after_the_answer_is_out():
    done = await request(WHOLE, **application("full", content_days=3))

    found, record = kept(done), done.record
    assert (found["request"].body, found["answer"].body) == (BODY, WHOLE)
    assert done.moments.seen[-3:] == ["upstream closed", "content", "content"]
    assert done.moments.seen.index("finish") < done.moments.seen.index("content")
    for content in found.values():
        assert (content.application, content.request_id, content.response_id) == ("shop", record.request_id, "c1")
        assert (content.endpoint, content.user_hash) == ("chat.completions", record.user_hash)
        assert content.user_hash is not None
        assert (content.captured_at, content.expires_at) == (record.started_at, record.started_at + 3 * DAY_US)
        assert (content.size_bytes, content.is_truncated) == (len(content.body), False)
    assert found["answer"].content_type == "application/json"
    assert [content.seq for content in done.journal.contents] == [1, 2]


async def test_a_streams_events_are_joined_without_what_the_gateway_writes_between_them():
    stream = (delta("a"), b": keep-alive\n\n", delta("b"), USAGE, DONE)

    done = await request(*stream, body=STREAMED, answer_headers=[EVENTS], **application("full"))

    assert kept(done)["request"].body == STREAMED
    assert kept(done)["answer"].body == delta("a") + delta("b") + DONE


async def test_an_answer_that_the_caller_left_is_kept_as_far_as_it_came():
    stream = (delta("a"), delta("b"), DONE)

    done = await request(*stream, body=STREAMED, answer_headers=[EVENTS], leave_at="chunk 2", **application("full"))

    assert done.record.outcome == "client_cancelled"
    assert kept(done)["answer"].body == delta("a")


@pytest.mark.parametrize("body", [b"canary", b'{"model":"nothing","messages":"canary"}'])
async def test_a_request_that_no_model_was_sent_is_not_kept(body: bytes):
    done = await request(WHOLE, body=body, **application("full"))

    assert done.record.outcome == "rejected"
    assert not done.journal.contents
    assert done.tally.content_lost == 0


async def test_bodies_are_cut_at_the_limit_and_say_so():
    text = "x" * 600_000
    body = msgspec.json.encode({"model": SALES, "user": "ann", "messages": [text, text]})

    done = await request(WHOLE, body=[body[:700_000], body[700_000:]], max_body_bytes=5_000_000, **application("full"))

    content = kept(done)["request"]
    assert (content.body, content.size_bytes, content.is_truncated) == (body[:MAX_BODY_BYTES], len(body), True)
    assert not kept(done)["answer"].is_truncated


async def test_sampling_goes_by_the_requests_id():
    one = await request(WHOLE, **application("sampled", content_sample=1.0))
    none = await request(WHOLE, **application("sampled", content_sample=1e-9))

    assert set(kept(one)) == {"request", "answer"}
    assert not kept(none)


class Tapped:
    """One connection with a tap, over contents that may hold so many bytes."""

    def __init__(self, held_bytes: int) -> None:
        self.moments, self.tally = Moments(), Counts()
        self.journal = Journal(moments=self.moments)
        self.contents = Contents(self.journal, self.tally, held_bytes=held_bytes)
        self.caller = Caller(self.moments, b"asked" * 10)
        self.connection: Connection = self.caller.connection()
        shop = Admitted(name="shop", application=Application(content="full"))
        tap = self.contents.tap(self.connection, shop, uuid7(1, bytes(10)))
        assert tap is not None
        self.tap = tap

    async def exchange(self) -> None:
        await self.connection._receive()  # noqa: SLF001 - what `body` does, without its limits
        await self.connection.start(200, [])
        await self.connection.finish(b"answered" * 10)


async def test_what_does_not_fit_into_memory_is_dropped_and_counted_by_the_piece():
    done = await request(WHOLE, **application("full"))
    tight = Tapped(held_bytes=100)
    await tight.exchange()
    room_then = tight.contents.room.held_bytes
    tight.tap.keep(done.record)

    assert room_then == 0
    assert not tight.journal.contents
    assert tight.tally.content_lost == 2
    assert tight.contents.number() == 3


async def test_memory_is_given_back_when_content_is_written():
    done = await request(WHOLE, **application("full"))
    roomy = Tapped(held_bytes=1000)
    await roomy.exchange()
    held_bytes = roomy.contents.room.held_bytes
    roomy.tap.keep(done.record)
    roomy.tap.keep(done.record)

    assert (held_bytes, roomy.contents.room.held_bytes) == (130, 0)
    assert [content.kind for content in roomy.journal.contents] == ["request", "answer"]
    assert roomy.tally.content_lost == 0


async def test_what_the_journal_refuses_is_counted():
    done = await request(WHOLE, **application("full"))

    class Refusing(Journal):
        def append_content(self, content: Content) -> bool:
            return False

    tapped = Tapped(held_bytes=1000)
    tapped.contents._journal = Refusing(moments=tapped.moments)  # noqa: SLF001 - a disk that refuses
    await tapped.exchange()
    tapped.tap.keep(done.record)

    assert tapped.tally.content_lost == 2


async def test_what_is_dropped_before_the_end_was_not_lost():
    done = await request(WHOLE, **application("full"))
    tapped = Tapped(held_bytes=1000)
    await tapped.exchange()
    tapped.tap.drop()
    tapped.tap.keep(done.record)

    assert not tapped.journal.contents
    assert tapped.tally.content_lost == 0


def test_a_comment_is_kept_where_its_application_keeps_content():
    journal, tally = Journal(moments=Moments()), Counts()
    contents = Contents(journal, tally)
    said = Feedback(feedback_id="f", seq=1, received_at=7, application="shop", response_id="c1", thumb="up")
    shops = [Admitted(name="shop", application=Application(content=mode)) for mode in ("none", "sampled", "full")]

    assert [contents.comment(shop, said, "gut \u00e4") for shop in shops] == [False, True, True]
    content = journal.contents[0]
    assert (content.kind, content.body, content.feedback_id) == ("comment", "gut \u00e4".encode(), "f")
    assert (content.response_id, content.captured_at, content.expires_at) == ("c1", 7, 7 + 30 * DAY_US)
