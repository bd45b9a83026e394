from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.hosts import Hosts

HOSTS = Hosts(["LLM.example.com", "fd00::7"])


@pytest.mark.parametrize(
    "sent",
    [
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "127.0.0.1",
        "127.8.9.1:1",
        "[::1]:8080",
        "llm.example.com:443",
        "Llm.Example.Com.",
        "[fd00::7]",
        "10.0.0.5",
        "10.0.0.5:8080",
    ],
)
def test_loopback_configured_names_and_the_address_that_was_called_are_allowed(sent: str):
    assert HOSTS.allow(sent.encode(), "10.0.0.5")
    assert HOSTS.allow(sent.encode(), "::ffff:10.0.0.5")


@pytest.mark.parametrize(
    "sent",
    [
        "",
        ":80",
        "10.0.0.6",
        "example.com",
        "a.llm.example.com",
        "llm.example.com.evil.example",
        "[::2]",
        "[::1",
        "localhost:x",
        "localhost:80:80",
        "a@localhost",
        "localhost/",
        "local host",
        "localhost,localhost",
    ],
)
def test_everything_else_is_not(sent: str):
    assert not HOSTS.allow(sent.encode(), "10.0.0.5")


def test_a_star_allows_any_host_that_is_one():
    hosts = Hosts(["*"])

    assert hosts.allow(b"anything.example:1", "10.0.0.5")
    assert not hosts.allow(b"a b", "10.0.0.5")


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_an_answer_does_not_depend_on_what_was_asked_before(asked: list[bytes]):
    hosts = Hosts(["a"])
    for sent in (*asked, *asked):
        assert hosts.allow(sent, "10.0.0.5") == Hosts(["a"]).allow(sent, "10.0.0.5")


@pytest.mark.parametrize("sent", [[], [b"localhost", b"localhost"], [b"evil.example"]])
def test_exactly_one_host_that_is_answered_is_no_fault(sent: list[bytes]):
    fault = Hosts([]).fault(sent, "127.0.0.1")

    assert Hosts([]).fault([b"localhost"], "127.0.0.1") is None
    assert (fault.status, fault.code) == (400, "invalid_host") if fault is not None else False
