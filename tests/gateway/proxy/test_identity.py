from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.proxy import wire
from gateway.proxy.identity import ANONYMOUS, User, identify
from gateway.proxy.snapshot import Caller
from gateway.settings.schema import Application

HEADER = Application(user_header="x-user-id")


def identified(application: Application = HEADER, headers: Mapping[str, bytes] | None = None, **fields: Any) -> User:
    body = msgspec.json.encode({"model": "m", **fields})
    sent = {name.encode(): value for name, value in (headers or {}).items()}
    return identify(Caller(name="shop", application=application), sent, wire.read(body))


def test_the_ladder_is_gone_down_in_the_applications_order():
    everything: dict[str, Any] = {"safety_identifier": "s", "user": "u", "metadata": {"user_id": "m"}}

    assert identified(headers={"x-user-id": b"h"}, **everything) == User(b"h", "header")
    assert identified(**everything) == User(b"s", "safety_identifier")
    assert identified(user="u", metadata={"user_id": "m"}) == User(b"u", "user")
    assert identified(metadata={"user_id": "m"}) == User(b"m", "metadata")
    assert identified(Application(user_sources=("metadata", "user")), **everything) == User(b"m", "metadata")


def test_a_source_that_is_not_listed_names_nobody():
    application = Application(user_header="x-user-id", user_sources=("header",))

    assert identified(application, user="u", safety_identifier="s", metadata={"user_id": "m"}) == ANONYMOUS
    assert identified(application, user=5, metadata="x") == ANONYMOUS


def test_a_header_that_is_not_configured_names_nobody():
    assert identified(Application(), {"x-user-id": b"h"}) == ANONYMOUS


def test_user_keys_are_bytes_as_they_were_sent():
    assert identified(headers={"x-user-id": b" \xff Ann "}) == User(b" \xff Ann ", "header")
    assert identified(user=" Änn\t") == User(" Änn\t".encode(), "user")


@pytest.mark.parametrize(
    "fields", [{"user": ""}, {"user": None}, {"metadata": None}, {"metadata": {"user_id": ""}}, {}]
)
def test_an_empty_user_key_is_none(fields: dict[str, Any]):
    assert identified(headers={"x-user-id": b""}, **fields) == ANONYMOUS


def test_an_empty_user_key_leaves_the_word_to_the_next_source():
    assert identified(headers={"x-user-id": b""}, safety_identifier="", user="u") == User(b"u", "user")


PLACES = [
    ("x-user-id", lambda key: {"headers": {"x-user-id": key.encode()}}),
    ("safety_identifier", lambda key: {"safety_identifier": key}),
    ("user", lambda key: {"user": key}),
    ("metadata.user_id", lambda key: {"metadata": {"user_id": key}}),
]


@pytest.mark.parametrize(("place", "fields"), PLACES)
def test_a_user_key_has_at_most_512_bytes_wherever_it_stands(place: str, fields: Any):
    assert identified(**fields("é" * 256)).key == ("é" * 256).encode()
    with pytest.raises(BadRequestError, match="has 513 bytes; the limit is 512") as refused:
        identified(**fields("é" * 256 + "x"))
    assert (refused.value.param, refused.value.code) == (place, "user_key_too_long")
    assert "é" not in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"user": 5}, "user"),
        ({"user": ["ann"]}, "user"),
        ({"safety_identifier": True}, "safety_identifier"),
        ({"metadata": "ann"}, "metadata"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
    ],
)
def test_a_user_key_that_is_no_string_is_refused(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequestError) as refused:
        identified(**fields)
    assert (refused.value.param, refused.value.code) == (param, "invalid_type")


def test_half_of_a_surrogate_pair_is_no_user_key():
    reading = wire.read(b'{"model":"m","user":"ann"}')
    broken = msgspec.structs.replace(reading, fields={"user": msgspec.Raw(b'"\\ud800"')})

    with pytest.raises(BadRequestError) as refused:
        identify(Caller(name="shop", application=Application()), {}, broken)
    assert refused.value.param == "user"


def test_without_a_user_key_the_policy_decides():
    session = Application(anonymous="session", session_header="x-visit")

    assert identified(Application(anonymous="application")) == User(b"shop", "application")
    assert identified(session, {"x-visit": b"v1"}) == User(b"v1", "session")
    assert identified(session, {"x-visit": b""}) == ANONYMOUS
    assert identified(session) == ANONYMOUS
    assert identified(session, {"x-visit": b"v1"}, user="u") == User(b"u", "user")
    assert identified(Application(), {"x-session-id": b"v1"}) == ANONYMOUS


def test_a_session_of_more_than_512_bytes_is_refused():
    with pytest.raises(BadRequestError) as refused:
        identified(Application(anonymous="session"), {"x-session-id": b"v" * 513})
    assert refused.value.param == "x-session-id"


@given(st.text(max_size=40), st.text(max_size=40))
def test_nothing_that_one_application_sends_names_a_user_by_a_source_that_it_may_not_use(header: str, user: str):
    application = Application(user_header="x-mine", user_sources=("header",))
    headers = {"x-user-id": header.encode("utf-8", "replace"), "x-session-id": b"s"}

    assert identified(application, headers, user=user, metadata={"user_id": user}) == ANONYMOUS
