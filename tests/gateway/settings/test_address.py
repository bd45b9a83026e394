"""Addresses of upstreams: what may be called, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.address import base_url_faults, is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://127.0.0.1:8000/v1/",
        "http://[::1]:8000/v1",
        "https://acme.openai.azure.com/openai/v1",
        "http://vllm_sales.models.svc.cluster.local:8000/v1",
        "https://host",
    ],
)
def test_an_address_that_can_be_called_has_no_fault(url: str):
    assert list(base_url_faults(url)) == []


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "does not begin with https:// or http://"),
        ("api.openai.com/v1", "does not begin with https:// or http://"),
        ("ftp://host/v1", "does not begin with https:// or http://"),
        ("file:///etc/passwd", "does not begin with https:// or http://"),
        ("https:///v1", "names no host"),
        ("https://-host/v1", "names no host"),
        ("https://*.host/v1", "names no host"),
        ("https://host:0/v1", "has port 0"),
        ("https://host:99999/v1", "has a host or a port that cannot be read"),
        ("https://host:x/v1", "has a host or a port that cannot be read"),
        ("https://[::1/v1", "has a host or a port that cannot be read"),
        ("https://user:pass@host/v1", "carries a user name or password"),
        ("https://@host/v1", "carries a user name or password"),
        ("https://host/v1?api-version=1", "has a query or a fragment"),
        ("https://host/v1#x", "has a query or a fragment"),
        ("https://host/v1/../admin", "has a . or .. segment"),
        ("https://host/v1/%2e%2E/admin", "has a . or .. segment"),
        ("https://host//v1", "has an empty segment"),
        ("https://host/v1/chat/completions", "ends in /chat/completions, which Turnout adds itself"),
        ("https://host/v 1", "holds a space, a backslash or a character outside ASCII"),
        ("https://host\\@evil/v1", "holds a space, a backslash or a character outside ASCII"),
        ("https://host/v1\r\n", "holds a space, a backslash or a character outside ASCII"),
        ("https://höst/v1", "holds a space, a backslash or a character outside ASCII"),
    ],
)
def test_a_fault_is_named_with_its_remedy(url: str, fault: str):
    found = list(base_url_faults(url))

    assert len(found) == 1
    assert found[0].startswith(fault)
    assert "; " in found[0]


def test_an_empty_query_is_a_query():
    assert [fault.split(",")[0] for fault in base_url_faults("https://host/v1?")] == ["has a query or a fragment"]


@given(st.text(), st.text())
def test_no_address_raises_and_no_fault_repeats_a_password(prefix: str, suffix: str):
    url = f"{prefix}https://user:sEcReT@host{suffix}"

    assert not [fault for fault in base_url_faults(url) if "sEcReT" in fault]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_stays_on_this_machine(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "host", "10.0.0.1", "0.0.0.0", "localhost.evil.com", "::"])
def test_everything_else_does_not(host: str):
    assert not is_loopback(host)
