from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.proxy.forwarding import ALWAYS, forwarded


@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=5)))
def test_nothing_passes_but_what_is_listed(received: dict[bytes, bytes]):
    received = {name: value for name, value in received.items() if name not in ALWAYS}

    assert forwarded(received, ()) == {}


def test_the_list_can_be_made_longer():
    received = {b"accept": b"*/*", b"x-tenant": b"a", b"x-other": b"b"}

    assert forwarded(received, (b"x-tenant",)) == {"accept": "*/*", "x-tenant": "a"}


def test_an_empty_header_is_left_out():
    assert forwarded({b"accept": b""}, ()) == {}


def test_characters_keep_their_bytes():
    assert forwarded({b"x-tenant": "größe".encode()}, (b"x-tenant",))["x-tenant"].encode() == "größe".encode()


def test_bytes_that_are_no_utf_8_are_refused_by_the_header_s_name():
    with pytest.raises(BadRequestError) as refused:
        forwarded({b"x-tenant": b"canary\xff"}, (b"x-tenant",))

    assert (refused.value.param, refused.value.code) == ("x-tenant", "invalid_header")
    assert "canary" not in refused.value.message


@pytest.mark.parametrize(("connection", "passes"), [(b"close", True), (b"close, X-Tenant", False), (b"x-a,x-b", True)])
def test_what_connection_names_is_not_passed_on(connection: bytes, *, passes: bool):
    received = {b"connection": connection, b"x-tenant": b"a"}

    assert ("x-tenant" in forwarded(received, (b"x-tenant",))) is passes
