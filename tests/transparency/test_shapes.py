"""Every shape, asked of the upstream itself and through a running installation: both ends see the same.

Proved here, over real sockets: method, target, headers and body at the upstream; status, headers, body at the client.
"""

from __future__ import annotations

import pytest

from tests.fakes.wire_caller import connected
from tests.transparency.comparison import (
    assert_client_received_the_same,
    assert_same_bytes,
    assert_upstream_heard_the_same,
    without_comments,
)
from tests.transparency.shape import Call
from tests.transparency.shapes.every import CALLS, SHAPES
from tests.transparency.stage import WAYS, Stage


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_through_the_gateway_is_the_call_to_the_upstream(stage: Stage, call: Call):
    for way in WAYS[:1] if call.shape.is_opaque else WAYS:
        direct = stage.direct(call, way)
        through = stage.through(call, way)

        assert_upstream_heard_the_same(call, way, direct, through)
        assert_client_received_the_same(call, way, direct.received, through.received)


def test_a_client_that_keeps_its_connection_receives_the_same(stage: Stage):
    calls = [call for call in CALLS if len(call.body) + len(call.answer.body) < 100_000][::2]
    kept = 0

    while calls:
        with connected(stage.installation.gateway) as line:
            closes = False
            while calls and not closes:
                call = calls.pop()
                received = stage.through(call, "moved", line).received
                closes = received.header(b"connection") == b"close"
                kept += not closes
                due = call.answer.said(asks_usage=call.usage == "asked")
                assert_same_bytes(without_comments(received.body), due, call.name)

    assert kept > 200, "connections are kept, but for a few answers"


def test_there_are_shapes_enough_and_each_has_its_own_name():
    names = [call.name for call in CALLS]

    assert len(SHAPES) >= 60
    assert len(set(names)) == len(names)
