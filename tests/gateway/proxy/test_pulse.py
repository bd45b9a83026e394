from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateway.proxy.pulse import COMMENT, Pulse
from gateway.proxy.sse import payload
from gateway.settings.snapshot import Admission, SplitEntry
from tests.fakes.proxy import DONE, EVENTS, FLAG, SALES, STREAMED, Caller, Moments, ScriptedAnswer, delta, request
from tests.fakes.upstream import until

pytestmark = pytest.mark.anyio


def written(caller: Caller) -> list[bytes]:
    return [message["body"] for message in caller.sent if "body" in message]


async def test_a_silent_stream_is_kept_alive_until_its_end():
    caller, clock = Caller(Moments()), asyncio.get_running_loop().time
    began = clock()

    with Pulse(caller.connection(), clock, 0.05):
        await until(lambda: len(written(caller)) >= 3)
        lasted_s = clock() - began
    seen = len(written(caller))
    await asyncio.sleep(0.2)

    assert seen <= lasted_s / 0.05
    assert set(written(caller)) == {COMMENT}
    assert len(written(caller)) == seen


async def test_a_stream_that_is_written_to_gets_no_comment():
    caller, now = Caller(Moments()), 0.0

    with Pulse(caller.connection(), lambda: now, 0.02) as pulse:
        for _ in range(10):
            await asyncio.sleep(0.05)
            pulse.wrote_at = now = now + 0.05

    assert not written(caller)


async def test_the_first_comment_may_wait_longer_than_those_behind_it():
    caller, clock = Caller(Moments()), asyncio.get_running_loop().time
    began = clock()

    with Pulse(caller.connection(), clock, 0.05, 0.5):
        await until(lambda: bool(written(caller)))
        first_s = clock() - began
        await until(lambda: len(written(caller)) >= 3)

    assert first_s >= 0.54


async def test_comments_do_not_pile_up_before_a_caller_who_does_not_read():
    moments = Moments(leave_at="write")
    caller = Caller(moments)

    with Pulse(caller.connection(), asyncio.get_running_loop().time, 0.02):
        await until(lambda: bool(moments.seen))
        await asyncio.sleep(0.2)

    assert moments.seen == ["write"]


def test_a_comment_is_no_event():
    assert payload(COMMENT) is None


class Slow(ScriptedAnswer):
    """An answer whose every step takes its time."""

    async def chunk(self) -> bytes:
        await asyncio.sleep(0.2)
        return await super().chunk()


async def test_between_the_events_of_a_slow_stream_stand_comments_and_nothing_else():
    first, second = delta("a"), delta("b", finish_reason="stop")
    done = await request(
        first[:9],
        first[9:] + second[:5],
        second[5:],
        DONE,
        body=STREAMED,
        answer_headers=[EVENTS],
        answering=Slow,
        admission=Admission(keep_alive_comment_s=0.05),
    )

    pieces = written(done.caller)
    assert pieces.count(COMMENT) >= 4
    assert b"".join(piece for piece in pieces if piece != COMMENT) == first + second + DONE
    assert done.record.outcome == "ok"
    assert done.caller.is_finished


async def test_a_comment_that_is_due_before_the_first_event_takes_the_head_with_it():
    error = b'data: {"error":{"message":"overloaded"}}\n\n'
    done = await request(
        b": one\n\n",
        error,
        body=STREAMED,
        answer_headers=[EVENTS],
        answering=Slow,
        admission=Admission(keep_alive_comment_s=0.05),
    )

    assert done.caller.status == 200
    assert done.caller.body.startswith(COMMENT)
    assert done.caller.body.replace(COMMENT, b"") == b": one\n\n" + error
    assert (done.record.outcome, done.record.error_class) == ("upstream_error", "error_event")


async def test_a_comment_waits_three_times_as_long_while_base_may_answer():
    class Slower(ScriptedAnswer):
        async def chunk(self) -> bytes:
            await asyncio.sleep(0.6)
            return await super().chunk()

    done = await request(
        delta("a", finish_reason="stop") + DONE,
        body=STREAMED,
        answer_headers=[EVENTS],
        answering=Slower,
        admission=Admission(keep_alive_comment_s=0.5),
        rollouts={SALES: SplitEntry(flag=msgspec.structs.replace(FLAG, percent=100.0))},
    )

    assert done.caller.body == delta("a", finish_reason="stop") + DONE
