from __future__ import annotations

import json

import pytest

from gateway.errors import BadRequestError
from gateway.simulate.config import SimulatedModel
from gateway.simulate.reply import Asked, event, wanted_tokens


def test_an_event_is_named_or_not():
    assert event({"a": "\n"}) == b'data: {"a":"\\n"}\n\n'
    head, _, rest = event({"a": 1}, "done").partition(b"\n")
    assert head == b"event: done"
    assert json.loads(rest.removeprefix(b"data: ")) == {"a": 1}


def test_metadata_names_a_request_and_fixes_counts():
    asked = Asked(model="m", metadata={"simulate_id": "7", "tokens": "12"})

    assert (asked.mark, asked.fixed("tokens"), asked.fixed("other")) == ("7", 12, None)
    assert Asked(model="m").mark is None


def test_a_fixed_count_that_is_none_is_refused():
    with pytest.raises(BadRequestError, match="whole number of tokens"):
        Asked(model="m", metadata={"tokens": "1000001"}).fixed("tokens")


def test_a_brief_model_is_brief_also_where_the_length_is_fixed():
    brief = SimulatedModel(length_factor=0.8)

    assert wanted_tokens(Asked(model="m"), brief, 50) == 40
    assert wanted_tokens(Asked(model="m", metadata={"simulate_output_tokens": "10"}), brief, 50) == 8
