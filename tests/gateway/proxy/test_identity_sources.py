"""Whatever a request carries, the application's settings alone decide which of it names a user."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy import wire
from gateway.proxy.identity import ANONYMOUS, User, identify
from gateway.proxy.snapshot import Caller
from gateway.settings.schema import Application, UserSource

SOURCES: tuple[UserSource, ...] = ("header", "safety_identifier", "user", "metadata")
ladders = st.lists(st.sampled_from(SOURCES), unique=True).map(tuple)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
sent = st.fixed_dictionaries({}, optional=dict.fromkeys(SOURCES, texts))


def request(keys: dict[str, str]) -> tuple[dict[bytes, bytes], wire.Reading]:
    """Put a user key into each of these sources."""
    fields: dict[str, Any] = {name: keys[name] for name in ("safety_identifier", "user") if name in keys}
    if "metadata" in keys:
        fields["metadata"] = {"user_id": keys["metadata"]}
    headers = {b"x-user-id": keys["header"].encode()} if "header" in keys else {}
    return headers, wire.read(msgspec.json.encode({"model": "m", **fields}))


@given(ladders, sent)
def test_the_first_listed_source_that_names_a_user_counts(ladder: tuple[UserSource, ...], keys: dict[str, str]):
    caller = Caller(name="shop", application=Application(user_header="x-user-id", user_sources=ladder))

    named = [source for source in ladder if keys.get(source)]

    expected = User(keys[named[0]].encode(), named[0]) if named else ANONYMOUS
    assert identify(caller, *request(keys)) == expected


@given(ladders, sent, sent, st.sampled_from(["base", "session", "application"]))
def test_what_stands_in_a_source_that_is_not_listed_changes_nothing(
    ladder: tuple[UserSource, ...], keys: dict[str, str], others: dict[str, str], anonymous: Any
):
    application = Application(user_header="x-user-id", user_sources=ladder, anonymous=anonymous)
    caller = Caller(name="shop", application=application)
    unlisted = {source: key for source, key in others.items() if source not in ladder}

    with_them = identify(caller, *request({**keys, **unlisted}))
    without = identify(caller, *request({source: key for source, key in keys.items() if source in ladder}))

    assert with_them == without


@given(sent)
def test_a_header_that_is_not_configured_is_never_read(keys: dict[str, str]):
    caller = Caller(name="shop", application=Application(user_sources=("header",)))

    assert identify(caller, *request(keys)) == ANONYMOUS
