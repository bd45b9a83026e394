"""Every shape, asked of the upstream itself and through a running installation: both ends see the same.

Proved here, over real sockets: method, target, headers and body at the upstream; status, headers, body at the client.
"""

from __future__ import annotations

import pytest

from tests.transparency.comparison import assert_client_received_the_same, assert_upstream_heard_the_same
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


def test_there_are_shapes_enough_and_each_has_its_own_name():
    names = [call.name for call in CALLS]

    assert len(SHAPES) >= 60
    assert len(set(names)) == len(names)
