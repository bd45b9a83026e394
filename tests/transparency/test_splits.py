"""Streams cut anywhere: the client's bytes are the same, wherever the upstream's bytes come apart.

Proved here at the pure passage, which decides what of a stream passes: every place of every stream shape, alone, and a
thousand random sets of places. Proved here over real sockets: a sample of both, through a running installation, cut
between and within the chunks of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.proxy.exchange import Exchange
from gateway.proxy.passage import Passage
from tests.fakes.reciting import cut
from tests.transparency.comparison import USAGE_PATHS, assert_same_bytes, without_comments
from tests.transparency.shape import Call
from tests.transparency.shapes.every import STREAMED
from tests.transparency.stage import Stage

RANDOM_CUTS = 1000
LONG_BYTES = 10_000
"""A longer stream has one event that is long, whose places are alike: of those, a sample is taken."""


FRAGMENTS = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b": hi", b":", b"data:", b"data: ", b"data", b"event: x", b"id: 1"),
    *(
        b"[DONE]",
        b'{"choices":[{"delta":{"content":"a"}}]}',
        b'{"choices":[],"usage":{}}',
        b'{"error":{}}',
        b'{"type":',
    ),
    *(b'"error"}', b'{"choices":[],"usage":{"prompt_tokens":1}}', b"\xef\xbb\xbf", b"\xff\x00", b"{", b"}", b" "),
)
"""What streams are made of, and what breaks them."""


def passed(pieces: Sequence[bytes], *, withholds_usage: bool) -> bytes:
    """Return what the client gets of these pieces."""
    passage = Passage(Exchange({"request_id": "r", "seq": 1, "started_at": 0}, 0.0), withholds_usage=withholds_usage)
    return b"".join([*[passage.take(piece, 1.0) for piece in pieces], passage.rest(1.0)])


def places(stream: bytes, drawn: Random) -> list[int]:
    """Return every place in a stream, or a sample of a long one with all that is near a line's end."""
    if len(stream) <= LONG_BYTES:
        return list(range(1, len(stream)))
    ends = [at for at, byte in enumerate(stream) if byte in b"\r\n"]
    near = {place for end in ends for place in range(end - 8, end + 8)}
    return sorted(near | {drawn.randrange(1, len(stream)) for _ in range(100)})


def drawn_places(stream: bytes, drawn: Random) -> tuple[int, ...]:
    """Return a few places, or many."""
    return tuple(drawn.randrange(1, len(stream)) for _ in range(drawn.choice((2, 3, 5, 9, 40))))


@pytest.mark.parametrize("call", STREAMED, ids=lambda call: call.name)
def test_whatever_the_places_at_which_a_stream_is_cut_the_passage_gives_the_same_bytes(call: Call):
    drawn = Random(call.name)
    withholds = call.shape.path in USAGE_PATHS and call.usage != "asked"
    stream = call.answer.said(asks_usage=True)
    due = call.answer.said(asks_usage=not withholds)
    count = RANDOM_CUTS if len(stream) <= LONG_BYTES else RANDOM_CUTS // 20

    for place in places(stream, drawn):
        assert_same_bytes(passed([stream[:place], stream[place:]], withholds_usage=withholds), due, f"cut at {place}")
    for _ in range(count):
        chosen = drawn_places(stream, drawn)
        assert_same_bytes(passed(cut(stream, chosen), withholds_usage=withholds), due, f"cut at {chosen}")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30), st.lists(st.integers(1, 500), max_size=12), st.booleans())
def test_whatever_a_stream_is_made_of_its_cuts_change_nothing_and_nothing_is_added(
    fragments: list[bytes],
    places: list[int],
    withholds_usage: bool,  # noqa: FBT001 - drawn, not chosen
):
    stream = b"".join(fragments)

    uncut = passed([stream], withholds_usage=withholds_usage)

    assert passed(cut(stream, places), withholds_usage=withholds_usage) == uncut
    assert passed([bytes([byte]) for byte in stream], withholds_usage=withholds_usage) == uncut
    assert uncut == stream or (withholds_usage and b'"usage":{' in stream)


@pytest.mark.parametrize("call", STREAMED, ids=lambda call: call.name)
def test_wherever_a_stream_is_cut_on_the_wire_the_client_receives_the_same_bytes(stage: Stage, call: Call):
    drawn = Random(call.name)
    stream = call.answer.said(asks_usage=True)
    answers = [replace(call.answer, cuts=drawn_places(stream, drawn), tears=tears) for tears in (False, True, False)]
    answers += [replace(answers[tears], cuts=(drawn.randrange(len(stream)),), pause_s=0.002) for tears in (0, 1)]

    received = [stage.received(call, "moved", answer) for answer in answers]

    for answer, each in zip(answers, received, strict=True):
        assert each.is_whole
        due = answer.said(asks_usage=call.usage == "asked")
        assert_same_bytes(without_comments(each.body), due, f"cut at {answer.cuts}, tears: {answer.tears}")
