"""Requests of any JSON: the upstream gets the text of every value as the client wrote it.

Proved here at the pure rewriting, with drawn texts; the shapes prove it over real sockets.
"""

from __future__ import annotations

import json
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.proxy import wire
from gateway.proxy.endpoints import CHAT
from tests.transparency.comparison import assert_same_json, fields

ESCAPES = (r"\u0041", r"\ud83d\ude42", r"\/", r"\"", r"\\", r"\u0000", r"\n", r"\u2028", r"\u00E9")
SPACE = st.sampled_from(["", "", " ", "\t", "\n", "\r\n "])
PIECES = st.sampled_from(
    [*ESCAPES, "a", "\u00e9", "\U0001f642", "\u2028", "model", "stream_options", "{", "]", ",", ":"]
)
STRINGS = st.lists(PIECES, max_size=4).map(lambda pieces: '"' + "".join(pieces) + '"')
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
PLAIN = st.sampled_from(["null", "true", "false"]) | NUMBERS | STRINGS


def joined(opening: str, parts: list[str], closing: str, space: str) -> str:
    return opening + space + f"{space},{space}".join(parts) + space + closing


VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.builds(joined, st.just("["), st.lists(inner, max_size=3), st.just("]"), SPACE)
        | st.builds(
            joined, st.just("{"), st.lists(st.builds("{}:{}".format, STRINGS, inner), max_size=3), st.just("}"), SPACE
        )
    ),
    max_leaves=12,
)
OPTIONS = st.sampled_from(['"stream_options":null', '"stream_options" : {"include_usage": false , "x":1.10}', '"a":0'])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VALUES, max_size=5), OPTIONS, SPACE, st.booleans(), st.randoms(use_true_random=False))
def test_every_value_reaches_the_upstream_as_its_client_wrote_it(
    values: list[str],
    options: str,
    space: str,
    inject_usage: bool,  # noqa: FBT001 - drawn, not chosen
    drawn: Random,
):
    parts = [f'"x_{at}"{space}:{space}{value}' for at, value in enumerate(values)]
    parts += ['"model":"of-the-client"', '"stream":true', options]
    drawn.shuffle(parts)
    body = joined(space + "{", parts, "}" + space, space).encode()

    sent = wire.rewrite(wire.read(body, CHAT), "b", inject_usage=inject_usage)

    assert_same_json(body.replace(b'"model":"of-the-client"', b'"model":"b"'), sent, asks_usage=inject_usage)
    assert json.loads(dict(fields(sent))["model"]) == "b"
